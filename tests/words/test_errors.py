"""Errors are facts: one tree, as drawn, that survives the way to another process."""

from __future__ import annotations

import builtins
import copy
import errno
import pickle
import re
from collections.abc import Iterator

import pytest

from audiostore import errors
from audiostore.errors import AudioStoreError

EXAMPLES: tuple[AudioStoreError, ...] = (
    AudioStoreError("something", one=1),
    errors.NotFound("file 7"),
    errors.SectionsMissing(["chapter 1, section 2"]),
    errors.AlreadyExists("alice/take.wav"),
    errors.AlreadyExists("k1", reason="idempotency"),
    errors.InvalidKey("../\ud800", "a reason"),
    errors.InvalidBook("chapters[0].id", "neither text nor a number"),
    errors.PermissionDenied("/srv"),
    errors.QuotaExceeded("alice", limit=10, used=8, reserved=1, needed=2),
    errors.QuotaExceeded("alice", kind="unset", limit=None),
    errors.FileTooLarge(limit=5, size=9),
    errors.UnsupportedAudio("type", "text/plain is not let in"),
    errors.UnsupportedAudio("empty"),
    errors.ChecksumMismatch("alice/take.wav", expected="aa", actual="bb"),
    errors.ReservationExpired("r1"),
    errors.LinkInvalid(),
    errors.LinkExpired(12.5),
    errors.StorageFull("/srv", needed=9, free=3),
    errors.Unavailable("the catalog", retryable=True),
    errors.Cancelled("the join of book.m4b"),
    errors.NotSupported("sign", "LocalBackend"),
    errors.ConfigurationError("AUDIOSTORE_SECRET is too short"),
)
NAMES = [f"{type(each).__name__}-{number}" for number, each in enumerate(EXAMPLES)]


def _classes(root: type[AudioStoreError] = AudioStoreError) -> Iterator[type[AudioStoreError]]:
    yield root
    for each in root.__subclasses__():
        yield from _classes(each)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^ {4}([│ ]*)(?:[├└]── )?(\w+) *(?:\((\w+)\))?", errors.__doc__ or "", re.MULTILINE)
    path: list[str] = []
    found: dict[str, tuple[str | None, str | None]] = {}
    for indent, name, builtin in drawn:
        depth = 0 if name == "AudioStoreError" else 1 + len(indent) // 4
        found[name] = (path[depth - 1] if depth else None, builtin or None)
        path[depth:] = [name]
    assert found == {each.__name__: (_parent(each), _builtin(each)) for each in _classes()}


def _parent(kind: type[AudioStoreError]) -> str | None:
    return next((each.__name__ for each in kind.__bases__ if issubclass(each, AudioStoreError)), None)


def _builtin(kind: type[AudioStoreError]) -> str | None:
    own = [each.__name__ for each in kind.__bases__ if not issubclass(each, AudioStoreError)]
    return own[0] if own and own != ["Exception"] else None


def test_every_error_has_an_example_here() -> None:
    assert {type(each) for each in EXAMPLES} == {*_classes()}


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_an_error_survives_pickling_and_copying_with_all_its_facts(error: AudioStoreError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        _same(again, error)
    _same(copy.copy(error), error)
    _same(copy.deepcopy(error), error)


def _same(again: AudioStoreError, error: AudioStoreError) -> None:
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert again.retryable is error.retryable


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_an_error_carries_what_its_class_declares(error: AudioStoreError) -> None:
    declared = {name for kind in type(error).__mro__ for name in vars(kind).get("__annotations__", {})}
    assert [name for name in declared if not hasattr(error, name)] == []
    assert str(error)


@pytest.mark.parametrize("kind", [*_classes()], ids=lambda each: each.__name__)
def test_an_error_is_the_builtin_that_it_resembles(kind: type[AudioStoreError]) -> None:
    builtin = _builtin(kind)
    assert builtin is None or issubclass(kind, getattr(builtins, builtin))


def test_only_what_says_so_may_simply_be_repeated() -> None:
    assert [type(each).__name__ for each in EXAMPLES if each.retryable] == ["Unavailable"]
    assert errors.Unavailable("the disk").retryable is False


def test_a_message_shows_the_facts_but_not_a_whole_key() -> None:
    assert "8 used, 1 reserved, 2 needed" in str(errors.QuotaExceeded("a", limit=10, used=8, reserved=1, needed=2))
    assert len(str(errors.InvalidKey("x" * 10_000, "too long"))) < 200
    assert errors.InvalidKey("x" * 10_000, "too long").key == "x" * 10_000


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.StorageFull),
        (errno.EDQUOT, errors.StorageFull),
        (errno.EACCES, errors.PermissionDenied),
        (errno.EPERM, errors.PermissionDenied),
        (errno.EROFS, errors.PermissionDenied),
        (errno.ELOOP, errors.PermissionDenied),
        (errno.ENOENT, errors.NotFound),
        (errno.EIO, errors.Unavailable),
    ],
)
def test_what_the_system_says_becomes_one_of_ours(number: int, kind: type[AudioStoreError]) -> None:
    assert type(errors.from_os_error(OSError(number, "said"), "the disk")) is kind
