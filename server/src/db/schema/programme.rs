//! The programme: parties, sites, shipments, checks and visits.

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
        second_id -> Nullable<Text>,
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
