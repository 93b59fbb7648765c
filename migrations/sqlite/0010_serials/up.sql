-- What happened to each serial. Never changed; a correction is another row that names the old one.
create table serial_events (
    id text not null primary key,
    -- The item that has the serial. No reference: the papers may drop an item, its events stay.
    item_id text not null,
    kind text not null,
    -- By whoever says so; the device's clock for what a record says.
    happened_at timestamp not null,
    recorded_at timestamp not null,
    actor text not null,
    visit_id text references visits (id),
    -- Each record counts once.
    record_hash text unique references records (hash),
    replaces_record text,
    corrects text references serial_events (id),
    detail text not null,
    -- The exact bytes that the log commits to, for what a person reported.
    document text,
    log_index bigint
);
create index serial_events_by_item on serial_events (item_id);

-- The rules by which states were worked out, with their legal basis.
create table serial_rules (
    hash text not null primary key,
    document text not null,
    since_at timestamp not null
);

-- How it stands with each serial: worked out from papers, events and rules, at any time again.
create table serial_states (
    item_id text not null primary key references shipment_items (id) on delete cascade,
    shipment_id text not null references shipments (id),
    serial text not null,
    control_entry text not null,
    declared_host_id text not null references parties (id),
    declared_site_id text not null references sites (id),
    declared_country text not null,
    rules_hash text not null references serial_rules (hash),
    tier bigint not null,
    status text not null,
    host_id text not null references parties (id),
    site_id text not null references sites (id),
    country text not null,
    arrived_on text,
    last_seen_at timestamp,
    seen_method text,
    seen_visit_id text,
    seen_site_id text,
    due_at timestamp,
    due_since text,
    due_from text,
    -- The due date, and the end of time where there is none: what lists go by.
    due_order timestamp not null,
    said text,
    loss_id text,
    loss_is_late boolean not null,
    events bigint not null,
    -- Whether no routine check was opened for this due date yet.
    needs_check boolean not null
);
create index serial_states_by_due on serial_states (due_order, item_id);
create index serial_states_by_host on serial_states (host_id, due_order, item_id);
create index serial_states_by_site on serial_states (site_id, due_order, item_id);
create index serial_states_by_country on serial_states (country, due_order, item_id);
create index serial_states_by_tier on serial_states (tier, due_order, item_id);
create index serial_states_by_status on serial_states (status, due_order, item_id);
create index serial_states_by_shipment on serial_states (shipment_id);
create index serial_states_to_check on serial_states (needs_check, due_order, item_id);
-- What the counts of overdue serials are made from.
create index serial_states_overdue on serial_states (due_order, tier, host_id);

-- How far the states follow the programme, and the log's records.
insert into counters (name, value) values ('serials_programme', -1);
insert into counters (name, value) values ('serials_records', 0);

create trigger serial_events_no_update before update on serial_events begin select raise(abort, 'serial_events are never changed or deleted'); end;
create trigger serial_events_no_delete before delete on serial_events begin select raise(abort, 'serial_events are never changed or deleted'); end;
create trigger serial_rules_no_update before update on serial_rules begin select raise(abort, 'serial_rules are never changed or deleted'); end;
create trigger serial_rules_no_delete before delete on serial_rules begin select raise(abort, 'serial_rules are never changed or deleted'); end;
