drop table item_sightings;
drop table device_fixes;
drop table device_cameras;
alter table findings drop column uncertainty;
