//! The tables of `migrations/agent`, as diesel sees them.

diesel::table! {
    vault (id) {
        id -> Integer,
        store_id -> Text,
        memory_kib -> BigInt,
        passes -> BigInt,
        salt -> Binary,
        wrapped_key -> Binary,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        sealed_value -> Binary,
    }
}

diesel::table! {
    day_keys (fingerprint) {
        fingerprint -> Text,
        public_key -> Text,
        first_day -> Text,
        last_day -> Text,
        sealed_secret -> Binary,
    }
}

diesel::table! {
    visits (id) {
        id -> Text,
        state -> Text,
        sealed_packet -> Binary,
    }
}

diesel::table! {
    records (seq) {
        seq -> BigInt,
        hash -> Text,
        visit -> Nullable<Text>,
        size_bytes -> BigInt,
        state -> Text,
        sealed_envelope -> Binary,
        sealed_quarantine -> Nullable<Binary>,
        package -> Nullable<Text>,
    }
}

diesel::table! {
    files (sealed_sha256) {
        sealed_sha256 -> Text,
        record -> Text,
        sealed_size_bytes -> BigInt,
        state -> Text,
        receipt_check -> Nullable<Text>,
    }
}

diesel::table! {
    receipts (hash) {
        hash -> Text,
        record -> Text,
        sealed_envelope -> Binary,
        sealed_proof -> Nullable<Binary>,
    }
}

diesel::table! {
    packages (hash) {
        hash -> Text,
        first_seq -> BigInt,
        records -> BigInt,
        size_bytes -> BigInt,
        bytes -> Binary,
    }
}

diesel::allow_tables_to_appear_in_same_query!(records, visits, packages);
