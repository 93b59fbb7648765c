drop index serial_states_by_arrival;
drop index selection_draws_by_pool;
alter table selection_draws drop column chosen;
alter table selection_draws drop column pool_size;
alter table selection_draws drop column pool_sha256;
alter table selection_overrides drop column log_index;
alter table selection_overrides drop column document;
alter table risk_signals drop column log_index;
alter table risk_signals drop column document;
drop table rescoring_failures;
alter table rescorings drop column failed;
alter table rescorings drop column inputs;
create table policy_approvals_old (
    policy_hash text not null references policies (hash),
    user_id text not null references users (id),
    reason text not null,
    approved_at timestamp not null,
    primary key (policy_hash, user_id)
);
insert into policy_approvals_old (policy_hash, user_id, reason, approved_at)
select policy_hash, user_id, min(reason), min(approved_at) from policy_approvals group by policy_hash, user_id;
drop table policy_approvals;
alter table policy_approvals_old rename to policy_approvals;
create trigger policy_approvals_no_update before update on policy_approvals begin select raise(abort, 'policy_approvals are never changed or deleted'); end;
create trigger policy_approvals_no_delete before delete on policy_approvals begin select raise(abort, 'policy_approvals are never changed or deleted'); end;
