"""What a path that an app wrote down may mean: the addresses in a folder or bucket that it can stand for."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote


class Addresses:
    """The ways in which an app names the files of *root*: relative, below the folder's name, absolute, as a link.

    ``take.wav``, ``./take.wav``, ``uploads/take.wav``, ``/uploads/take%20.wav`` and the absolute path all may stand for
    a file of the folder ``uploads``. *prefixes* are what else an app puts before an address, e.g. ``"/audio/"``.
    A name is never looked for anywhere else: ``a.wav`` is not ``data.wav``, nor ``b/a.wav``.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, *, prefixes: Sequence[str] = ()) -> None:
        given = [] if root is None else _spellings(os.fspath(root))
        self._prefixes = tuple(dict.fromkeys([*(each for each in prefixes if each), *given]))

    def candidates(self, path: str) -> tuple[str, ...]:
        """Give every address that *path* may stand for, the likeliest first; ``()`` for one that leads elsewhere.

        >>> Addresses("uploads").candidates("/uploads/a%20b.wav")[:2]
        ('a%20b.wav', 'a b.wav')
        """
        return tuple(dict.fromkeys(each for each in self._all(path) if _is_inside(each)))

    def _all(self, path: str) -> Iterator[str]:
        plain = path.partition("?")[0].partition("#")[0]
        for text in dict.fromkeys((path, plain, unquote(plain))):
            for form in dict.fromkeys((text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))):
                yield from self._stripped(form)

    def _stripped(self, path: str) -> Iterator[str]:
        if not path.startswith("/"):
            yield path.removeprefix("./")
        for prefix in self._prefixes:
            if path.startswith(prefix):
                yield path[len(prefix) :].lstrip("/")


def _spellings(root: str) -> list[str]:
    whole = os.path.abspath(root)  # noqa: PTH100 - Path.absolute() keeps the dots, resolve() follows links
    name = PurePosixPath(whole).name
    texts = [root.rstrip("/"), whole, name, f"./{name}", f"/{name}"]
    return [f"{each}/" for each in dict.fromkeys(texts) if each not in {"", ".", "/", "./"}]


def _is_inside(address: str) -> bool:
    return bool(address) and not address.startswith("/") and not {"", ".", ".."} & set(address.split("/"))
