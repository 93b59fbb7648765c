-- What the device was last told of the visit's window, and at which change of the visit it was told that the
-- visit is no longer its inspector's: it hears nothing after that.
alter table visit_pulls add column window_start_at timestamp;
alter table visit_pulls add column window_end_at timestamp;
alter table visit_pulls add column withdrawn_change_no bigint;
update visit_pulls set
    window_start_at = (select window_start_at from visits where visits.id = visit_pulls.visit_id),
    window_end_at = (select window_end_at from visits where visits.id = visit_pulls.visit_id);
