"""``mock_supabase``: a fake for the length of a block, a test or a coroutine."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, overload

from audiostore.testing.supabase.fake import FakeSupabase, Others


class Mock:
    """One use of ``mock_supabase``: a context manager, a decorator, or ``start()`` and ``stop()``."""

    def __init__(self, *, url: str | None, jwt_secret: str | None, seed: int | None, others: Others) -> None:
        self._make = functools.partial(FakeSupabase, url=url, jwt_secret=jwt_secret, seed=seed, others=others)
        self._started: list[FakeSupabase] = []

    def start(self) -> FakeSupabase:
        fake = self._make().start()
        self._started.append(fake)
        return fake

    def stop(self) -> None:
        self._started.pop().stop()

    def __enter__(self) -> FakeSupabase:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __call__(self, test: Callable[..., Any]) -> Callable[..., Any]:
        """Run *test* with a new fake each time, which it gets as ``fake`` if it has such a parameter."""
        signature = inspect.signature(test)
        wanted = "fake" in signature.parameters

        @functools.wraps(test)
        def run(*arguments: Any, **named: Any) -> Any:
            with self._make() as fake:
                return test(*arguments, **named, **({"fake": fake} if wanted else {}))

        @functools.wraps(test)
        async def run_async(*arguments: Any, **named: Any) -> Any:
            with self._make() as fake:
                return await test(*arguments, **named, **({"fake": fake} if wanted else {}))

        wrapper = run_async if inspect.iscoroutinefunction(test) else run
        # pytest looks for a fixture of each parameter's name; this one is ours.
        kept = [each for each in signature.parameters.values() if each.name != "fake"]
        setattr(wrapper, "__signature__", signature.replace(parameters=kept))  # noqa: B010
        return wrapper


@overload
def mock_supabase(
    *, url: str | None = None, jwt_secret: str | None = None, seed: int | None = None, others: Others = "pass"
) -> Mock: ...


@overload
def mock_supabase(test: Callable[..., Any], /) -> Callable[..., Any]: ...


def mock_supabase(
    test: Callable[..., Any] | None = None,
    /,
    *,
    url: str | None = None,
    jwt_secret: str | None = None,
    seed: int | None = None,
    others: Others = "pass",
) -> Mock | Callable[..., Any]:
    """Put a new, empty fake in the place of Supabase.

    >>> with mock_supabase() as fake:
    ...     fake.create_bucket("takes")

    As a decorator, ``@mock_supabase`` or ``@mock_supabase(...)``, it works on functions and coroutine functions; one
    that has a parameter ``fake`` gets it. The options are those of ``FakeSupabase``.
    """
    mock = Mock(url=url, jwt_secret=jwt_secret, seed=seed, others=others)
    return mock if test is None else mock(test)
