"""A stand-in for Supabase Storage, held against recordings of the real server: for any project that uses supabase-py.

Nothing of AudioStore is needed to use it, and no account.
"""

from __future__ import annotations

from audiostore.testing.supabase.fake import FakeSupabase, Seen
from audiostore.testing.supabase.mocking import mock_supabase
from audiostore.testing.supabase.model import Actor, Operation, Policy
from audiostore.testing.supabase.server import Server

__all__ = ["Actor", "FakeSupabase", "Operation", "Policy", "Seen", "Server", "mock_supabase"]
