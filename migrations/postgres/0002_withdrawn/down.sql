alter table visit_pulls drop column withdrawn_change_no;
alter table visit_pulls drop column window_end_at;
alter table visit_pulls drop column window_start_at;
