//! Every table, one definition for both databases: `Text`, `BigInt`, `Binary`, `Timestamp`.

mod evidence;
mod jobs;
mod log;
mod people;
mod planning;
mod programme;
mod risk;

pub use evidence::*;
pub use jobs::*;
pub use log::*;
pub use people::*;
pub use planning::*;
pub use programme::*;
pub use risk::*;

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
    rescoring_failures,
    rescorings,
    selections,
    selection_draws,
    selection_overrides,
    rosters,
    plans,
    plan_progress,
    plan_results,
    plan_decisions,
);
