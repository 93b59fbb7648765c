ALTER TABLE receipts DROP COLUMN sealed_proof;

PRAGMA user_version = 1;
