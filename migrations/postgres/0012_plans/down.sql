drop table plan_decisions;
drop table plan_results;
drop table plan_progress;
drop table plans;
drop table rosters;
drop index visits_by_second;
alter table visits drop column second_id;
