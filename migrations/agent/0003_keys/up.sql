-- One record key for each UTC day. The row of a key stays when its day has closed; its secret does not: then
-- sealed_secret is empty.
CREATE TABLE day_keys (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    sealed_secret BLOB NOT NULL
);

PRAGMA user_version = 3;
