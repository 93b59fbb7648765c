drop table exports;
drop table derived_files;
drop table custody_ledger;
drop table custody_pending;
drop table custody_notes;
alter table determination_approvals drop column document;
alter table determinations drop column document;
