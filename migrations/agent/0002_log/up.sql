-- A proof that the receipt's entry is in headquarters' log (C2SP tlog-proof); absent for receipts from before.
ALTER TABLE receipts ADD COLUMN sealed_proof BLOB;

PRAGMA user_version = 2;
