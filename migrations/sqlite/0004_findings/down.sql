alter table findings drop column uncertainty;
