-- Of the log's subjects only key events are looked up; an index over all took as long as the rows. The number is
-- SQLite's own key of a row, so that there is one tree for both.
create table log_entries_numbered (
    idx integer primary key not null,
    kind text not null,
    subject text not null,
    salt text not null,
    entry blob not null,
    leaf_hash text not null,
    logged_at timestamp not null
);
insert into log_entries_numbered select idx, kind, subject, salt, entry, leaf_hash, logged_at from log_entries order by idx;
drop table log_entries;
alter table log_entries_numbered rename to log_entries;
create index log_key_events on log_entries (subject) where kind = 'key-event';
create trigger log_entries_no_update before update on log_entries begin select raise(abort, 'log_entries are never changed or deleted'); end;
create trigger log_entries_no_delete before delete on log_entries begin select raise(abort, 'log_entries are never changed or deleted'); end;
