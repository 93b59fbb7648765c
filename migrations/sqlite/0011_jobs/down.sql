alter table outbox drop column dead_at;
alter table users drop column mail;
drop table notices;
drop table orphan_files;
drop table file_faults;
drop table scrub_rounds;
drop table job_totals;
drop table job_runs;
drop table job_states;
