-- Clocks may be those of an authority's programme: which licensed it, as the licence names it. The sweep fills it in.
alter table serial_states add column authority text not null default '';
