"""The picture of a book: bytes, a file on this disk, or a file of the owner in the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from audiostore import media
from audiostore.errors import UnsupportedAudio
from audiostore.export.journal import on_disk
from audiostore.models import AudioFile
from audiostore.store import AudioStore

MAX_COVER = 10 * 1024 * 1024
Cover: TypeAlias = bytes | str | os.PathLike[str] | AudioFile


def read_cover(store: AudioStore, cover: Cover | None, *, owner: str) -> bytes | None:
    """Give the bytes of *cover*; a ``str`` is a path, an ``AudioFile`` must be the owner's.

    Raises:
        UnsupportedAudio: ``cover``, neither JPEG nor PNG, or of more than 10 MB. NotFound.

    """
    if cover is None:
        return None
    if isinstance(cover, AudioFile):
        with store.stream(cover, 0, MAX_COVER + 1, owner=owner) as stream:
            picture = b"".join(stream)
    elif isinstance(cover, bytes):
        picture = cover
    else:
        with on_disk(Path(cover)), Path(cover).open("rb") as file:
            picture = file.read(MAX_COVER + 1)
    if len(picture) > MAX_COVER:
        raise UnsupportedAudio("cover", "the picture has more than 10 MB")
    if media.sniff(picture[: media.SNIFF_BYTES]) not in ("image/jpeg", "image/png"):
        raise UnsupportedAudio("cover", "a picture is wanted, JPEG or PNG")
    return picture
