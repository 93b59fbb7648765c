-- What was computed from each photo held, to find the same picture again. In the order of `position`, which has no
-- gaps that fill later: who has seen all up to one has seen everything before it.
create table photo_hashes (
    record_hash text primary key not null references records (hash),
    position bigint not null unique,
    sha256 text not null,
    -- Of the picture data without what is said about it; absent where the format does not tell them apart,
    -- and where there is too little to be seen for it to mean anything.
    picture_sha256 text,
    -- Absent, with the others, where the pixels were not seen or are too few.
    pdq text,
    pdq_quality bigint,
    dhash text,
    phash text,
    method text not null,
    created_at timestamp not null
);
create index photo_hashes_by_sha256 on photo_hashes (sha256);
create index photo_hashes_by_picture on photo_hashes (picture_sha256);
insert into counters (name, value) values ('photo_hashes', 0);

create trigger photo_hashes_no_update before update on photo_hashes begin select raise(abort, 'photo_hashes are never changed or deleted'); end;
create trigger photo_hashes_no_delete before delete on photo_hashes begin select raise(abort, 'photo_hashes are never changed or deleted'); end;
