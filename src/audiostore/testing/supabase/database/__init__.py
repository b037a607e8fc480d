"""The database of a fake project as PostgREST shows it: tables and functions in memory, or a real Postgres."""
