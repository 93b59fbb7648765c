-- Cosignatures of witnesses, as they came: the line of a witness (its name and key id) for a size of the log.
create table log_cosignatures (
    witness text not null,
    size bigint not null,
    root text not null,
    cosigned_at_s bigint not null,
    line text not null,
    received_at timestamp not null,
    primary key (witness, size)
);
create index log_cosignatures_size on log_cosignatures (size);

-- What came by hand, each time that it came: who brought which package, and what was in it.
create table carried_packages (
    id text primary key not null,
    package text not null,
    device_id text references devices (id),
    carried_by text not null,
    taken_in_at timestamp not null,
    report text not null
);
create index carried_packages_device on carried_packages (device_id);

create trigger log_cosignatures_no_update before update on log_cosignatures begin select raise(abort, 'log_cosignatures are never changed or deleted'); end;
create trigger log_cosignatures_no_delete before delete on log_cosignatures begin select raise(abort, 'log_cosignatures are never changed or deleted'); end;
create trigger carried_packages_no_update before update on carried_packages begin select raise(abort, 'carried_packages are never changed or deleted'); end;
create trigger carried_packages_no_delete before delete on carried_packages begin select raise(abort, 'carried_packages are never changed or deleted'); end;
