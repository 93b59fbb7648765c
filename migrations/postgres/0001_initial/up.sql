-- People and devices

create table users (
    id text primary key not null,
    login text not null unique,
    name text not null,
    password_hash text not null,
    roles text not null,
    created_at timestamp not null,
    disabled_at timestamp
);

create table login_attempts (
    login text primary key not null,
    failures bigint not null,
    blocked_until timestamp not null
);

create table refresh_tokens (
    token_hash text primary key not null,
    family text not null,
    user_id text not null references users (id),
    issued_at timestamp not null,
    expires_at timestamp not null,
    used_at timestamp,
    revoked_at timestamp
);
create index refresh_tokens_by_family on refresh_tokens (family);

create table page_sessions (
    token_hash text primary key not null,
    user_id text not null references users (id),
    csrf_token text not null,
    created_at timestamp not null,
    expires_at timestamp not null
);

create table devices (
    id text primary key not null,
    user_id text not null references users (id),
    name text not null,
    agent text not null,
    sign_in_fingerprint text not null unique,
    sign_in_key text not null,
    certificate text not null,
    enrolled_at timestamp not null,
    expires_at timestamp not null,
    last_seen_at timestamp,
    revoked_at timestamp,
    revoke_reason text,
    unsent_records bigint,
    unsent_files bigint,
    unsent_bytes bigint,
    inventory_at timestamp
);
create index devices_by_user on devices (user_id);

create table device_keys (
    fingerprint text primary key not null,
    device_id text not null references devices (id),
    public_key text not null,
    first_day text not null,
    last_day text not null
);

create table enrolment_codes (
    code_hash text primary key not null,
    user_id text not null references users (id),
    created_by text not null references users (id),
    created_at timestamp not null,
    expires_at timestamp not null,
    device_id text references devices (id)
);

create table used_assertions (
    jti text primary key not null,
    expires_at timestamp not null
);

create table idempotency_keys (
    actor text not null,
    idempotency_key text not null,
    request_hash text not null,
    status bigint not null,
    body text not null,
    created_at timestamp not null,
    primary key (actor, idempotency_key)
);

-- The programme

create table parties (
    id text primary key not null,
    key text not null unique,
    name text not null,
    aliases text not null,
    kind text not null,
    address text not null,
    country text not null,
    registration_no text,
    created_at timestamp not null,
    updated_at timestamp not null
);

create table sites (
    id text primary key not null,
    key text not null unique,
    party_id text not null references parties (id),
    name text not null,
    address text not null,
    country text not null,
    time_zone text not null,
    fence text,
    created_at timestamp not null,
    updated_at timestamp not null
);
create index sites_by_party on sites (party_id);

create table licences (
    id text primary key not null,
    key text not null unique,
    number text not null,
    authority text not null,
    exporter_id text not null references parties (id),
    valid_from text not null,
    valid_until text not null,
    conditions text not null,
    created_at timestamp not null,
    updated_at timestamp not null
);

create table licence_lines (
    id text primary key not null,
    licence_id text not null references licences (id),
    line bigint not null,
    control_entry text not null,
    description text not null,
    quantity text not null,
    unit text not null,
    value_amount bigint,
    value_currency text,
    unique (licence_id, line)
);

create table shipments (
    id text primary key not null,
    key text not null unique,
    licence_line_id text not null references licence_lines (id),
    exporter_id text not null references parties (id),
    intermediates text not null,
    consignee_id text not null references parties (id),
    end_user_id text not null references parties (id),
    site_id text not null references sites (id),
    hs6 text not null,
    declared_use text not null,
    shipped_on text,
    arrived_on text,
    created_at timestamp not null,
    updated_at timestamp not null
);
create index shipments_by_arrival on shipments (arrived_on, id);
create index shipments_by_line on shipments (licence_line_id);

create table shipment_items (
    id text primary key not null,
    shipment_id text not null references shipments (id),
    key text not null,
    manufacturer text not null,
    part_number text not null,
    description text not null,
    serial text,
    lot text,
    quantity text not null,
    unit text not null,
    position bigint not null,
    unique (shipment_id, key)
);

-- Checks and visits

create table checks (
    id text primary key not null,
    shipment_id text not null references shipments (id),
    kind text not null,
    cause text not null,
    reason text not null,
    due_at timestamp not null,
    opened_by text references users (id),
    opened_at timestamp not null,
    -- What a routine check was opened for; makes the tick happen once.
    origin_key text unique
);
create index checks_by_shipment on checks (shipment_id);

create table checklist_templates (
    id text not null,
    version bigint not null,
    document text not null,
    hash text not null,
    created_at timestamp not null,
    primary key (id, version)
);

create table checklists (
    hash text primary key not null,
    document text not null,
    frozen_at timestamp not null
);

create table visits (
    id text primary key not null,
    check_id text not null references checks (id),
    site_id text not null references sites (id),
    inspector_id text references users (id),
    state text not null,
    version bigint not null,
    window_start_at timestamp not null,
    window_end_at timestamp not null,
    due_at timestamp not null,
    checklist_hash text references checklists (hash),
    outcome text,
    reason text,
    last_sync_at timestamp,
    finished_at timestamp,
    -- Grows with every change of any visit, in commit order: the cursor of a device's pull.
    change_no bigint not null,
    created_at timestamp not null
);
create index visits_by_check on visits (check_id);
create index visits_due on visits (due_at, id) where finished_at is null;
create index visits_due_by_inspector on visits (inspector_id, due_at, id) where finished_at is null;
create index visits_by_due on visits (due_at, id);
create index visits_by_state on visits (state, due_at, id);
create index visits_by_change on visits (inspector_id, change_no);
create index visits_by_site on visits (site_id, due_at, id);

