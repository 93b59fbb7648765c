-- What headquarters noted: who did what with the evidence, what was found.
create table custody_notes (
    id text not null primary key,
    -- Set where the same thing is to be noted once.
    note_key text unique,
    visit_id text references visits (id),
    noted_at timestamp not null,
    note text not null
);
create index custody_notes_visit on custody_notes (visit_id);

-- Notes that no batch commits to yet.
create table custody_pending (
    note_id text not null primary key references custody_notes (id)
);

-- Notes as the log commits to them: exact bytes, numbered within their visit.
create table custody_ledger (
    log_index bigint not null,
    position bigint not null,
    note_id text not null unique references custody_notes (id),
    -- The visit's id, or nothing.
    visit text not null,
    number bigint not null,
    entry text not null,
    primary key (log_index, position),
    unique (visit, number)
);

-- Files made from originals, never in their place.
create table derived_files (
    sha256 text not null,
    parent_record text not null references records (hash),
    visit_id text references visits (id),
    name text not null,
    mime text not null,
    size_bytes bigint not null,
    made_by text not null references users (id),
    why text not null,
    created_at timestamp not null,
    log_index bigint not null,
    primary key (parent_record, sha256)
);

create table exports (
    id text not null primary key,
    visit_id text not null references visits (id),
    log_size bigint not null,
    bag_sha256 text not null,
    redacted boolean not null,
    recipients text not null,
    exported_by text not null,
    why text not null,
    created_at timestamp not null,
    log_index bigint not null
);
create index exports_visit on exports (visit_id);

-- The exact bytes that the log commits to; absent where the row is older than they are.
alter table determinations add column document text;
alter table determination_approvals add column document text;

create trigger custody_notes_kept before update or delete on custody_notes for each row execute function refuse_change();
create trigger custody_notes_not_emptied before truncate on custody_notes for each statement execute function refuse_change();
create trigger custody_ledger_kept before update or delete on custody_ledger for each row execute function refuse_change();
create trigger custody_ledger_not_emptied before truncate on custody_ledger for each statement execute function refuse_change();
create trigger derived_files_kept before update or delete on derived_files for each row execute function refuse_change();
create trigger derived_files_not_emptied before truncate on derived_files for each statement execute function refuse_change();
create trigger exports_kept before update or delete on exports for each row execute function refuse_change();
create trigger exports_not_emptied before truncate on exports for each statement execute function refuse_change();
