//! Evidence, what was found in it, custody and conclusions.

diesel::table! {
    records (hash) {
        hash -> Text,
        device_id -> Text,
        seq -> Nullable<BigInt>,
        prev -> Nullable<Text>,
        keyid -> Text,
        visit_id -> Nullable<Text>,
        kind -> Text,
        device_at -> Nullable<Timestamp>,
        received_at -> Timestamp,
        log_index -> BigInt,
        quarantine_code -> Nullable<Text>,
        quarantine_detail -> Nullable<Text>,
        envelope -> Binary,
    }
}

diesel::table! {
    evidence_files (record_hash) {
        record_hash -> Text,
        device_id -> Text,
        visit_id -> Nullable<Text>,
        name -> Text,
        mime -> Text,
        size_bytes -> BigInt,
        sha256 -> Text,
        sealed_sha256 -> Text,
        sealed_size_bytes -> BigInt,
        state -> Text,
        stored_at -> Nullable<Timestamp>,
        problem -> Nullable<Text>,
        facts -> Nullable<Text>,
        thumbnail_sha256 -> Nullable<Text>,
        examined_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    photo_hashes (record_hash) {
        record_hash -> Text,
        position -> BigInt,
        sha256 -> Text,
        picture_sha256 -> Nullable<Text>,
        pdq -> Nullable<Text>,
        pdq_quality -> Nullable<BigInt>,
        dhash -> Nullable<Text>,
        phash -> Nullable<Text>,
        method -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    uploads (id) {
        id -> Text,
        owner -> Text,
        sealed_sha256 -> Text,
        size_bytes -> BigInt,
        completed_at -> Timestamp,
    }
}

diesel::table! {
    receipts (log_index) {
        log_index -> BigInt,
        device_id -> Text,
        record_hash -> Text,
        kind -> Text,
        envelope -> Text,
    }
}

diesel::table! {
    findings (id) {
        id -> Text,
        finding_key -> Text,
        visit_id -> Nullable<Text>,
        device_id -> Nullable<Text>,
        record_hash -> Nullable<Text>,
        signal -> Text,
        weight -> Text,
        summary -> Text,
        detail -> Text,
        uncertainty -> Text,
        explanations -> Text,
        method -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    device_fixes (record_hash) {
        record_hash -> Text,
        device_id -> Text,
        user_id -> Text,
        seq -> BigInt,
        taken_at -> Timestamp,
        lat_e7 -> BigInt,
        lon_e7 -> BigInt,
        accuracy_mm -> Nullable<BigInt>,
        boot -> Text,
        monotonic_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    item_sightings (record_hash) {
        record_hash -> Text,
        serial_key -> Text,
        device_id -> Text,
        visit_id -> Nullable<Text>,
        seen_at -> Timestamp,
    }
}

diesel::table! {
    determinations (id) {
        id -> Text,
        visit_id -> Text,
        outcome -> Text,
        reasons -> Text,
        reason -> Text,
        author_id -> Text,
        replaces -> Nullable<Text>,
        created_at -> Timestamp,
        log_index -> BigInt,
        document -> Nullable<Text>,
    }
}

diesel::table! {
    determination_approvals (determination_id) {
        determination_id -> Text,
        approver_id -> Text,
        approved_at -> Timestamp,
        log_index -> BigInt,
        document -> Nullable<Text>,
    }
}

diesel::table! {
    custody_notes (id) {
        id -> Text,
        note_key -> Nullable<Text>,
        visit_id -> Nullable<Text>,
        noted_at -> Timestamp,
        note -> Text,
    }
}

diesel::table! {
    custody_pending (note_id) {
        note_id -> Text,
    }
}

diesel::table! {
    custody_ledger (log_index, position) {
        log_index -> BigInt,
        position -> BigInt,
        note_id -> Text,
        visit -> Text,
        number -> BigInt,
        entry -> Text,
    }
}

diesel::table! {
    derived_files (parent_record, sha256) {
        sha256 -> Text,
        parent_record -> Text,
        visit_id -> Nullable<Text>,
        name -> Text,
        mime -> Text,
        size_bytes -> BigInt,
        made_by -> Text,
        why -> Text,
        created_at -> Timestamp,
        log_index -> BigInt,
    }
}

diesel::table! {
    exports (id) {
        id -> Text,
        visit_id -> Text,
        log_size -> BigInt,
        bag_sha256 -> Text,
        redacted -> Bool,
        recipients -> Text,
        exported_by -> Text,
        why -> Text,
        created_at -> Timestamp,
        log_index -> BigInt,
    }
}

diesel::table! {
    carried_packages (id) {
        id -> Text,
        package -> Text,
        device_id -> Nullable<Text>,
        carried_by -> Text,
        taken_in_at -> Timestamp,
        report -> Text,
    }
}
