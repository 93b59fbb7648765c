drop table carried_packages;
drop table log_cosignatures;
