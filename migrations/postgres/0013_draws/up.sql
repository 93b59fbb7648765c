-- An approval is about one shadow run. Those from before are about the newest run that they could have seen.
create table policy_approvals_new (
    policy_hash text not null references policies (hash),
    shadow_id text not null references policy_shadows (id),
    user_id text not null references users (id),
    reason text not null,
    approved_at timestamp not null,
    primary key (shadow_id, user_id)
);
insert into policy_approvals_new (policy_hash, shadow_id, user_id, reason, approved_at)
select a.policy_hash, s.id, a.user_id, a.reason, a.approved_at
from policy_approvals a
join policy_shadows s on s.policy_hash = a.policy_hash
where s.run_at <= a.approved_at and not exists (
    select 1 from policy_shadows t
    where t.policy_hash = a.policy_hash and t.run_at <= a.approved_at
        and (t.run_at > s.run_at or (t.run_at = s.run_at and t.id > s.id))
);
drop table policy_approvals;
alter table policy_approvals_new rename to policy_approvals;
create trigger policy_approvals_kept before update or delete on policy_approvals for each row execute function refuse_change();
create trigger policy_approvals_not_emptied before truncate on policy_approvals for each statement execute function refuse_change();

-- What a walk over all shipments had to go by when it began, and shipments that it could not assess.
alter table rescorings add column inputs bigint not null default 0;
alter table rescorings add column failed bigint not null default 0;
create table rescoring_failures (
    rescoring_id text not null references rescorings (id),
    shipment_id text not null references shipments (id),
    error text not null,
    primary key (rescoring_id, shipment_id)
);

-- The exact bytes that the log commits to.
alter table risk_signals add column document text;
alter table risk_signals add column log_index bigint;
alter table selection_overrides add column document text;
alter table selection_overrides add column log_index bigint;

-- What lists say of a draw without its document.
alter table selection_draws add column pool_sha256 text not null default '';
alter table selection_draws add column pool_size bigint not null default 0;
alter table selection_draws add column chosen bigint not null default 0;
alter table selection_draws disable trigger selection_draws_kept;
update selection_draws set
    pool_sha256 = document::json ->> 'pool_sha256',
    pool_size = (document::json ->> 'pool_size')::bigint,
    chosen = json_array_length(document::json -> 'chosen');
alter table selection_draws enable trigger selection_draws_kept;
create index selection_draws_by_pool on selection_draws (pool_sha256);

-- What waits for its arrival.
create index serial_states_by_arrival on serial_states (arrived_on);
