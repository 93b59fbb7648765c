DROP TABLE day_keys;

PRAGMA user_version = 2;
