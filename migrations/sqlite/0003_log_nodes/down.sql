drop table log_nodes;
