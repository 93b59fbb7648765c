-- Every certificate of a device: the one of its enrolment is number 0, renewals follow. Each stays good for its days.
create table device_certificates (
    device_id text not null references devices (id),
    number bigint not null,
    certificate text not null,
    issued_at timestamp not null,
    primary key (device_id, number)
);
insert into device_certificates (device_id, number, certificate, issued_at)
    select id, 0, certificate, enrolled_at from devices;
create index device_keys_by_device on device_keys (device_id, first_day);

create trigger device_certificates_kept before update or delete on device_certificates for each row execute function refuse_change();
create trigger device_certificates_not_emptied before truncate on device_certificates for each statement execute function refuse_change();
create trigger device_keys_kept before update or delete on device_keys for each row execute function refuse_change();
create trigger device_keys_not_emptied before truncate on device_keys for each statement execute function refuse_change();
