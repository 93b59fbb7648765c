-- What tells the quantisation tables of a camera's JPEG files from others: a JSON list of SHA-256.
alter table device_cameras add column quantisation text not null default '[]';
