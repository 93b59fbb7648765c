//! Every table, one definition for both databases: `Text`, `BigInt`, `Binary`, `Timestamp`.

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
    parties (id) {
        id -> Text,
        key -> Text,
        name -> Text,
        aliases -> Text,
        kind -> Text,
        address -> Text,
        country -> Text,
        registration_no -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    sites (id) {
        id -> Text,
        key -> Text,
        party_id -> Text,
        name -> Text,
        address -> Text,
        country -> Text,
        time_zone -> Text,
        fence -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    licences (id) {
        id -> Text,
        key -> Text,
        number -> Text,
        authority -> Text,
        exporter_id -> Text,
        valid_from -> Text,
        valid_until -> Text,
        conditions -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    licence_lines (id) {
        id -> Text,
        licence_id -> Text,
        line -> BigInt,
        control_entry -> Text,
        description -> Text,
        quantity -> Text,
        unit -> Text,
        value_amount -> Nullable<BigInt>,
        value_currency -> Nullable<Text>,
    }
}

diesel::table! {
    shipments (id) {
        id -> Text,
        key -> Text,
        licence_line_id -> Text,
        exporter_id -> Text,
        intermediates -> Text,
        consignee_id -> Text,
        end_user_id -> Text,
        site_id -> Text,
        hs6 -> Text,
        declared_use -> Text,
        shipped_on -> Nullable<Text>,
        arrived_on -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    shipment_items (id) {
        id -> Text,
        shipment_id -> Text,
        key -> Text,
        manufacturer -> Text,
        part_number -> Text,
        description -> Text,
        serial -> Nullable<Text>,
        lot -> Nullable<Text>,
        quantity -> Text,
        unit -> Text,
        position -> BigInt,
    }
}

diesel::table! {
    checks (id) {
        id -> Text,
        shipment_id -> Text,
        kind -> Text,
        cause -> Text,
        reason -> Text,
        due_at -> Timestamp,
        opened_by -> Nullable<Text>,
        opened_at -> Timestamp,
        origin_key -> Nullable<Text>,
        selection_id -> Nullable<Text>,
        assessment_hash -> Nullable<Text>,
        item_sample -> Nullable<Text>,
    }
}

diesel::table! {
    checklist_templates (id, version) {
        id -> Text,
        version -> BigInt,
        document -> Text,
        hash -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    checklists (hash) {
        hash -> Text,
        document -> Text,
        frozen_at -> Timestamp,
    }
}

diesel::table! {
    visits (id) {
        id -> Text,
        check_id -> Text,
        site_id -> Text,
        inspector_id -> Nullable<Text>,
        state -> Text,
        version -> BigInt,
        window_start_at -> Timestamp,
        window_end_at -> Timestamp,
        due_at -> Timestamp,
        checklist_hash -> Nullable<Text>,
        outcome -> Nullable<Text>,
        reason -> Nullable<Text>,
        last_sync_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        change_no -> BigInt,
        created_at -> Timestamp,
    }
}

diesel::table! {
    visit_pulls (visit_id, device_id) {
        visit_id -> Text,
        device_id -> Text,
        version -> BigInt,
        pulled_at -> Timestamp,
        window_start_at -> Nullable<Timestamp>,
        window_end_at -> Nullable<Timestamp>,
        withdrawn_change_no -> Nullable<BigInt>,
    }
}

diesel::table! {
    visit_events (id) {
        id -> Text,
        visit_id -> Text,
        at -> Timestamp,
        actor -> Text,
        verb -> Text,
        detail -> Text,
        once_key -> Nullable<Text>,
    }
}

diesel::table! {
    counters (name) {
        name -> Text,
        value -> BigInt,
    }
}

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
    device_cameras (id) {
        id -> Text,
        device_id -> Text,
        make -> Text,
        model -> Text,
        serial -> Nullable<Text>,
        lens -> Nullable<Text>,
        width_px -> Nullable<BigInt>,
        height_px -> Nullable<BigInt>,
        note -> Nullable<Text>,
        added_by -> Text,
        added_at -> Timestamp,
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
    determination_approvals (determination_id) {
        determination_id -> Text,
        approver_id -> Text,
        approved_at -> Timestamp,
        log_index -> BigInt,
        document -> Nullable<Text>,
    }
}

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
    policy_approvals (policy_hash, user_id) {
        policy_hash -> Text,
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
    }
}

diesel::table! {
    party_history (history_key) {
        history_key -> Text,
        party_id -> Text,
        role -> Text,
        visit_id -> Text,
        happened -> Text,
        noted_at -> Timestamp,
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

diesel::allow_tables_to_appear_in_same_query!(
    job_states,
    job_runs,
    job_totals,
    scrub_rounds,
    file_faults,
    orphan_files,
    notices,
    serial_events,
    serial_rules,
    serial_states,
    custody_notes,
    derived_files,
    custody_pending,
    users,
    login_attempts,
    refresh_tokens,
    page_sessions,
    devices,
    device_keys,
    device_certificates,
    enrolment_codes,
    used_assertions,
    idempotency_keys,
    parties,
    sites,
    licences,
    licence_lines,
    shipments,
    shipment_items,
    checks,
    checklist_templates,
    checklists,
    visits,
    visit_pulls,
    visit_events,
    counters,
    records,
    evidence_files,
    photo_hashes,
    uploads,
    receipts,
    findings,
    device_cameras,
    device_fixes,
    item_sightings,
    determinations,
    determination_approvals,
    log_head,
    log_entries,
    log_cosignatures,
    carried_packages,
    outbox,
    policies,
    policy_shadows,
    policy_approvals,
    policy_activations,
    risk_signals,
    party_history,
    assessments,
    current_assessments,
    rescorings,
    selections,
    selection_draws,
    selection_overrides,
);
