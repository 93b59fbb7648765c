-- One record key for each UTC day. The row of a key stays when its day has closed; its secret does not: then
-- sealed_secret is empty.
CREATE TABLE day_keys (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    sealed_secret BLOB NOT NULL
);

-- Records of closed visits, sealed to headquarters and escrow: this device cannot read them again.
CREATE TABLE packages (
    hash TEXT NOT NULL PRIMARY KEY,
    first_seq BIGINT NOT NULL,
    records BIGINT NOT NULL,
    -- of the records before they were packed
    size_bytes BIGINT NOT NULL,
    -- age
    bytes BLOB NOT NULL
);

-- Where the record is sealed, the package that holds it; sealed_envelope is empty then. A visit whose state is
-- sealed keeps of its packet only what a list of visits shows.
ALTER TABLE records ADD COLUMN package TEXT REFERENCES packages (hash);
CREATE INDEX records_by_package ON records (package);
CREATE INDEX records_readable ON records (visit, seq) WHERE package IS NULL;

-- What a file receipt must fit once the record is sealed: a hash of its digests and size.
ALTER TABLE files ADD COLUMN receipt_check TEXT;

PRAGMA user_version = 3;
