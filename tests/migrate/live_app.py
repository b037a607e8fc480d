"""An app that has been live for a while: its folder of uploads, its projects, and whatever goes wrong in a few years.

``generate`` makes one, the same for the same numbers. ``judge`` looks at what became of it after a migration, by
whatever program: it knows from the start what each section played.
"""

from __future__ import annotations

import json
import os
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

HEADS: Final = {
    "wav": b"RIFF\x24\x08\0\0WAVEfmt ",
    "mp3": b"ID3\x04\0\0\0\0\0\0",
    "m4a": b"\0\0\0\x20ftypM4A ",
    "flac": b"fLaC\0\0\0\x22",
    "ogg": b"OggS\0\x02",
}
SECTIONS_OF_A_CHAPTER: Final = 4
ANEW: Final = "recorded anew"
"""The excuse of a section that names another file since, at ``path``."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What one section played before anything was moved: ``address`` in the folder; None: nothing, or not from there.

    ``excuse`` is why it may stay where it is: a file without bytes, an owner without enough room.
    """

    project: str
    owner: str
    chapter: Any
    section: Any
    path: str | None
    address: str | None
    excuse: str | None = None


@dataclass(kw_only=True)
class LiveApp:
    folder: Path
    rows: list[tuple[str, str, str]]
    played: list[Played]
    digests: dict[str, str]
    sizes: dict[str, int]
    owners: list[str]
    full: dict[str, int]
    """Owners without enough room, and the bytes that they may keep."""
    broken: set[str]
    """Projects that can't be read."""
    unreadable: list[bytes] = field(default_factory=list[bytes])

    @property
    def wanted(self) -> set[tuple[str, str]]:
        """Each file and owner that a migration has to bring over."""
        return {(each.address, each.owner) for each in self.played if each.address and not each.excuse}


def generate(folder: Path, *, files: int, projects: int, owners: int, seed: int = 1, size: int = 600) -> LiveApp:
    """Make *files* files below *folder* and what *projects* of *owners* say of them; *size* in bytes, on average."""
    chance = random.Random(seed)
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(owners)]
    app = LiveApp(
        folder=folder, rows=[], played=[], digests={}, sizes={}, owners=ids, full={}, broken=set()
    )  # fmt: skip
    for number, name in enumerate(_names(files, chance)):
        _write(app, name, number, chance, size)
    books = [_Book(f"project-{number:05}", ids[number % owners], chance) for number in range(projects)]
    for number, name in enumerate(app.digests):
        for book in _books_for(number, books, chance):
            for _ in range(2 if number % 23 == 0 else 1):  # a section that was duplicated
                book.say(name, chance)
    for number, book in enumerate(books):
        book.say_what_is_no_reference(number)
        if number % 9 == 4:
            book.say(f"gone-{number}.wav", chance, lost=True)
    for book in books:
        app.played += book.played
        app.rows.append((book.id, book.owner, book.text()))
    _break(app, projects)
    _fill(app)
    return app


# --- files ------------------------------------------------------------------------------------------------------------


def _names(count: int, chance: random.Random) -> Iterator[str]:
    """Give names as people and browsers make them; some end in one another, or look like a pattern."""
    kinds: Sequence[Callable[[int], str]] = (
        lambda n: f"{1_700_000_000_000 + n}_take.wav",
        lambda n: f"a{n}.wav",
        lambda n: f"aa{n - 1}.wav",  # ends in the one before
        lambda n: f"100%_{n}.wav",
        lambda n: f"50%25 {n}.mp3",
        lambda n: f"take_{n}.wav",
        lambda n: f"takeX{n - 1}.wav",  # what take_ means to ILIKE
        lambda n: f"Kapitel ü {n}.wav",
        lambda n: f"TAKE{n}.WAV",
        lambda n: f"2024/05/take {n}.wav",
        lambda n: f"chapter {n}.m4a",
        lambda n: f'it\'s "{n}".flac',
        lambda n: f"voice-{n}.ogg",
        lambda n: f"録音{n}.Mp3",
        lambda n: f"{chance.getrandbits(64):x}.wav",
    )
    for number in range(count):
        yield kinds[number % len(kinds)](number)