create table visit_pulls (
    visit_id text not null references visits (id),
    device_id text not null references devices (id),
    version bigint not null,
    pulled_at timestamp not null,
    primary key (visit_id, device_id)
);
create index visit_pulls_by_device on visit_pulls (device_id);

create table visit_events (
    id text primary key not null,
    visit_id text not null references visits (id),
    at timestamp not null,
    actor text not null,
    verb text not null,
    detail text not null,
    -- Set where the event must happen once.
    once_key text unique
);
create index visit_events_by_visit on visit_events (visit_id, at);

create table counters (
    name text primary key not null,
    value bigint not null
);
insert into counters (name, value) values ('visit_changes', 0);
-- Locked by whoever changes programme data.
insert into counters (name, value) values ('programme_changes', 0);

-- Evidence: never updated, never deleted, but for the state of a file that is still under way

create table records (
    hash text primary key not null,
    device_id text not null references devices (id),
    -- Absent where the envelope of a quarantined record cannot be read.
    seq bigint,
    prev text,
    keyid text not null,
    visit_id text references visits (id),
    kind text not null,
    device_at timestamp,
    received_at timestamp not null,
    log_index bigint not null,
    quarantine_code text,
    quarantine_detail text,
    envelope bytea not null
);
create index records_by_device on records (device_id, seq);
create index records_by_visit on records (visit_id, log_index);

create table evidence_files (
    record_hash text primary key not null references records (hash),
    device_id text not null references devices (id),
    visit_id text references visits (id),
    name text not null,
    mime text not null,
    size_bytes bigint not null,
    sha256 text not null,
    sealed_sha256 text not null,
    sealed_size_bytes bigint not null,
    state text not null,
    stored_at timestamp,
    problem text,
    -- What headquarters read in the file itself, and the small picture it made.
    facts text,
    thumbnail_sha256 text,
    examined_at timestamp
);
create index evidence_files_by_sealed on evidence_files (sealed_sha256);
create index evidence_files_by_sha256 on evidence_files (sha256);
create index evidence_files_awaited on evidence_files (device_id, state);
create index evidence_files_by_visit on evidence_files (visit_id);

create table uploads (
    id text primary key not null,
    owner text not null,
    sealed_sha256 text not null,
    size_bytes bigint not null,
    completed_at timestamp not null
);
create index uploads_by_sealed on uploads (sealed_sha256);

create table receipts (
    log_index bigint primary key not null,
    device_id text not null references devices (id),
    record_hash text not null,
    kind text not null,
    envelope text not null,
    unique (record_hash, kind)
);
create index receipts_by_device on receipts (device_id, log_index);

create table findings (
    id text primary key not null,
    -- Method, version and subject: a method says a thing about a subject once.
    finding_key text not null unique,
    visit_id text references visits (id),
    device_id text references devices (id),
    record_hash text,
    signal text not null,
    weight text not null,
    summary text not null,
    detail text not null,
    explanations text not null,
    method text not null,
    created_at timestamp not null
);
create index findings_by_visit on findings (visit_id);
create index findings_by_device on findings (device_id);

create table determinations (
    id text primary key not null,
    visit_id text not null references visits (id),
    outcome text not null,
    reasons text not null,
    reason text not null,
    author_id text not null references users (id),
    replaces text unique references determinations (id),
    created_at timestamp not null,
    log_index bigint not null
);
create index determinations_by_visit on determinations (visit_id);

-- A changed determination counts once somebody else approved it.
create table determination_approvals (
    determination_id text primary key not null references determinations (id),
    approver_id text not null references users (id),
    approved_at timestamp not null,
    log_index bigint not null
);

-- The log

create table log_head (
    id bigint primary key not null,
    size bigint not null,
    -- Roots of the full subtrees, left to right, as JSON: the RFC 6962 compact range.
    compact_range text not null
);
insert into log_head (id, size, compact_range) values (1, 0, '[]');

create table log_entries (
    idx bigint primary key not null,
    kind text not null,
    subject text not null,
    salt text not null,
    entry bytea not null,
    leaf_hash text not null,
    logged_at timestamp not null
);
create index log_entries_by_subject on log_entries (subject);

-- Work to be done once, after the commit that asked for it

create table outbox (
    id text primary key not null,
    once_key text not null unique,
    kind text not null,
    payload text not null,
    due_at timestamp not null,
    attempts bigint not null,
    claimed_until timestamp,
    done_at timestamp,
    last_error text,
    created_at timestamp not null
);
create index outbox_waiting on outbox (due_at) where done_at is null;

-- What is written stays: a correction is a new row.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% are never changed or deleted', tg_table_name;
end;
$$;
create trigger records_kept before update or delete on records for each row execute function refuse_change();
create trigger receipts_kept before update or delete on receipts for each row execute function refuse_change();
create trigger findings_kept before update or delete on findings for each row execute function refuse_change();
create trigger determinations_kept before update or delete on determinations for each row execute function refuse_change();
create trigger log_entries_kept before update or delete on log_entries for each row execute function refuse_change();
create trigger visit_events_kept before update or delete on visit_events for each row execute function refuse_change();
create trigger determination_approvals_kept before update or delete on determination_approvals for each row execute function refuse_change();
create trigger records_not_emptied before truncate on records for each statement execute function refuse_change();
create trigger receipts_not_emptied before truncate on receipts for each statement execute function refuse_change();
create trigger findings_not_emptied before truncate on findings for each statement execute function refuse_change();
create trigger determinations_not_emptied before truncate on determinations for each statement execute function refuse_change();
create trigger log_entries_not_emptied before truncate on log_entries for each statement execute function refuse_change();
create trigger visit_events_not_emptied before truncate on visit_events for each statement execute function refuse_change();
create trigger determination_approvals_not_emptied before truncate on determination_approvals for each statement execute function refuse_change();
