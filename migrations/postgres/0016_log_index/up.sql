-- Of the log's subjects only key events are looked up; an index over all took as long as the rows.
drop index log_entries_by_subject;
create index log_key_events on log_entries (subject) where kind = 'key-event';
