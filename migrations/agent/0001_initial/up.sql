-- The agent's own store. Columns named sealed_* hold XChaCha20-Poly1305 under the store key; in the
-- open stand only what the agent needs to operate: order, states, sizes, hashes.

CREATE TABLE vault (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,
    memory_kib BIGINT NOT NULL,
    passes BIGINT NOT NULL,
    salt BLOB NOT NULL,
    wrapped_key BLOB NOT NULL
);

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    sealed_value BLOB NOT NULL
);

CREATE TABLE visits (
    id TEXT NOT NULL PRIMARY KEY,
    -- waiting, open, closed: by the device's own records
    state TEXT NOT NULL,
    sealed_packet BLOB NOT NULL
);

CREATE TABLE records (
    seq BIGINT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    visit TEXT,
    size_bytes BIGINT NOT NULL,
    -- unsent, held, quarantined: as headquarters answered
    state TEXT NOT NULL,
    sealed_envelope BLOB NOT NULL,
    sealed_quarantine BLOB
);
CREATE INDEX records_by_visit ON records (visit, seq);
CREATE INDEX records_by_state ON records (state, seq);

CREATE TABLE files (
    sealed_sha256 TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL REFERENCES records (hash),
    sealed_size_bytes BIGINT NOT NULL,
    -- held: the sealed copy is on this device; released: a file receipt let it go
    state TEXT NOT NULL
);
CREATE INDEX files_by_state ON files (state, sealed_size_bytes);

CREATE TABLE receipts (
    hash TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL,
    sealed_envelope BLOB NOT NULL
);
CREATE INDEX receipts_by_record ON receipts (record);

PRAGMA user_version = 1;
