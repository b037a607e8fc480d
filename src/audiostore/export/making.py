"""The work itself: look up, fetch, make each chapter, put the book together, and only then let it be seen."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from audiostore.errors import Cancelled, SectionsMissing, UnsupportedAudio
from audiostore.export.books import Book
from audiostore.export.chapters import ENCODED_AS, Edit, Kind, Share, Studio, book_tags, suffix_of
from audiostore.export.documents import metadata_of, text_of, written
from audiostore.export.fetching import Fetching
from audiostore.export.journal import CHAPTERS, FETCHED, Journal, MadeChapter, on_disk, publish, tidy, write_file
from audiostore.export.naming import Names, numbered
from audiostore.export.options import NOTHING, ExportOptions
from audiostore.export.references import Heard, Originals, chapters_of, resolve
from audiostore.export.results import ExportedFile, MissingSection
from audiostore.export.zipping import Entry, ZipStream
from audiostore.media import type_of_name
from audiostore.sizes import parse_size
from audiostore.store import AudioStore

MOST_MP3_CHAPTERS = 255
_BOOKS_SHARE = 0.05
"""Of the work, what putting one file together of finished chapters is thought to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be made, of what, and what to call meanwhile."""

    store: AudioStore
    book: Book
    options: ExportOptions
    cover: bytes | None = None
    originals: Originals | None = None
    edit: Edit | None = None
    progress: Share | None = None
    cancelled: Callable[[], bool] | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants it to end."""
        return self.cancelled is not None and self.cancelled()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was made: finished files in the work folder, under the names that they are to get."""

    files: tuple[ExportedFile, ...]
    missing: tuple[MissingSection, ...]

    def publish(self, folder: Path) -> tuple[ExportedFile, ...]:
        """Let the files be seen in *folder*."""
        for each in self.files:
            publish(each.path, folder / each.name)
        return tuple(replace(each, path=folder / each.name) for each in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What files will be called, suffixes apart: each chapter's, and the book's."""

    stems: tuple[str, ...]
    title: str

    def names(self, book: Book, options: ExportOptions) -> list[str]:
        """Give the names of all files that there may be."""
        names = [stem + suffix_of(to) for stem in self.stems for to in options.chapter_formats]
        names += [self.title + suffix_of(to) for to in options.book_formats]
        if options.metadata:
            names.append("metadata.json")
            texts = zip(self.stems, book.chapters, strict=True)
            names += [f"text/{stem}.txt" for stem, chapter in texts if text_of(chapter)]
        return names + ([f"{self.title}.zip"] if options.zip else [])


def plan_names(book: Book) -> Plan:
    """Call each file by what people call its chapter, with a number before it."""
    names, count = Names(), len(book.chapters)
    stems = [names.new(numbered(number, count, each.name)) for number, each in enumerate(book.chapters, start=1)]
    return Plan(stems=tuple(stems), title=names.new(book.file_name))


def check(book: Book, options: ExportOptions) -> None:
    """Refuse what can't be made, before anything is begun. Raises ValueError."""
    if "mp3-book" in options.book_formats and len(book.chapters) > MOST_MP3_CHAPTERS:
        raise ValueError(f"one mp3 has {MOST_MP3_CHAPTERS} chapters at most, and the book has {len(book.chapters)}")


def make(order: Order, work: Path) -> Done:
    """Make everything in *work*, reusing the chapters that are finished there.

    Raises:
        SectionsMissing: some are, and ``on_missing="raise"``. Cancelled: that was wished.
        StorageFull, Unavailable …: what is finished stays in *work*, for the next time.

    """
    return _Making(order, work).run()


