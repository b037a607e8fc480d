"""The accounting in Postgres: SQL functions, called through Supabase's PostgREST or over a direct connection."""
