"""What the racers and their judge agree on."""

from __future__ import annotations

from datetime import timedelta

from audiostore.models import Limits

OWNER = "alice"
THREADS = 32
PROCESSES = 4
LIMITS = Limits(total=2_000, files=200)
SHORT = timedelta(milliseconds=100)
"""How long the room of a dead upload is kept."""
LONG = timedelta(minutes=5)
STOP = "stop"
