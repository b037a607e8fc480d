"""What crosses the seams, call by call; and a way to break any one of these calls.

Nothing here knows which calls there are: a clean run is recorded, and what was recorded is what can be broken.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

from audiostore.errors import AudioStoreError, StorageFull, Unavailable
from audiostore.models import Staged
from audiostore.protocols import Backend, Catalog, Progress
from audiostore.streams import ByteStream

_T = TypeVar("_T")

When: TypeAlias = Literal["before", "after"]
Fault: TypeAlias = Callable[[], object]
"""What happens at a step: it raises, or lets somebody else in, and returns."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """The moment right before or right after the *nth* such call of a run."""

    seam: str
    call: str
    nth: int
    when: When

    def __str__(self) -> str:
        return f"{self.when} {self.seam}.{self.call} #{self.nth}"


class Death(BaseException):
    """The process is gone: nothing that it would still like to do gets through a seam."""


class Late(Exception):
    """The request is still on its way when its caller stops to wait; see ``Faults.land``."""


class AppError(Exception):
    """Raised by what an app hands in: a policy, a processor, a source, a progress callback."""


class Faults:
    """Records what crosses the seams, and breaks what it is told to break."""

    def __init__(self) -> None:
        self.trace: list[Step] = []
        self.broken: list[Step] = []
        self.dead = False
        self._under_way: list[Callable[[], object]] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._plan: dict[Step, Fault] = {}
        self._nth: tuple[int, str] | None = None
        self._cancel: Fault = lambda: None

    def begin(
        self,
        plan: Mapping[Step, Fault] | None = None,
        *,
        nth: tuple[int, str] | None = None,
        cancel: Fault = lambda: None,
    ) -> None:
        """Begin a run: count from one again, with these faults planned (none: record only).

        *nth* breaks whatever step comes as the nth, by ``"error"``, ``"death"`` or ``"cancel"``: that calls *cancel*.
        """
        self._cancel = cancel
        self.trace, self.broken, self.dead = [], [], False
        self._counts.clear()
        self._plan = dict(plan or {})
        self._nth = nth

    def die(self) -> None:
        self.dead = True
        raise Death

    def delay(self, do: Callable[[], object]) -> None:
        self._under_way.append(do)

    def land(self) -> None:
        """Let the requests arrive that nobody waits for any more."""
        while self._under_way:
            with suppress(AudioStoreError):
                self._under_way.pop()()

    def cross(self, seam: str, call: str, do: Callable[[], _T]) -> _T:
        if self.dead:
            raise Death
        self._counts[seam, call] += 1
        nth = self._counts[seam, call]
        self._pass(Step(seam, call, nth, "before"))
        result = do()
        try:
            self._pass(Step(seam, call, nth, "after"))
        except BaseException:
            if isinstance(result, ByteStream):
                result.close()  # a lost answer is not to leave a file open
            raise
        return result

    def _pass(self, step: Step) -> None:
        if self.dead:
            raise Death
        self.trace.append(step)
        fault = self._plan.pop(step, None)
        if self._nth is not None and self._nth[0] == len(self.trace):
            fault = {"death": self.die, "cancel": self._cancel}.get(self._nth[1], raising(error_at(step)))
        if fault is not None:
            self.broken.append(step)
            fault()

    def backend(self, part: Backend) -> Backend:
        return cast("Backend", _Crossing(part, Backend, f"backend:{part.name}", self))

    def catalog(self, part: Catalog) -> Catalog:
        return cast("Catalog", _Crossing(part, Catalog, "catalog", self))

    def calls(self, seam: str, call: Callable[..., _T]) -> Callable[..., _T]:
        """Watch a seam that is a function."""

        def crossing(*args: Any, **options: Any) -> _T:
            return self.cross(seam, "call", partial(call, *args, **options))

        return crossing

    def items(self, seam: str, items: Iterator[_T]) -> Iterator[_T]:
        """Watch an iterator, item by item; its end is a step too."""
        end = object()
        while (item := self.cross(seam, "next", lambda: next(items, end))) is not end:
            yield cast("_T", item)


class _Crossing:
    """A part behind the seam at which its calls are watched."""

    def __init__(self, part: object, protocol: type, seam: str, faults: Faults) -> None:
        self._part = part
        self._protocol = protocol
        self._seam = seam
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        if name == "name":  # a constant, not a call
            return getattr(self._part, name)
        if not callable(getattr(self._protocol, name)):  # a property does work too, like making a folder
            return self._faults.cross(self._seam, name, lambda: getattr(self._part, name))
        return partial(self._call, name)

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        progress: Progress | None = options.get("progress")
        if progress is not None:
            told = self._faults.calls(f"{self._seam}.{name}.progress", progress)
            options["progress"] = told
        call = getattr(self._part, name)
        try:
            result = self._faults.cross(self._seam, name, lambda: call(*args, **options))
        except Late:
            self._faults.delay(partial(call, *map(_kept, args)))
            raise Unavailable(f"no answer from {self._seam}.{name}", retryable=True) from None
        if isinstance(result, ByteStream):
            return ByteStream(self._faults.items(f"{self._seam}.{name}", result), result.length, result.close)
        if isinstance(result, Iterator):
            return self._faults.items(f"{self._seam}.{name}", cast("Iterator[object]", result))
        return result


def _kept(argument: Any) -> Any:
    """Keep what a request carries: its caller removes the file."""
    if not isinstance(argument, Staged):
        return argument
    path = Path(tempfile.mkdtemp()) / argument.path.name
    return replace(argument, path=shutil.copyfile(argument.path, path), disposable=False)


def error_at(step: Step) -> Exception:
    """Make the error that a broken part raises at *step*: a lost request, or a lost answer."""
    if step.seam.startswith(("backend", "catalog")):
        return Unavailable(f"broken {step}", retryable=True)
    return AppError(f"broken {step}")


def carries_bytes(step: Step) -> bool:
    """Tell whether a backend can refuse *step* with nothing done, and do it after its caller has given up."""
    return step.seam.startswith("backend") and step.when == "before" and step.call in {"write", "copy"}


def refusal_at(step: Step) -> Exception:
    """Make the error of a backend that refuses *step*, with nothing done."""
    return StorageFull(f"broken {step}")


def raising(error: BaseException) -> Fault:
    def fault() -> None:
        raise error

    return fault
