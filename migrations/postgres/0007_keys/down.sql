drop table device_certificates;
drop index device_keys_by_device;
drop trigger device_keys_kept on device_keys;
drop trigger device_keys_not_emptied on device_keys;