@dataclass(slots=True)
class _Making:
    order: Order
    work: Path
    made: dict[int, dict[str, MadeChapter]] = field(default_factory=dict[int, "dict[str, MadeChapter]"])
    missing: list[MissingSection] = field(default_factory=list[MissingSection])
    starts: dict[int, float] = field(default_factory=dict[int, float])
    whole: list[ExportedFile] = field(default_factory=list[ExportedFile])
    told: float = 0.0

    def run(self) -> Done:
        options = self.order.options
        self._tell(0.0)
        if options.audio and options.formats:
            self._make_audio()
        plan = plan_names(self.order.book)
        files = [
            ExportedFile(
                name=plan.stems[number] + suffix_of(to),
                path=made.path,
                size=made.size,
                content_type=type_of_name(made.path.name) or "application/octet-stream",
                duration=made.duration,
                chapter=number,
            )
            for number, by_format in sorted(self.made.items())
            for to, made in by_format.items()
            if to in options.chapter_formats
        ]
        files += [replace(each, name=plan.title + each.path.suffix) for each in self.whole]
        if options.metadata:
            files += self._documents(files, plan.stems)
        if options.zip:
            files.append(self._zipped(files, plan.title))
        self._tell(1.0)
        return Done(files=tuple(files), missing=tuple(self.missing))

    def _make_audio(self) -> None:
        _require_audio()
        order, book, options = self.order, self.order.book, self.order.options
        references = resolve(
            order.store, book, originals=order.originals, workers=options.workers, cancelled=lambda: order.is_cancelled
        )
        self._note_missing(each for each in references if isinstance(each, MissingSection))
        heard = [
            [each for each in chapter if isinstance(each, Heard)]
            for chapter in chapters_of(references, len(book.chapters))
        ]
        studio = Studio(
            book=book,
            options=options,
            journal=Journal(self.work / CHAPTERS),
            cover=order.cover,
            edit=order.edit,
            cancelled=order.cancelled,
        )
        self._make_chapters(studio, heard)
        for to in options.book_formats:
            if self.made:
                self._put_together(to)

    def _make_chapters(self, studio: Studio, heard: Sequence[Sequence[Heard]]) -> None:
        wanted = [number for number, sections in enumerate(heard) if sections]
        course = _Course([sum(each.size for each in heard[number]) or 1 for number in wanted], len(studio.codecs))
        todo = self._unfinished(studio, heard, wanted)
        kind = self._first_kind()
        with self._fetching([heard[number] for number in todo]) as fetching:
            for place, number in enumerate(wanted):
                batch = todo.index(number) if number in todo else None
                for to in studio.codecs:
                    self._refuse_if_cancelled()
                    digest = studio.digest(number, heard[number], to, kind)
                    chapter = studio.journal.find(digest, suffix_of(to))
                    if chapter is None and batch is not None:
                        tell = course.within(place, self._tell)
                        chapter, missing = studio.make(
                            number, fetching.take(batch), to=to, kind=kind, digest=digest, progress=tell
                        )
                        self._note_missing(missing)
                    if chapter is not None:
                        self._note_missing(chapter.missing)
                        self.made.setdefault(number, {})[to] = chapter
                        kind = self._kind_after(kind, chapter)
                    course.pass_by(place, self._tell)
                if batch is not None:
                    fetching.release(batch)

    def _unfinished(self, studio: Studio, heard: Sequence[Sequence[Heard]], wanted: Sequence[int]) -> list[int]:
        """Tell for which chapters sections must be fetched."""
        kind, todo = self._first_kind(), list[int]()
        for number in wanted:
            for to in studio.codecs:
                chapter = studio.journal.find(studio.digest(number, heard[number], to, kind), suffix_of(to))
                if chapter is None:
                    todo.append(number)
                    break
                kind = self._kind_after(kind, chapter)
        return todo

    def _first_kind(self) -> Kind:
        return Kind(sample_rate=self.order.options.sample_rate, channels=self.order.options.channels)

    def _kind_after(self, kind: Kind, chapter: MadeChapter) -> Kind:
        # What is to be one file must be alike, or it would have to be encoded a second time.
        if not self.order.options.book_formats:
            return kind
        return Kind(sample_rate=kind.sample_rate or chapter.sample_rate, channels=kind.channels or chapter.channels)

    @contextmanager
    def _fetching(self, batches: Sequence[Sequence[Heard]]) -> Generator[Fetching]:
        order, options = self.order, self.order.options
        folder = self.work / FETCHED
        tidy(self.work)
        with on_disk(folder):
            folder.mkdir(parents=True)
        with Fetching(
            order.store,
            batches,
            folder,
            owner=order.book.owner,
            workers=options.workers,
            ahead=parse_size(options.ahead),
            cancelled=lambda: order.is_cancelled,
        ) as fetching:
            yield fetching

    def _put_together(self, to: str) -> None:
        from audiostore.audio import Part, join

        book, options = self.order.book, self.order.options
        base = ENCODED_AS[to]
        chapters = [(number, made[base]) for number, made in sorted(self.made.items()) if base in made]
        parts = [
            Part(
                chapter.path,
                gap_before=options.chapter_gap if index else NOTHING,
                title=book.chapters[number].name or f"Chapter {number + 1}",
            )
            for index, (number, chapter) in enumerate(chapters)
        ]
        path = self.work / f"book{suffix_of(to)}"
        put_together = partial(
            join,
            parts,
            path,
            to="m4b" if to == "m4b" else base,
            tags=book_tags(book),
            cover=self.order.cover,
            chapters="parts",
            cancelled=self.order.cancelled,
        )
        try:
            joined = put_together(reencode=False)
        except UnsupportedAudio:  # chapters that were copied from recordings of several kinds
            joined = put_together(bit_rate=options.bit_rate)
        self.starts = {number: mark.start for (number, _), mark in zip(chapters, joined.marks, strict=True)}
        self.whole.append(
            ExportedFile(
                name=path.name,
                path=path,
                size=joined.size,
                content_type=type_of_name(path.name) or "application/octet-stream",
                duration=joined.duration,
            )
        )

    def _documents(self, files: Sequence[ExportedFile], stems: Sequence[str]) -> list[ExportedFile]:
        book = self.order.book
        chapter_files: dict[int, dict[str, str]] = {}
        for each in files:
            if each.chapter is not None:
                chapter_files.setdefault(each.chapter, {})[each.path.suffix.removeprefix(".")] = each.name
        facts = metadata_of(
            book,
            files={each.path.suffix.removeprefix("."): each.name for each in files if each.chapter is None},
            chapter_files=chapter_files,
            made={number: next(iter(by_format.values())) for number, by_format in self.made.items()},
            starts=self.starts,
            missing=self.missing,
        )
        documents = [self._document("metadata.json", written(facts))]
        for number, chapter in enumerate(book.chapters):
            if text := text_of(chapter):
                documents.append(self._document(f"text/{stems[number]}.txt", text.encode(), chapter=number))
        return documents

    def _document(self, name: str, content: bytes, *, chapter: int | None = None) -> ExportedFile:
        path = self.work / "documents" / name
        with on_disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)
        kind = "application/json" if name.endswith(".json") else "text/plain"
        return ExportedFile(name=name, path=path, size=len(content), content_type=kind, chapter=chapter)

    def _zipped(self, files: Sequence[ExportedFile], title: str) -> ExportedFile:
        path = self.work / "book.zip"
        entries = [Entry(name=each.name, path=each.path, size=each.size) for each in files]
        with (
            ZipStream(entries, filename=path.name, modified_at=datetime.now(UTC)) as stream,
            on_disk(path),
            path.open("wb") as out,
        ):
            for chunk in stream:
                self._refuse_if_cancelled()
                out.write(chunk)
        return ExportedFile(name=f"{title}.zip", path=path, size=stream.length, content_type=ZipStream.content_type)

    def _note_missing(self, missing: Iterable[MissingSection]) -> None:
        known = {(each.chapter, each.section) for each in self.missing}
        self.missing += [each for each in missing if (each.chapter, each.section) not in known]
        self.missing.sort(key=lambda each: (each.chapter, each.section))
        if self.missing and self.order.options.on_missing == "raise":
            raise SectionsMissing(self.missing)

    def _refuse_if_cancelled(self) -> None:
        if self.order.is_cancelled:
            raise Cancelled(f"the export of {self.order.book.title or 'a book'}")

    def _tell(self, share: float) -> None:
        self.told = max(self.told, min(1.0, share))
        if self.order.progress is not None:
            self.order.progress(self.told)


class _Course:
    """How far the chapters are: each counts as many bytes as its sections have, once for each codec."""

    def __init__(self, sizes: Sequence[int], codecs: int) -> None:
        self._sizes = sizes
        self._total = sum(sizes) * codecs / (1 - _BOOKS_SHARE)
        self._done = 0

    def within(self, place: int, tell: Share) -> Share:
        """Give what tells the share of all work, given that of one chapter."""
        return lambda share: tell((self._done + self._sizes[place] * share) / self._total)

    def pass_by(self, place: int, tell: Share) -> None:
        """Count one codec of a chapter as done."""
        self._done += self._sizes[place]
        tell(self._done / self._total)


def _require_audio() -> None:
    """Say which extra is missing, before anything is fetched."""
    from audiostore import audio

    _ = audio.join
