DROP TABLE receipts;
DROP TABLE files;
DROP TABLE records;
DROP TABLE visits;
DROP TABLE settings;
DROP TABLE vault;
PRAGMA user_version = 0;
