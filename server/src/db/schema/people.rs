//! People, their devices, and how they sign in.

diesel::table! {
    users (id) {
        id -> Text,
        login -> Text,
        name -> Text,
        password_hash -> Text,
        roles -> Text,
        created_at -> Timestamp,
        disabled_at -> Nullable<Timestamp>,
        mail -> Nullable<Text>,
    }
}

diesel::table! {
    login_attempts (login) {
        login -> Text,
        failures -> BigInt,
        blocked_until -> Timestamp,
    }
}

diesel::table! {
    refresh_tokens (token_hash) {
        token_hash -> Text,
        family -> Text,
        user_id -> Text,
        issued_at -> Timestamp,
        expires_at -> Timestamp,
        used_at -> Nullable<Timestamp>,
        revoked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    page_sessions (token_hash) {
        token_hash -> Text,
        user_id -> Text,
        csrf_token -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    devices (id) {
        id -> Text,
        user_id -> Text,
        name -> Text,
        agent -> Text,
        sign_in_fingerprint -> Text,
        sign_in_key -> Text,
        certificate -> Text,
        enrolled_at -> Timestamp,
        expires_at -> Timestamp,
        last_seen_at -> Nullable<Timestamp>,
        revoked_at -> Nullable<Timestamp>,
        revoke_reason -> Nullable<Text>,
        unsent_records -> Nullable<BigInt>,
        unsent_files -> Nullable<BigInt>,
        unsent_bytes -> Nullable<BigInt>,
        inventory_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    device_keys (fingerprint) {
        fingerprint -> Text,
        device_id -> Text,
        public_key -> Text,
        first_day -> Text,
        last_day -> Text,
    }
}

diesel::table! {
    device_certificates (device_id, number) {
        device_id -> Text,
        number -> BigInt,
        certificate -> Text,
        issued_at -> Timestamp,
    }
}

diesel::table! {
    enrolment_codes (code_hash) {
        code_hash -> Text,
        user_id -> Text,
        created_by -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        device_id -> Nullable<Text>,
    }
}

diesel::table! {
    used_assertions (jti) {
        jti -> Text,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    idempotency_keys (actor, idempotency_key) {
        actor -> Text,
        idempotency_key -> Text,
        request_hash -> Text,
        status -> BigInt,
        body -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    device_cameras (id) {
        id -> Text,
        device_id -> Text,
        make -> Text,
        model -> Text,
        serial -> Nullable<Text>,
        lens -> Nullable<Text>,
        width_px -> Nullable<BigInt>,
        height_px -> Nullable<BigInt>,
        quantisation -> Text,
        note -> Nullable<Text>,
        added_by -> Text,
        added_at -> Timestamp,
    }
}
