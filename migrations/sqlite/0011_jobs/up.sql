-- What time brings about: a job for each row, its ticks, and how each went.

-- Up to which tick a job's schedule was taken up; the row is the job's lock.
create table job_states (
    job text primary key not null,
    last_tick_at timestamp not null
);

-- A run for each tick. Ended ones are forgotten after a while.
create table job_runs (
    job text not null,
    tick_at timestamp not null,
    -- Who asked for it; nobody where the schedule did.
    asked_by text,
    -- Ticks before this one that nobody was there for, and that it stands for.
    missed bigint not null,
    -- waiting, running, retrying, done, failed.
    state text not null,
    holder text,
    -- Counts the holders: who has an older number has lost the run.
    attempts bigint not null,
    started_at timestamp,
    lease_until timestamp,
    retry_at timestamp,
    finished_at timestamp,
    outcome text,
    primary key (job, tick_at)
);
create index job_runs_unfinished on job_runs (job) where finished_at is null;

-- How many runs ever ended so; outlives the runs.
create table job_totals (
    job text not null,
    outcome text not null,
    runs bigint not null,
    primary key (job, outcome)
);

-- Rounds through the stored files, each hashed anew.
create table scrub_rounds (
    number bigint primary key not null,
    started_at timestamp not null,
    finished_at timestamp,
    -- The file looked at last.
    reached text not null,
    files bigint not null,
    size_bytes bigint not null
);

-- Stored files that are gone or other than their name.
create table file_faults (
    sha256 text primary key not null,
    -- missing, or changed.
    fault text not null,
    detail text not null,
    found_at timestamp not null,
    last_seen_at timestamp not null,
    mended_at timestamp
);

-- Stored files that no row names.
create table orphan_files (
    sha256 text primary key not null,
    size_bytes bigint not null,
    found_at timestamp not null,
    last_seen_at timestamp not null
);

-- What a person is told.
create table notices (
    id text primary key not null,
    -- The same thing is told once.
    once_key text not null unique,
    user_id text not null references users (id),
    visit_id text references visits (id),
    kind text not null,
    title text not null,
    body text not null,
    created_at timestamp not null
);
create index notices_user on notices (user_id, created_at);

-- Where a person is written to.
alter table users add column mail text;
-- When no further try is made.
alter table outbox add column dead_at timestamp;
