"""A stand-in for a Supabase project, held against recordings of the real servers: for whatever uses supabase-py.

Nothing of AudioStore is needed to use it, and no account.
"""

from __future__ import annotations

from audiostore.testing.supabase.actors import Actor, Operation
from audiostore.testing.supabase.database.functions import RowSet
from audiostore.testing.supabase.database.refusals import SqlError
from audiostore.testing.supabase.database.tables import RowPolicy
from audiostore.testing.supabase.fake import FakeSupabase, Seen
from audiostore.testing.supabase.mocking import mock_supabase
from audiostore.testing.supabase.model import Policy
from audiostore.testing.supabase.server import Server

__all__ = [
    "Actor",
    "FakeSupabase",
    "Operation",
    "Policy",
    "RowPolicy",
    "RowSet",
    "Seen",
    "Server",
    "SqlError",
    "mock_supabase",
]
