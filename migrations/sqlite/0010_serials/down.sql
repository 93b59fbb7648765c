delete from counters where name in ('serials_programme', 'serials_records');
drop table serial_states;
drop table serial_rules;
drop table serial_events;
