//! Rosters and plans.

diesel::table! {
    rosters (hash) {
        hash -> Text,
        title -> Text,
        document -> Text,
        loaded_by -> Text,
        loaded_at -> Timestamp,
    }
}

diesel::table! {
    plans (id) {
        id -> Text,
        roster_hash -> Text,
        note -> Text,
        case_document -> Text,
        seed -> BigInt,
        seeds -> BigInt,
        iterations -> BigInt,
        asked_by -> Text,
        asked_at -> Timestamp,
    }
}

diesel::table! {
    plan_progress (plan_id) {
        plan_id -> Text,
        iterations_done -> BigInt,
        stop_asked -> Bool,
        failure -> Nullable<Text>,
        heard_at -> Timestamp,
    }
}

diesel::table! {
    plan_results (plan_id) {
        plan_id -> Text,
        document -> Text,
        hash -> Text,
        reasons -> Text,
        found_at -> Timestamp,
    }
}

diesel::table! {
    plan_decisions (plan_id) {
        plan_id -> Text,
        verdict -> Text,
        reason -> Text,
        decided_by -> Text,
        decided_at -> Timestamp,
    }
}