def _write(app: LiveApp, name: str, number: int, chance: random.Random, size: int) -> None:
    head = HEADS[name.rpartition(".")[2].lower()]
    content = head + chance.randbytes(chance.randrange(size, size * 2))
    if number % 31 == 7 and app.digests:  # somebody uploaded it twice
        content = (app.folder / next(reversed(app.digests))).read_bytes()
    if number % 97 == 50:
        content = b""
    path = app.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    app.digests[name] = sha256(content).hexdigest()
    app.sizes[name] = len(content)


def _break(app: LiveApp, projects: int) -> None:
    """Let some projects be cut off by a column that was too short; what they named alone, nobody names."""
    for number in range(5, projects, 40):
        project, owner, text = app.rows[number]
        app.rows[number] = (project, owner, text[: len(text) // 2])
        app.broken.add(project)
    app.played = [each for each in app.played if each.project not in app.broken]
    nameless = os.fsencode(app.folder) + b"/\xff\xfe.wav"
    Path(os.fsdecode(nameless)).write_bytes(HEADS["wav"])
    app.unreadable.append(nameless)


def _fill(app: LiveApp) -> None:
    """Give every tenth owner, but at least one, half of the room that is needed."""
    for owner in app.owners[:: max(2, min(10, len(app.owners)))]:
        mine = {each.address for each in app.played if each.owner == owner and each.address}
        app.full[owner] = sum(app.sizes[each] for each in mine) // 2
    app.played = [replace(each, excuse=_excuse(app, each)) for each in app.played]


def _excuse(app: LiveApp, played: Played) -> str | None:
    if played.address is not None and app.sizes[played.address] == 0:
        return "empty"
    return "no room" if played.owner in app.full else None


# --- projects ---------------------------------------------------------------------------------------------------------


def _books_for(number: int, books: Sequence[_Book], chance: random.Random) -> Sequence[_Book]:
    """Choose who names a file: mostly one project, some several, of one owner or of two, some nobody."""
    first = books[number * 7 % len(books)]
    if number % 20 == 3:
        return ()
    if number % 16 == 5:
        return (first, *[each for each in books if each.owner == first.owner and each is not first][:1])
    if number % 25 == 6:
        return (first, *[each for each in books if each.owner != first.owner][:1])
    return (first,)


class _Book:
    """One project as it is being written, in one of the hands that an app had over the years."""

    def __init__(self, id: str, owner: str, chance: random.Random) -> None:
        self.id = id
        self.owner = owner
        self.played: list[Played] = []
        self._sections: list[dict[str, Any]] = []
        self._numbers = chance.random() < 0.5
        self._hand: dict[str, Any] = chance.choice(
            ({}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}, {"indent": 0, "sort_keys": True})
        )

    def say(self, name: str, chance: random.Random, *, lost: bool = False) -> None:
        """Add a section that plays the file *name*, in one of the spellings that the app had for it."""
        spellings = [f"/uploads/{quote(name)}", f"uploads/{quote(name)}"]
        if "%" not in name:
            spellings += [f"/uploads/{name}", name]
        section: dict[str, Any] = {"text": f"“{name}”", "audioPath": chance.choice(spellings), "speed": 1.5}
        if chance.random() < 0.6:
            section |= {"storageBackend": "local"}
        self._add(section, name, lost=lost)

    def say_what_is_no_reference(self, number: int) -> None:
        if number % 3 == 0:
            self._add({"audioPath": None, "text": ""}, None)
            self._add({"text": "not yet spoken"}, None)
        if number % 5 == 0:
            key = f"{self.owner}/p/chapter_1/section_1/old.wav"
            self._add({"audioPath": key, "storageBackend": "supabase", "uploadId": str(uuid.UUID(int=number))}, None)

    def text(self) -> str:
        chapters: list[dict[str, Any]] = []
        for number, section in enumerate(self._sections):
            if number % SECTIONS_OF_A_CHAPTER == 0:
                chapters.append({"id": self._id(number // SECTIONS_OF_A_CHAPTER), "name": "Ch", "sections": []})
            chapters[-1]["sections"].append(section)
        book = {"title": f"Bände von {self.id}", "price": 1.10, "chapters": chapters, "edits": []}
        return json.dumps(book, **self._hand)

    def _add(self, section: dict[str, Any], name: str | None, *, lost: bool = False) -> None:
        number = len(self._sections)
        known = {"id": self._id(number), **section}
        self._sections.append(known)
        self.played.append(
            Played(
                project=self.id,
                owner=self.owner,
                chapter=self._id(number // SECTIONS_OF_A_CHAPTER),
                section=known["id"],
                path=section.get("audioPath"),
                address=None if lost else name,
            )
        )

    def _id(self, number: int) -> str | int:
        return number + 1 if self._numbers else f"c-{number + 1}"


# --- what became of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object, and whose it is."""

    owner: str
    sha256: str


@dataclass(kw_only=True)
class Verdict:
    """Sections: ``right`` ones play what they played, from their owner's own copy; ``left``: from the folder still.

    ``other`` play something else, ``foreign`` somebody else's copy, ``silent`` nothing. ``untouched`` had nothing to
    move and are as they were; ``harmed`` are not. Objects: ``doubled`` are more copies of a file than owners who have
    it. ``edits`` of users that are gone. ``examples`` of each.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, Any] = field(default_factory=dict[str, Any])

    def add(self, word: str, example: object) -> None:
        self.counts[word] += 1
        self.examples.setdefault(word, example)


def judge(app: LiveApp, texts: Mapping[str, str | None], objects: Mapping[str, Stored]) -> Verdict:
    """Compare the projects as they are now, and the objects by their keys, with what was there before."""
    verdict, now = Verdict(), dict[tuple[str, Any, Any], dict[str, Any]]()
    for project, _, before in app.rows:
        text = texts.get(project)
        if project in app.broken or text is None:
            if text != before:
                verdict.add("harmed", project)
            continue
        book = json.loads(text)
        now |= {
            (project, chapter["id"], each["id"]): each for chapter in book["chapters"] for each in chapter["sections"]
        }
        if _without_places(book) != _without_places(json.loads(before)):
            verdict.add("harmed", project)
    for played in app.played:
        verdict.add(_became(app, played, now.get((played.project, played.chapter, played.section)), objects), played)
    copies = Counter((each.owner, each.sha256) for each in objects.values())
    wanted = {(each.address, each.owner) for each in app.played if each.address}
    mine = Counter((owner, app.digests[address]) for address, owner in wanted)
    for copy, count in copies.items():
        for _ in range(count - mine[copy]):
            verdict.add("doubled", copy)
    return verdict


def _became(app: LiveApp, played: Played, section: dict[str, Any] | None, objects: Mapping[str, Stored]) -> str:
    if section is None:
        return "harmed"
    path, backend = section.get("audioPath"), section.get("storageBackend", "local")
    if played.address is None or played.excuse == ANEW:
        return "untouched" if path == played.path else "harmed"
    if path == played.path and backend == "local":
        return f"left ({played.excuse})" if played.excuse else "left"
    stored = objects.get(str(path))
    if stored is None:
        return "silent"
    if stored.sha256 != app.digests[played.address]:
        return "other"
    return "right" if stored.owner == played.owner else "foreign"


def _without_places(book: dict[str, Any]) -> dict[str, Any]:
    """Give a book without what a migration may change, and without what users add while it runs."""
    chapters = [
        {**chapter, "sections": [_without_place(section) for section in chapter["sections"]]}
        for chapter in book["chapters"]
    ]
    return {**book, "chapters": sorted(chapters, key=lambda each: str(each["id"])), "edits": []}


def _without_place(section: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in section.items() if name not in {"audioPath", "storageBackend", "uploadId"}}
