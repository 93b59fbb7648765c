DROP INDEX records_readable;
DROP INDEX records_by_package;
ALTER TABLE files DROP COLUMN receipt_check;
ALTER TABLE records DROP COLUMN package;
DROP TABLE packages;
DROP TABLE day_keys;

PRAGMA user_version = 2;
