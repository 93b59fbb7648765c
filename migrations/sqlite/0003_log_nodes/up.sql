-- Roots of full tiles of the log, for proofs: level 1 over 256 entries, level 2 over 256 of those, and so on.
create table log_nodes (
    level bigint not null,
    position bigint not null,
    hash text not null,
    primary key (level, position)
);

create trigger log_nodes_no_update before update on log_nodes begin select raise(abort, 'log_nodes are never changed or deleted'); end;
create trigger log_nodes_no_delete before delete on log_nodes begin select raise(abort, 'log_nodes are never changed or deleted'); end;
