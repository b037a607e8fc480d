-- What the app had before it tracked storage: credits, and the usual policies of a row of one's own.
create table public.user_credits (
  id uuid primary key default gen_random_uuid(),
  user_id uuid unique references auth.users (id) on delete cascade,
  credits_balance integer not null default 0,
  total_purchased integer not null default 0,
  updated_at timestamptz default now()
);
alter table public.user_credits enable row level security;
create policy "read own credits" on public.user_credits for select using (auth.uid() = user_id);
create policy "insert own credits" on public.user_credits for insert with check (auth.uid() = user_id);
create policy "update own credits" on public.user_credits for update using (auth.uid() = user_id);

insert into auth.users (id, email) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'alice@example.com'),
  ('bbbbbbbb-0000-4000-8000-000000000002', 'bob@example.com'),
  ('cccccccc-0000-4000-8000-000000000003', 'carol@example.com'),
  ('dddddddd-0000-4000-8000-000000000004', 'dave@example.com');
insert into public.user_credits (user_id, credits_balance, total_purchased) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 10, 0),
  ('bbbbbbbb-0000-4000-8000-000000000002', 10, 100),
  ('cccccccc-0000-4000-8000-000000000003', 10, 0);
