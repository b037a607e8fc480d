"""Events: what the store did, told to whoever wants to count, log or trace it."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

_log = logging.getLogger("audiostore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    ``name`` is ``<operation>.started``, ``.finished`` or ``.failed``, e.g. ``put.finished``; ``duration`` float
    seconds (None at the start); ``bytes`` what was moved, where bytes move; ``error`` what a failed operation raised.
    No event ever carries a token, a secret or a file's bytes.
    """

    name: str
    owner: str | None = None
    file: str | None = None
    key: str | None = None
    backend: str | None = None
    bytes: int | None = None
    duration: float | None = None
    error: BaseException | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any], hash=False)


Handler: TypeAlias = Callable[[Event], None]


class Events:
    """Who listens to what. Handlers run in the thread that did the work, in the order in which they were added."""

    def __init__(self) -> None:
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Call *handler* for each event called *name* (``"*"``: every event); call what is given back to stop."""
        self._handlers[name].append(handler)

        def off() -> None:
            if handler in self._handlers[name]:
                self._handlers[name].remove(handler)

        return off

    def tell(self, event: Event) -> None:
        """Hand *event* to its handlers. One that raises is logged: a broken counter must not lose a take."""
        for handler in (*self._handlers.get(event.name, ()), *self._handlers.get("*", ())):
            try:
                handler(event)
            except Exception:  # noqa: BLE001 - it is a stranger's code
                _log.exception("a handler of %s failed", event.name)

    @contextmanager
    def operation(self, name: str, **facts: Any) -> Generator[Progressing]:
        """Tell of the start, and of the end or the failure with its duration, of what runs inside."""
        begun = time.perf_counter()
        progressing = Progressing(Event(name=name, **facts))
        self.tell(replace(progressing.event, name=f"{name}.started"))
        try:
            yield progressing
        except BaseException as error:
            lasted = time.perf_counter() - begun
            self.tell(replace(progressing.event, name=f"{name}.failed", duration=lasted, error=error))
            raise
        lasted = time.perf_counter() - begun
        self.tell(replace(progressing.event, name=f"{name}.finished", duration=lasted))


class Progressing:
    """An operation under way, which learns its facts as it goes."""

    def __init__(self, event: Event) -> None:
        self.event = event

    def learn(self, **facts: Any) -> None:
        """Add facts to the event that will be told at the end."""
        self.event = replace(self.event, **facts)
