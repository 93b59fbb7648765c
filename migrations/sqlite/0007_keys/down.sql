drop table device_certificates;
drop index device_keys_by_device;
drop trigger device_keys_no_update;
drop trigger device_keys_no_delete;
