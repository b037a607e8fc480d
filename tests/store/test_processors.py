"""A processor sees the bytes before anyone else, and may refuse them or give other ones."""

from __future__ import annotations

import pytest

from audiostore import Staged, UnsupportedAudio

from .conftest import MakeStore


def test_a_processor_decides_what_is_stored(make: MakeStore) -> None:
    def shout(staged: Staged) -> Staged:
        louder = staged.path.with_name("louder.mp3")
        louder.write_bytes(b"ID3\x04" + staged.path.read_bytes().upper())
        return staged.become(louder, duration=1.5, metadata={"gain": 6})

    store = make(process=shout)
    file = store.put(b"RIFF....WAVE" + b"quiet" * 10, owner="alice", filename="take.wav", metadata={"by": "me"})

    assert store.get(file).endswith(b"QUIET" * 10)
    assert (file.filename, file.content_type, file.duration) == ("take.mp3", "audio/mpeg", 1.5)
    assert file.metadata == {"by": "me", "gain": 6}
    assert file.key.endswith(".mp3")
    assert store.usage("alice").used == file.size
    assert store.audit().ok


def test_a_processor_can_refuse(make: MakeStore) -> None:
    def never(staged: Staged) -> Staged:
        raise UnsupportedAudio("too_quiet", "there is nothing to hear")

    store = make(process=never)
    with pytest.raises(UnsupportedAudio) as refused:
        store.put(b"RIFF....WAVE", owner="alice")
    assert refused.value.code == "too_quiet"
    assert list(store.backend.list()) == []
    assert (store.usage("alice").used, store.usage("alice").reserved) == (0, 0)
