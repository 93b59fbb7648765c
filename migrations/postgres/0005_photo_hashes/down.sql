drop table photo_hashes;
delete from counters where name = 'photo_hashes';
