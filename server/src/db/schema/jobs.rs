//! What time brings about, and what people are told.

diesel::table! {
    outbox (id) {
        id -> Text,
        once_key -> Text,
        kind -> Text,
        payload -> Text,
        due_at -> Timestamp,
        attempts -> BigInt,
        claimed_until -> Nullable<Timestamp>,
        done_at -> Nullable<Timestamp>,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
        dead_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    job_states (job) {
        job -> Text,
        last_tick_at -> Timestamp,
    }
}

diesel::table! {
    job_runs (job, tick_at) {
        job -> Text,
        tick_at -> Timestamp,
        asked_by -> Nullable<Text>,
        missed -> BigInt,
        state -> Text,
        holder -> Nullable<Text>,
        attempts -> BigInt,
        started_at -> Nullable<Timestamp>,
        lease_until -> Nullable<Timestamp>,
        retry_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        outcome -> Nullable<Text>,
    }
}

diesel::table! {
    job_totals (job, outcome) {
        job -> Text,
        outcome -> Text,
        runs -> BigInt,
    }
}

diesel::table! {
    scrub_rounds (number) {
        number -> BigInt,
        started_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        reached -> Text,
        files -> BigInt,
        size_bytes -> BigInt,
    }
}

diesel::table! {
    file_faults (sha256) {
        sha256 -> Text,
        fault -> Text,
        detail -> Text,
        found_at -> Timestamp,
        last_seen_at -> Timestamp,
        mended_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    orphan_files (sha256) {
        sha256 -> Text,
        size_bytes -> BigInt,
        found_at -> Timestamp,
        last_seen_at -> Timestamp,
    }
}

diesel::table! {
    notices (id) {
        id -> Text,
        once_key -> Text,
        user_id -> Text,
        visit_id -> Nullable<Text>,
        kind -> Text,
        title -> Text,
        body -> Text,
        created_at -> Timestamp,
    }
}
