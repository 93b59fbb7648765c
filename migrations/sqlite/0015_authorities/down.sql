alter table serial_states drop column authority;
