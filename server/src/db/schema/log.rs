//! The log and who cosigned it.

diesel::table! {
    log_head (id) {
        id -> BigInt,
        size -> BigInt,
        compact_range -> Text,
    }
}

diesel::table! {
    log_nodes (level, position) {
        level -> BigInt,
        position -> BigInt,
        hash -> Text,
    }
}

diesel::table! {
    log_entries (idx) {
        idx -> BigInt,
        kind -> Text,
        subject -> Text,
        salt -> Text,
        entry -> Binary,
        leaf_hash -> Text,
        logged_at -> Timestamp,
    }
}

diesel::table! {
    log_cosignatures (witness, size) {
        witness -> Text,
        size -> BigInt,
        root -> Text,
        cosigned_at_s -> BigInt,
        line -> Text,
        received_at -> Timestamp,
    }
}
