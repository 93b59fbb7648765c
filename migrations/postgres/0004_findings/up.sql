-- How far off the values of a finding may be, in words with numbers.
alter table findings add column uncertainty text not null default '';
