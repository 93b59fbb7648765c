alter table device_cameras drop column quantisation;
