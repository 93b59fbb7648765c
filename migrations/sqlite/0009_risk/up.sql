-- Risk policies; two people put one into force. The newest activation is the one in force.
create table policies (
    hash text primary key not null,
    id text not null,
    version bigint not null,
    title text not null,
    review_by text not null,
    document blob not null,
    loaded_by text not null references users (id),
    loaded_at timestamp not null,
    unique (id, version)
);
create table policy_shadows (
    id text primary key not null,
    policy_hash text not null references policies (hash),
    -- The policy in force at the time, if any.
    against_hash text references policies (hash),
    run_at timestamp not null,
    report text not null
);
create index policy_shadows_by_policy on policy_shadows (policy_hash, run_at);
create table policy_approvals (
    policy_hash text not null references policies (hash),
    user_id text not null references users (id),
    reason text not null,
    approved_at timestamp not null,
    primary key (policy_hash, user_id)
);
create table policy_activations (
    number bigint primary key not null,
    policy_hash text not null unique references policies (hash),
    activated_at timestamp not null,
    document text not null,
    log_index bigint not null
);

-- What is known of parties and shipments besides their papers
create table risk_signals (
    id text primary key not null,
    kind text not null,
    code text not null,
    note text not null,
    shipment_id text references shipments (id),
    party_id text references parties (id),
    author_id text not null references users (id),
    noted_at timestamp not null,
    -- The signal that this one takes back.
    withdraws text unique references risk_signals (id)
);
create index risk_signals_by_shipment on risk_signals (shipment_id);
create index risk_signals_by_party on risk_signals (party_id);
create table party_history (
    history_key text primary key not null,
    party_id text not null references parties (id),
    role text not null,
    visit_id text not null references visits (id),
    happened text not null,
    noted_at timestamp not null
);
create index party_history_by_party on party_history (party_id);
insert into party_history (history_key, party_id, role, visit_id, happened, noted_at)
select 'determination:' || d.id || ':' || r.role,
    case r.role when 'end_user' then s.end_user_id when 'consignee' then s.consignee_id else s.exporter_id end,
    r.role, d.visit_id, d.outcome, coalesce(a.approved_at, d.created_at)
from determinations d
join visits v on v.id = d.visit_id
join checks c on c.id = v.check_id
join shipments s on s.id = c.shipment_id
cross join (select 'end_user' as role union all select 'consignee' union all select 'exporter') r
left join determination_approvals a on a.determination_id = d.id
where d.replaces is null or a.determination_id is not null;
insert into party_history (history_key, party_id, role, visit_id, happened, noted_at)
select 'denied:' || v.id || ':' || r.role,
    case r.role when 'end_user' then s.end_user_id else s.consignee_id end,
    r.role, v.id, v.outcome, v.finished_at
from visits v
join checks c on c.id = v.check_id
join shipments s on s.id = c.shipment_id
cross join (select 'end_user' as role union all select 'consignee') r
where v.outcome in ('access_denied_party', 'access_denied_state') and v.finished_at is not null;

-- Assessments are named by the SHA-256 of their document.
create table assessments (
    hash text primary key not null,
    shipment_id text not null references shipments (id),
    policy_hash text not null references policies (hash),
    assessed_at timestamp not null,
    band text not null,
    points bigint not null,
    document text not null
);
create index assessments_by_shipment on assessments (shipment_id, assessed_at);
-- The newest assessment of each shipment; follows from the above.
create table current_assessments (
    shipment_id text primary key not null references shipments (id),
    assessment_hash text not null references assessments (hash),
    policy_hash text not null references policies (hash),
    band text not null,
    points bigint not null
);
create index current_assessments_by_points on current_assessments (policy_hash, points);
create table rescorings (
    id text primary key not null,
    policy_hash text not null references policies (hash),
    cause text not null,
    started_at timestamp not null,
    -- Up to and including this shipment it is done.
    after_shipment text not null,
    done bigint not null,
    changed bigint not null,
    total bigint not null,
    finished_at timestamp
);

-- The draw: what it will be made with is committed to before it is made.
create table selections (
    id text primary key not null,
    policy_hash text not null references policies (hash),
    capacity bigint not null,
    note text not null,
    seed text not null,
    committed_by text not null references users (id),
    committed_at timestamp not null,
    document text not null,
    log_index bigint not null
);
create table selection_draws (
    selection_id text primary key not null references selections (id),
    drawn_by text not null references users (id),
    drawn_at timestamp not null,
    document text not null,
    log_index bigint not null
);
create table selection_overrides (
    id text primary key not null,
    selection_id text not null references selections (id),
    shipment_id text not null references shipments (id),
    act text not null,
    reason text not null,
    author_id text not null references users (id),
    noted_at timestamp not null,
    unique (selection_id, shipment_id)
);

alter table checks add column selection_id text references selections (id);
alter table checks add column assessment_hash text references assessments (hash);
-- JSON list of the ids of the items to be seen; absent: all of them.
alter table checks add column item_sample text;
create index checks_by_selection on checks (selection_id);

create trigger policies_no_update before update on policies begin select raise(abort, 'policies are never changed or deleted'); end;
create trigger policies_no_delete before delete on policies begin select raise(abort, 'policies are never changed or deleted'); end;
create trigger policy_shadows_no_update before update on policy_shadows begin select raise(abort, 'policy_shadows are never changed or deleted'); end;
create trigger policy_shadows_no_delete before delete on policy_shadows begin select raise(abort, 'policy_shadows are never changed or deleted'); end;
create trigger policy_approvals_no_update before update on policy_approvals begin select raise(abort, 'policy_approvals are never changed or deleted'); end;
create trigger policy_approvals_no_delete before delete on policy_approvals begin select raise(abort, 'policy_approvals are never changed or deleted'); end;
create trigger policy_activations_no_update before update on policy_activations begin select raise(abort, 'policy_activations are never changed or deleted'); end;
create trigger policy_activations_no_delete before delete on policy_activations begin select raise(abort, 'policy_activations are never changed or deleted'); end;
create trigger risk_signals_no_update before update on risk_signals begin select raise(abort, 'risk_signals are never changed or deleted'); end;
create trigger risk_signals_no_delete before delete on risk_signals begin select raise(abort, 'risk_signals are never changed or deleted'); end;
create trigger party_history_no_update before update on party_history begin select raise(abort, 'party_history is never changed or deleted'); end;
create trigger party_history_no_delete before delete on party_history begin select raise(abort, 'party_history is never changed or deleted'); end;
create trigger assessments_no_update before update on assessments begin select raise(abort, 'assessments are never changed or deleted'); end;
create trigger assessments_no_delete before delete on assessments begin select raise(abort, 'assessments are never changed or deleted'); end;
create trigger selections_no_update before update on selections begin select raise(abort, 'selections are never changed or deleted'); end;
create trigger selections_no_delete before delete on selections begin select raise(abort, 'selections are never changed or deleted'); end;
create trigger selection_draws_no_update before update on selection_draws begin select raise(abort, 'selection_draws are never changed or deleted'); end;
create trigger selection_draws_no_delete before delete on selection_draws begin select raise(abort, 'selection_draws are never changed or deleted'); end;
create trigger selection_overrides_no_update before update on selection_overrides begin select raise(abort, 'selection_overrides are never changed or deleted'); end;
create trigger selection_overrides_no_delete before delete on selection_overrides begin select raise(abort, 'selection_overrides are never changed or deleted'); end;
