"""What every path builder must do, as tests to inherit.

```python
class TestMyPaths(PathBuilderSuite):
    @pytest.fixture
    def build(self) -> PathBuilder:
        return my_paths
```
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest

from audiostore.errors import InvalidKey
from audiostore.ids import new_id
from audiostore.keys import Key
from audiostore.models import Place, Upload
from audiostore.protocols import PathBuilder

_HOSTILE = (
    *(
        "..",
        ".",
        "../bob",
        "/etc/passwd",
        "a/../../b",
        "..\\bob",
        "%2e%2e",
        "%2f",
        "~",
        "-",
        "--",
        "-rf",
        "a//b",
        "a/b",
        "a/",
    ),
    *(
        "con",
        "CON",
        "nul.txt",
        "com1",
        "LPT9.wav",
        "aux.",
        ".hidden",
        "dot.",
        "dots...",
        " space",
        "space ",
        "\t",
        "\n",
    ),
    *(
        "\x01\x1f",
        "\x7f",
        "a\rb",
        "=",
        "==",
        "=2e",
        "!",
        "!a",
        "?",
        "*",
        ":",
        "|",
        '"',
        "<b>",
        "$HOME",
        "`id`",
        "#",
        "&",
    ),
    *(
        "None",
        "null",
        "_",
        "0",
        "e\u0301",
        "\u00e9",
        "日本語",
        "中国語",
        "Ωμέγα",
        "\u202eoga",
        "👩\u200d🚀",
        "\ufeff",
        "\u0130",
        "ß",
    ),
)
_TWINS = (
    ("Bob", "bob"),
    ("é", "É"),
    ("\u00e9", "e\u0301"),
    ("Ärger", "rger"),
    ("日本", "中国"),
    ("a b", "ab"),
    ("a b", "a_b"),
    ("a/b", "a_b"),
    ("a.", "a"),
    ("a ", "a"),
    ("=41", "A"),
    ("%41", "A"),
    ("!a", "A"),
    ("01", "1"),
    ("None", "none"),
    ("???", "!!!"),
    ("x" * 4000 + "1", "x" * 4000 + "2"),
)
_JOINED = tuple(
    (Place(f"a{mark}b", "c", "d"), Place("a", f"b{mark}c", "d"), Place("a", "b", f"c{mark}d"))
    for mark in ("_", "-", "/", ".", "=", " ", "--", "__", "/chapter_", "/section_")
)


_PLACE = Place("p1", "1", "2")


def an_upload(owner: str = "alice", place: Place = _PLACE, filename: str = "take.wav", id: str | None = None) -> Upload:
    """Make an upload as the store would, one byte long."""
    return Upload(
        id=id or new_id(), owner=owner, place=place, filename=filename, content_type="application/octet-stream", size=1
    )


class PathBuilderSuite:
    """Inherit it, give a fixture ``build``, and run pytest; a failing test's name says what is wrong.

    ``keeps`` are the ids that the folders of your keys tell apart. Name fewer if yours leaves some out on purpose, and
    none for keys without folders.
    """

    keeps: tuple[str, ...] = ("owner", "project", "chapter", "section")

    @pytest.fixture
    def build(self) -> PathBuilder:
        raise NotImplementedError("give your suite a fixture named `build`")

    # Keys

    def test_every_key_is_portable(self, build: PathBuilder) -> None:
        key = build(an_upload())
        assert Key(key) == key

    def test_each_upload_gets_a_key_of_its_own(self, build: PathBuilder) -> None:
        _all_differ(build, [an_upload() for _ in range(500)])

    def test_many_threads_at_once_get_keys_of_their_own(self, build: PathBuilder) -> None:
        uploads = [an_upload() for _ in range(400)]
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(build, uploads))
        assert len({key.lower() for key in keys}) == len(uploads)

    # Ids

    def test_no_two_ids_share_a_folder(self, build: PathBuilder) -> None:
        for pair in _TWINS:
            self._apart(build, pair)

    def test_ids_that_differ_in_case_alone_are_apart_on_a_disk_that_ignores_case(self, build: PathBuilder) -> None:
        for pair in (("Bob", "bob"), ("ALICE", "alice"), ("aB", "Ab")):
            self._apart(build, pair)

    def test_ids_in_any_script_are_apart(self, build: PathBuilder) -> None:
        for pair in combinations(("日本", "中国", "Ωμέγα", "гость", "\u00e9", "e\u0301", "👩", "👨"), 2):
            self._apart(build, pair)

    def test_a_mark_within_an_id_is_not_taken_for_the_end_of_it(self, build: PathBuilder) -> None:
        if not {"project", "chapter", "section"} <= {*self.keeps}:
            pytest.skip("keeps not every id of a place")
        for places in _JOINED:
            _folders_differ(build, [an_upload(place=place) for place in places])
        _folders_differ(build, [an_upload("alice/p1", Place("p2")), an_upload("alice", Place("p1/p2"))])

    def test_a_place_that_is_missing_is_none_that_an_id_could_name(self, build: PathBuilder) -> None:
        for name in (each for each in self.keeps if each != "owner"):
            ids = (None, "None", "none", "null", "-", "_", "0", "missing", "chapter_", "=")
            uploads = [an_upload(place=Place(**{name: each})) for each in ids]
            _folders_differ(build, [each for each in uploads if _build(build, each) is not None])

    def test_a_place_that_is_missing_is_never_written_none(self, build: PathBuilder) -> None:
        assert "none" not in build(an_upload(place=Place())).lower()

    def test_a_long_id_makes_no_key_too_long(self, build: PathBuilder) -> None:
        for long in ("x" * 4000, "X" * 4000, "日" * 4000, "." * 4000, "=" * 300):
            for upload in self._with(long):
                Key(build(upload))

    # Hostile input

    def test_no_id_leads_out_of_its_folder(self, build: PathBuilder) -> None:
        depth = len(Key(build(an_upload())).folders)
        for hostile in _HOSTILE:
            for upload in self._with(hostile):
                key = _build(build, upload)
                if key is not None:
                    assert os.path.normpath(f"/root/{key}") == f"/root/{key}", f"{hostile!r} leads elsewhere"
                    assert len(key.folders) == depth, f"{hostile!r} makes a level of its own"

    def test_an_id_that_no_catalog_keeps_is_refused_as_invalid(self, build: PathBuilder) -> None:
        for wrong in ("", "\0", "a\0b", "\ud800"):
            for upload in self._with(wrong):
                with pytest.raises(InvalidKey):
                    Key(build(upload))

    def test_no_filename_is_refused(self, build: PathBuilder) -> None:
        for filename in (*_HOSTILE, "x" * 4000, "x." + "y" * 4000, "." * 4000, "a\0b.wav", "日" * 4000 + ".wav", ""):
            Key(build(an_upload(filename=filename)))

    def test_equal_filenames_never_meet_in_any_spelling(self, build: PathBuilder) -> None:
        names = ("take.wav", "TAKE.WAV", "Take.wav", "täke.wav", "take .wav", "take", "")
        _all_differ(build, [an_upload(filename=name) for name in names for _ in range(20)])

    def test_no_filename_makes_a_folder(self, build: PathBuilder) -> None:
        depth = len(Key(build(an_upload())).folders)
        for filename in ("../x", "a/b.mp3", "a\\b.mp3", "/etc/passwd", "", "%2f"):
            assert len(Key(build(an_upload(filename=filename))).folders) == depth

    # The way back

    def test_parse_gives_owner_and_place_back(self, build: PathBuilder) -> None:
        parse = _parse_of(build)
        for upload in (each for hostile in ("plain", "7", *_HOSTILE) for each in self._with(hostile)):
            key = _build(build, upload)
            if key is not None:
                assert parse(key) == (upload.owner, self._kept(upload.place))

    def test_parse_refuses_what_was_not_made_here(self, build: PathBuilder) -> None:
        parse = _parse_of(build)
        key = build(an_upload())
        for wrong in ("", "x", f"{key}/x", f"x/{key}", f"/{key}", f"../{key}", "/".join("x" * 40)):
            with pytest.raises(InvalidKey):
                parse(wrong)

    def _with(self, id: str) -> Iterator[Upload]:
        """Give uploads that have *id* as each of the ids that are kept, in turn."""
        for name in self.keeps:
            yield an_upload(id) if name == "owner" else an_upload(place=Place(**{name: id}))

    def _kept(self, place: Place) -> Place:
        return Place(**{name: getattr(place, name) for name in self.keeps if name != "owner"})

    def _apart(self, build: PathBuilder, ids: tuple[str, ...]) -> None:
        for uploads in zip(*(self._with(each) for each in ids), strict=True):
            _folders_differ(build, list(uploads))


def _build(build: PathBuilder, upload: Upload) -> Key | None:
    """Build a key; None if the builder refuses the ids, which is its right."""
    try:
        return Key(build(upload))
    except InvalidKey:
        return None


def _folders_differ(build: PathBuilder, uploads: list[Upload]) -> None:
    seen: dict[str, Upload] = {}
    for upload in uploads:
        # Lower case, because there are disks on which the two spellings are one folder.
        folder = "/".join(Key(build(upload)).folders).lower()
        other = seen.setdefault(folder, upload)
        assert other is upload, f"one folder {folder!r} for {_who(other)} and {_who(upload)}"


def _all_differ(build: PathBuilder, uploads: list[Upload]) -> None:
    keys = [build(upload) for upload in uploads]
    assert len({key.lower() for key in keys}) == len(keys), "two uploads have one key"


def _who(upload: Upload) -> str:
    place = upload.place
    return repr(tuple(each and each[:40] for each in (upload.owner, place.project, place.chapter, place.section)))


def _parse_of(build: PathBuilder) -> Callable[[str], object]:
    parse: Callable[[str], object] | None = getattr(build, "parse", None)
    if parse is None:
        pytest.skip("this builder has no way back")
    return parse
