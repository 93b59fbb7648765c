-- How far off the values of a finding may be, in words with numbers.
alter table findings add column uncertainty text not null default '';

-- The cameras that belong to a device; photos of others are looked at.
create table device_cameras (
    id text primary key not null,
    device_id text not null references devices (id),
    make text not null,
    model text not null,
    serial text,
    lens text,
    width_px bigint,
    height_px bigint,
    note text,
    added_by text not null references users (id),
    added_at timestamp not null
);
create index device_cameras_by_device on device_cameras (device_id);

-- Where a record's device was, as far as its own fix says: a copy from the record, to find neighbours by.
create table device_fixes (
    record_hash text primary key not null references records (hash),
    device_id text not null references devices (id),
    user_id text not null references users (id),
    seq bigint not null,
    -- When the fix was taken, by the device's clock.
    taken_at timestamp not null,
    lat_e7 bigint not null,
    lon_e7 bigint not null,
    accuracy_mm bigint,
    boot text not null,
    monotonic_ms bigint
);
create index device_fixes_by_device on device_fixes (device_id, seq);
create index device_fixes_by_user on device_fixes (user_id, taken_at);

-- Serials that were read on items: a copy from the records, to find the same serial elsewhere.
create table item_sightings (
    record_hash text primary key not null references records (hash),
    -- Capitals, without blanks and dashes.
    serial_key text not null,
    device_id text not null references devices (id),
    visit_id text references visits (id),
    seen_at timestamp not null
);
create index item_sightings_by_serial on item_sightings (serial_key);

create trigger device_cameras_no_update before update on device_cameras begin select raise(abort, 'device_cameras are never changed or deleted'); end;
create trigger device_cameras_no_delete before delete on device_cameras begin select raise(abort, 'device_cameras are never changed or deleted'); end;
create trigger device_fixes_no_update before update on device_fixes begin select raise(abort, 'device_fixes are never changed or deleted'); end;
create trigger device_fixes_no_delete before delete on device_fixes begin select raise(abort, 'device_fixes are never changed or deleted'); end;
create trigger item_sightings_no_update before update on item_sightings begin select raise(abort, 'item_sightings are never changed or deleted'); end;
create trigger item_sightings_no_delete before delete on item_sightings begin select raise(abort, 'item_sightings are never changed or deleted'); end;
