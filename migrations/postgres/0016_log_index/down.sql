drop index log_key_events;
create index log_entries_by_subject on log_entries (subject);
