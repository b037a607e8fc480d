-- A year later. The app's SQL (09, 10) ran; alice, bob and carol have files; dave never had a row of credits.
update public.user_credits set storage_quota_mb = 50000 where user_id = 'cccccccc-0000-4000-8000-000000000003';
alter table public.file_uploads disable trigger user; -- dave's rows, and alice's count, are as wrong as they were left

insert into public.file_uploads (id, user_id, project_id, filename, file_size_mb, storage_path, chapter_id, section_id,
                                 upload_status, created_at) values
  -- the object is there: its size is known to the byte
  ('00000000-0000-4000-8000-000000000001', 'aaaaaaaa-0000-4000-8000-000000000001', 'book', 'one.wav', 1.00,
   'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_1/one.wav', 1, 1, 'completed', '2025-01-01Z'),
  -- stored once, recorded three times, by retries
  ('00000000-0000-4000-8000-000000000002', 'aaaaaaaa-0000-4000-8000-000000000001', 'book', 'two.wav', 2.00,
   'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_2/two.wav', 1, 2, 'completed', '2025-01-02Z'),
  ('00000000-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001', 'book', 'two.wav', 2.00,
   'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_2/two.wav', 1, 2, 'completed', '2025-01-03Z'),
  ('00000000-0000-4000-8000-000000000004', 'aaaaaaaa-0000-4000-8000-000000000001', 'book', 'two.wav', 2.00,
   'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_2/two.wav', 1, 2, 'completed', '2025-01-04Z'),
  -- the object is gone: the megabytes are all there is
  ('00000000-0000-4000-8000-000000000005', 'bbbbbbbb-0000-4000-8000-000000000002', 'pod', 'old.mp3', 0.51,
   'bbbbbbbb-0000-4000-8000-000000000002/pod/chapter_1/section_1/old.mp3', 1, 1, 'completed', '2025-01-05Z'),
  -- never finished; no status at all
  ('00000000-0000-4000-8000-000000000006', 'bbbbbbbb-0000-4000-8000-000000000002', 'pod', 'lost.mp3', 9.00,
   'bbbbbbbb-0000-4000-8000-000000000002/pod/chapter_1/section_2/lost.mp3', 1, 2, 'failed', '2025-01-06Z'),
  ('00000000-0000-4000-8000-000000000007', 'bbbbbbbb-0000-4000-8000-000000000002', 'pod', 'null.mp3', 3.00,
   'bbbbbbbb-0000-4000-8000-000000000002/pod/chapter_1/section_3/null.mp3', 1, 3, null, '2025-01-07Z'),
  -- no row of credits, so never tracked
  ('00000000-0000-4000-8000-000000000008', 'dddddddd-0000-4000-8000-000000000004', 'book', 'dave.wav', 4.00,
   'dddddddd-0000-4000-8000-000000000004/book/chapter_1/section_1/dave.wav', 1, 1, 'completed', '2025-01-08Z'),
  -- nobody's
  ('00000000-0000-4000-8000-000000000009', null, 'book', 'nobody.wav', 5.00, 'somewhere/nobody.wav', 1, 1,
   'completed', '2025-01-09Z'),
  -- bob says that a file of alice's is his
  ('00000000-0000-4000-8000-00000000000a', 'bbbbbbbb-0000-4000-8000-000000000002', 'pod', 'stolen.wav', 0.00,
   'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_9/section_9/secret.wav', 1, 1, 'completed', '2025-01-10Z'),
  -- rounds to nothing, and is something
  ('00000000-0000-4000-8000-00000000000b', 'aaaaaaaa-0000-4000-8000-000000000001', 'book', 'tiny.wav', 0.00,
   'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_3/tiny.wav', 1, 3, 'completed', '2025-01-11Z');
alter table public.file_uploads enable trigger user;

insert into storage.objects (bucket_id, name, metadata) values
  ('audio-files', 'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_1/one.wav',
   '{"size": 1048000, "mimetype": "audio/wav"}'),
  ('audio-files', 'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_2/two.wav', '{"size": 2097152}'),
  ('audio-files', 'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_9/section_9/secret.wav', '{"size": 777}'),
  ('audio-files', 'aaaaaaaa-0000-4000-8000-000000000001/book/chapter_1/section_3/tiny.wav', '{"size": 5242}'),
  ('audio-files', 'bbbbbbbb-0000-4000-8000-000000000002/pod/chapter_1/section_3/null.mp3', '{"size": "broken"}'),
  ('audio-files', 'dddddddd-0000-4000-8000-000000000004/book/chapter_1/section_1/dave.wav', '{"size": 4000000}');

update public.user_credits set storage_used_mb = 500 where user_id = 'aaaaaaaa-0000-4000-8000-000000000001';
update public.user_credits set storage_quota_mb = null, storage_used_mb = null
where user_id = 'bbbbbbbb-0000-4000-8000-000000000002';
