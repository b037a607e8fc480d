"""Who sent a request, by each of the three rules that the routes have for it."""

from __future__ import annotations

from audiostore.testing.supabase import refusals
from audiostore.testing.supabase.actors import Actor
from audiostore.testing.supabase.model import Project
from audiostore.testing.supabase.wire import Request


def actor_of(project: Project, request: Request) -> Actor:
    """Give who sent it; the ``apikey`` header alone is nobody."""
    if "authorization" not in request.headers:
        raise refusals.missing("headers", "authorization")
    return project.actor(request.headers["authorization"])


def anyone_of(project: Project, request: Request) -> Actor | None:
    """Give who sent it, or None: the reading routes take a bad or expired token for none at all."""
    try:
        return project.actor(request.headers.get("authorization", ""))
    except refusals.NotAuthenticated:
        return None


def tus_actor_of(project: Project, request: Request) -> Actor:
    return project.actor(request.headers.get("authorization", ""))
