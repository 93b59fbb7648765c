//! Policies, assessments, draws; serials.

diesel::table! {
    policies (hash) {
        hash -> Text,
        id -> Text,
        version -> BigInt,
        title -> Text,
        review_by -> Text,
        document -> Binary,
        loaded_by -> Text,
        loaded_at -> Timestamp,
    }
}

diesel::table! {
    policy_shadows (id) {
        id -> Text,
        policy_hash -> Text,
        against_hash -> Nullable<Text>,
        run_at -> Timestamp,
        report -> Text,
    }
}

diesel::table! {
    policy_approvals (shadow_id, user_id) {
        policy_hash -> Text,
        shadow_id -> Text,
        user_id -> Text,
        reason -> Text,
        approved_at -> Timestamp,
    }
}

diesel::table! {
    policy_activations (number) {
        number -> BigInt,
        policy_hash -> Text,
        activated_at -> Timestamp,
        document -> Text,
        log_index -> BigInt,
    }
}

diesel::table! {
    risk_signals (id) {
        id -> Text,
        kind -> Text,
        code -> Text,
        note -> Text,
        shipment_id -> Nullable<Text>,
        party_id -> Nullable<Text>,
        author_id -> Text,
        noted_at -> Timestamp,
        withdraws -> Nullable<Text>,
        document -> Nullable<Text>,
        log_index -> Nullable<BigInt>,
    }
}

diesel::table! {
    assessments (hash) {
        hash -> Text,
        shipment_id -> Text,
        policy_hash -> Text,
        assessed_at -> Timestamp,
        band -> Text,
        points -> BigInt,
        document -> Text,
    }
}

diesel::table! {
    current_assessments (shipment_id) {
        shipment_id -> Text,
        assessment_hash -> Text,
        policy_hash -> Text,
        band -> Text,
        points -> BigInt,
    }
}

diesel::table! {
    rescorings (id) {
        id -> Text,
        policy_hash -> Text,
        cause -> Text,
        started_at -> Timestamp,
        after_shipment -> Text,
        done -> BigInt,
        changed -> BigInt,
        total -> BigInt,
        finished_at -> Nullable<Timestamp>,
        inputs -> BigInt,
        failed -> BigInt,
    }
}

diesel::table! {
    rescoring_failures (rescoring_id, shipment_id) {
        rescoring_id -> Text,
        shipment_id -> Text,
        error -> Text,
    }
}

diesel::table! {
    selections (id) {
        id -> Text,
        policy_hash -> Text,
        capacity -> BigInt,
        note -> Text,
        seed -> Text,
        committed_by -> Text,
        committed_at -> Timestamp,
        document -> Text,
        log_index -> BigInt,
    }
}

diesel::table! {
    selection_draws (selection_id) {
        selection_id -> Text,
        drawn_by -> Text,
        drawn_at -> Timestamp,
        document -> Text,
        log_index -> BigInt,
        pool_sha256 -> Text,
        pool_size -> BigInt,
        chosen -> BigInt,
    }
}

diesel::table! {
    selection_overrides (id) {
        id -> Text,
        selection_id -> Text,
        shipment_id -> Text,
        act -> Text,
        reason -> Text,
        author_id -> Text,
        noted_at -> Timestamp,
        document -> Nullable<Text>,
        log_index -> Nullable<BigInt>,
    }
}

diesel::table! {
    serial_events (id) {
        id -> Text,
        item_id -> Text,
        kind -> Text,
        happened_at -> Timestamp,
        recorded_at -> Timestamp,
        actor -> Text,
        visit_id -> Nullable<Text>,
        record_hash -> Nullable<Text>,
        replaces_record -> Nullable<Text>,
        corrects -> Nullable<Text>,
        detail -> Text,
        document -> Nullable<Text>,
        log_index -> Nullable<BigInt>,
    }
}

diesel::table! {
    serial_rules (hash) {
        hash -> Text,
        document -> Text,
        since_at -> Timestamp,
    }
}

diesel::table! {
    serial_states (item_id) {
        item_id -> Text,
        shipment_id -> Text,
        serial -> Text,
        control_entry -> Text,
        authority -> Text,
        declared_host_id -> Text,
        declared_site_id -> Text,
        declared_country -> Text,
        rules_hash -> Text,
        tier -> BigInt,
        status -> Text,
        host_id -> Text,
        site_id -> Text,
        country -> Text,
        arrived_on -> Nullable<Text>,
        last_seen_at -> Nullable<Timestamp>,
        seen_method -> Nullable<Text>,
        seen_visit_id -> Nullable<Text>,
        seen_site_id -> Nullable<Text>,
        due_at -> Nullable<Timestamp>,
        due_since -> Nullable<Text>,
        due_from -> Nullable<Text>,
        due_order -> Timestamp,
        said -> Nullable<Text>,
        loss_id -> Nullable<Text>,
        loss_is_late -> Bool,
        events -> BigInt,
        needs_check -> Bool,
    }
}
