-- The second person of a visit of two.
alter table visits add column second_id text references users (id);
create index visits_by_second on visits (second_id, change_no);

-- Who may be sent, when and where to: the operator's own data, as it was loaded. The newest counts.
create table rosters (
    hash text not null primary key,
    title text not null,
    document text not null,
    loaded_by text not null references users (id),
    loaded_at timestamp not null
);

-- A plan that was asked for: all that it is made from.
create table plans (
    id text not null primary key,
    roster_hash text not null references rosters (hash),
    note text not null,
    -- What goes into the search, as text: the same text, seeds and iterations give the same plan.
    case_document text not null,
    seed bigint not null,
    seeds bigint not null,
    iterations bigint not null,
    asked_by text not null references users (id),
    asked_at timestamp not null
);
create index plans_by_time on plans (asked_at, id);

-- How far the search is; stale where the server that searched is gone.
create table plan_progress (
    plan_id text not null primary key references plans (id),
    iterations_done bigint not null,
    stop_asked boolean not null,
    failure text,
    heard_at timestamp not null
);

create table plan_results (
    plan_id text not null primary key references plans (id),
    document text not null,
    hash text not null,
    -- Why what is left out is left out; worked out from the case and the document.
    reasons text not null,
    found_at timestamp not null
);

-- What was decided about a plan, once.
create table plan_decisions (
    plan_id text not null primary key references plans (id),
    verdict text not null,
    reason text not null,
    decided_by text not null references users (id),
    decided_at timestamp not null
);

create trigger rosters_no_update before update on rosters begin select raise(abort, 'rosters are never changed or deleted'); end;
create trigger rosters_no_delete before delete on rosters begin select raise(abort, 'rosters are never changed or deleted'); end;
create trigger plans_no_update before update on plans begin select raise(abort, 'plans are never changed or deleted'); end;
create trigger plans_no_delete before delete on plans begin select raise(abort, 'plans are never changed or deleted'); end;
create trigger plan_results_no_update before update on plan_results begin select raise(abort, 'plan_results are never changed or deleted'); end;
create trigger plan_results_no_delete before delete on plan_results begin select raise(abort, 'plan_results are never changed or deleted'); end;
create trigger plan_decisions_no_update before update on plan_decisions begin select raise(abort, 'plan_decisions are never changed or deleted'); end;
create trigger plan_decisions_no_delete before delete on plan_decisions begin select raise(abort, 'plan_decisions are never changed or deleted'); end;
