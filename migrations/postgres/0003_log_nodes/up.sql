-- Roots of full tiles of the log, for proofs: level 1 over 256 entries, level 2 over 256 of those, and so on.
create table log_nodes (
    level bigint not null,
    position bigint not null,
    hash text not null,
    primary key (level, position)
);

create trigger log_nodes_kept before update or delete on log_nodes for each row execute function refuse_change();
create trigger log_nodes_not_emptied before truncate on log_nodes for each statement execute function refuse_change();
