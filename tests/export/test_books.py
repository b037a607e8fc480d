"""Books: out of the JSON that apps keep, as browsers send it, and out of the catalog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiostore import AudioStore, InvalidBook
from audiostore.export import Book, BookChapter, BookSection, ExportOptions, projects

SENT = {
    "chapters": [
        {
            "id": 1,
            "name": "Test Chapter",
            "sections": [
                {
                    "id": 1,
                    "name": "Test Section",
                    "text": "Test content",
                    "audioPath": "u1/p1/chapter_1/section_1/take.wav",
                    "storageBackend": "supabase",
                    "uploadId": "0199aa11-2233-7445-8667-8899aabbccdd",
                    "status": "processed",
                    "audioStatus": None,
                    "originalAudioPath": None,
                }
            ],
        }
    ],
    "exportMetadataFlag": True,
    "exportAudioFlag": True,
    "createZipFlag": True,
    "audioFormat": "wav",
}


def test_what_apps_send_is_a_book() -> None:
    book = Book.from_project(SENT, owner="u1")
    assert book.chapters == (
        BookChapter(
            id="1",
            name="Test Chapter",
            sections=(
                BookSection(
                    id="1",
                    name="Test Section",
                    text="Test content",
                    path="u1/p1/chapter_1/section_1/take.wav",
                    backend="supabase",
                    upload_id="0199aa11-2233-7445-8667-8899aabbccdd",
                    status="processed",
                ),
            ),
        ),
    )
    assert Book.from_project(json.dumps(SENT), owner="u1") == book
    assert Book.from_project(json.dumps(SENT).encode(), owner="u1") == book


def test_the_flags_that_apps_send_are_options() -> None:
    options = ExportOptions.from_project(SENT)
    assert (options.metadata, options.audio, options.zip, options.formats) == (True, True, True, ("wav",))
    assert ExportOptions.from_project({}) == ExportOptions()
    assert ExportOptions.from_project(SENT, formats=["m4b"], zip=False).formats == ("m4b",)
    assert not ExportOptions.from_project(SENT, zip=False).zip
    for wrong in ({"createZipFlag": "yes"}, {"audioFormat": "exe"}, {"audioFormat": 3}, {"exportAudioFlag": 0}):
        with pytest.raises(InvalidBook):
            ExportOptions.from_project(wrong)


def test_a_row_of_the_projects_table_is_understood() -> None:
    row = {"id": "p7", "user_id": "someone-else", "project_data": json.dumps({"title": "Tides", "chapters": []})}
    book = Book.from_project(row, owner="alice")
    assert (book.owner, book.project, book.title) == ("alice", "p7", "Tides")
    row["project_data"] = {"name": "Tides", "projectId": "project_17_abc"}  # type: ignore[assignment]
    assert Book.from_project(row, owner="alice").project == "project_17_abc"


LEFT_OUT: list[tuple[Any, list[str]]] = [
    ({}, []),
    ({"chapters": None}, []),
    ({"chapters": [{}]}, [""]),
    ({"chapters": [{"title": "By title", "sections": None}]}, ["By title"]),
    ({"chapters": [{"name": 7, "unknown": [1, 2]}]}, ["7"]),
]


@pytest.mark.parametrize(("project", "names"), LEFT_OUT)
def test_what_is_left_out_is_empty(project: dict[str, Any], names: list[str]) -> None:
    assert [chapter.name for chapter in Book.from_project(project, owner="alice").chapters] == names


def test_ids_of_browsers_may_be_numbers_and_paths_may_be_missing() -> None:
    sections = [{"id": 1732798765123.417, "audioPath": ""}, {"id": 0, "audioPath": None, "text": "a\ud800b"}]
    book = Book.from_project({"chapters": [{"sections": sections}]}, owner="alice")
    first, second = book.chapters[0].sections
    assert (first.id, first.path) == ("1732798765123.417", None)
    assert (second.id, second.path) == ("0", None)
    assert second.text.replace("\N{REPLACEMENT CHARACTER}", "?") == "a???b"


NO_BOOKS: list[tuple[Any, str]] = [
    ("[]", ""),
    ("not json", ""),
    ("[" * 100_000, ""),
    ({"chapters": {}}, "chapters"),
    ({"chapters": "abc"}, "chapters"),
    ({"chapters": [3]}, "chapters[0]"),
    ({"chapters": [{"id": True}]}, "chapters[0].id"),
    ({"chapters": [{"name": ["a"]}]}, "chapters[0].name"),
    ({"chapters": [{"sections": [{"audioPath": {"a": 1}}]}]}, "chapters[0].sections[0].audioPath"),
    ({"chapters": [{}, {"sections": [None]}]}, "chapters[1].sections[0]"),
    ({"chapters": [{"id": float("nan")}]}, "chapters[0].id"),
    ({"chapters": [{"id": 10**6000}]}, "chapters[0].id"),
    ({"chapters": [{"name": "x" * 1001}]}, "chapters[0].name"),
    ({"chapters": [{}] * 10_001}, "chapters"),
    ({"project_data": "{"}, ""),
]


@pytest.mark.parametrize(("project", "where"), NO_BOOKS)
def test_what_is_no_book_is_refused_and_told_where(project: Any, where: str) -> None:
    with pytest.raises(InvalidBook) as refused:
        Book.from_project(project, owner="alice")
    assert refused.value.where == where


def test_a_project_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "MAX_JSON", 100)
    monkeypatch.setattr(projects, "MAX_SECTIONS", 3)
    with pytest.raises(InvalidBook, match="more than 100 bytes"):
        Book.from_project(json.dumps({"title": "x" * 100}), owner="alice")
    with pytest.raises(InvalidBook, match="too many"):
        Book.from_project({"chapters": [{"sections": [{}] * 2}, {"sections": [{}] * 2}]}, owner="alice")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "sections", "chapters", "text", "audioPath", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_book_or_is_refused(project: Any) -> None:
    try:
        book = Book.from_project({"chapters": project}, owner="alice")
    except InvalidBook:
        return
    assert Book.from_dict(json.loads(json.dumps(book.as_dict()))) == book
    json.dumps(book.as_dict(), ensure_ascii=False).encode()


def test_a_book_needs_an_owner() -> None:
    with pytest.raises(ValueError, match="owner"):
        Book.from_project({}, owner="")


# --- out of the catalog -----------------------------------------------------------------------------------------------


def put(store: AudioStore, chapter: str | int | None, section: str | int | None, filename: str, **more: Any) -> str:
    more = {"owner": "alice", "project": "p1"} | more
    return store.put(
        b"RIFF....WAVE" + filename.encode(), chapter=chapter, section=section, filename=filename, **more
    ).id


def test_places_come_as_people_count(store: AudioStore) -> None:
    for chapter in (10, 2, 1, "2b", None):
        for section in (10, 9, None):
            put(store, chapter, section, f"{chapter}-{section}.wav")
    put(store, 1, 1, "other.wav", project="p2")
    put(store, 1, 1, "other.wav", owner="bob")
    book = Book.from_catalog(store, owner="alice", project="p1", title="Tides")
    assert [chapter.id for chapter in book.chapters] == [None, "1", "2", "2b", "10"]
    assert [section.id for section in book.chapters[1].sections] == [None, "9", "10"]
    assert [chapter.name for chapter in book.chapters] == ["", "Chapter 1", "Chapter 2", "Chapter 2b", "Chapter 10"]
    assert book.chapters[1].sections[2].name == "1-10"


def test_of_several_takes_the_latest_counts_unless_all_are_wanted(store: AudioStore) -> None:
    first, second = put(store, 1, 1, "first.wav"), put(store, 1, 1, "second.wav")
    loose = [put(store, 1, None, name) for name in ("a.wav", "b.wav")]
    book = Book.from_catalog(store, owner="alice", project="p1")
    assert [each.upload_id for each in book.chapters[0].sections] == [*loose, second]
    book = Book.from_catalog(store, owner="alice", project="p1", takes="all")
    assert [each.upload_id for each in book.chapters[0].sections] == [*loose, first, second]
    assert book.title == "p1"
    with pytest.raises(ValueError, match="takes"):
        Book.from_catalog(store, owner="alice", project="p1", takes="newest")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="project"):
        Book.from_catalog(store, owner="alice", project=None)


@given(st.lists(st.integers(0, 10**30), unique=True))
def test_numbers_of_any_length_are_in_order(numbers: list[int]) -> None:
    from audiostore.export.gathering import natural

    assert sorted(map(str, numbers), key=natural) == [str(each) for each in sorted(numbers)]


def test_a_folder_for_the_book_is_called_by_its_title(tmp_path: Path) -> None:
    assert Book(owner="alice", title="Gezeiten: Teil 1/2").file_name == "Gezeiten_ Teil 1_2"
    assert Book(owner="alice").file_name == "book"
    assert Book(owner="alice", title="a").called(title="b", author=None).title == "b"
