"""The JSON of a project is edited, not written anew: all that nobody asked to change keeps its bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiostore.migrate.documents import Fields, Unreadable, edited, sections_of

NEW = Fields(path="alice/p1/take.wav", backend="supabase", upload="u1")


def whole(*sections: str) -> str:
    return f'{{"chapters": [{{"id": 1, "sections": [{", ".join(sections)}]}}]}}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            '{"audioPath":"a.wav","x":1}',
            '{"audioPath":"alice/p1/take.wav","storageBackend":"supabase","uploadId":"u1","x":1}',
            id="without spaces",
        ),
        pytest.param(
            '{ "x" : 1.10 ,\n  "audioPath" : "a.wav" }',
            '{ "x" : 1.10 ,\n  "audioPath" : "alice/p1/take.wav" ,\n  "storageBackend" : "supabase" ,\n'
            '  "uploadId" : "u1" }',
            id="indented",
        ),
        pytest.param(
            '{"uploadId": null, "storageBackend": "local", "audioPath": "a.wav"}',
            '{"uploadId": "u1", "storageBackend": "supabase", "audioPath": "alice/p1/take.wav"}',
            id="in place",
        ),
        pytest.param(
            '{"audioPath": "a.wav"}',
            '{"audioPath": "alice/p1/take.wav", "storageBackend": "supabase", "uploadId": "u1"}',
            id="alone",
        ),
        pytest.param(
            '{"audioPath": "x", "audioPath": "a.wav"}',
            '{"audioPath": "x", "audioPath": "alice/p1/take.wav", "storageBackend": "supabase", "uploadId": "u1"}',
            id="the last of two counts",
        ),
        pytest.param(
            '{"audioPath": "a.wav", "url": "http:\\/\\/x"}',
            '{"audioPath": "alice\\/p1\\/take.wav", "storageBackend": "supabase", "uploadId": "u1", '
            '"url": "http:\\/\\/x"}',
            id="slashes as the others",
        ),
        pytest.param(
            '{"audioPath": "a.wav", "n": 123456789012345678901234567890, "f": 1e400, "s": "\\ud83d\\u00fc"}',
            '{"audioPath": "alice/p1/take.wav", "storageBackend": "supabase", "uploadId": "u1", '
            '"n": 123456789012345678901234567890, "f": 1e400, "s": "\\ud83d\\u00fc"}',
            id="numbers and escapes",
        ),
    ],
)
def test_the_three_fields_change_and_nothing_else(before: str, after: str) -> None:
    (old,) = sections_of(whole(before))
    there = edited(whole(before), {0: NEW})
    assert there == whole(after)
    if '"uploadId": null' not in before:  # which comes back as no field at all
        assert edited(there, {0: old}) == whole(before)


def test_fields_in_front_of_the_path_are_taken_out_with_their_commas() -> None:
    text = whole('{"storageBackend": "s", "uploadId": "u", "audioPath": "k"}', '{"uploadId":1,"audioPath":"k","a":1}')
    plain = edited(text, {0: Fields(path="a"), 1: Fields(path="b", backend="c")})
    assert plain == whole('{"audioPath": "a"}', '{"uploadId":1,"audioPath":"b","storageBackend":"c","a":1}')


def test_what_names_no_audio_is_passed_over() -> None:
    text = (
        '{"chapters": [null, 1, "x", {"sections": null}, {"sections": [null, [], {"audioPath": null}, '
        '{"audioPath": ""}, {"audioPath": 7}, {"audioPath": "a"}]}, {"id": true, "sections": [{"audioPath": "b"}]}], '
        '"other": {"chapters": [{"sections": [{"audioPath": "c"}]}]}}'
    )
    assert [(each.chapter, each.section, each.path) for each in sections_of(text)] == [
        (None, None, "a"),
        (None, None, "b"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", " ", "[]", "null", '"x"', "{", '{"a":1,}', '{"a" 1}', "{a:1}", '{"chapters":', '{"chapters":[', "{}x",
     '{"chapters":[{"sections":[{"audioPath":"a"}]}', '{"chapters":[1,]}', '{"chapters":{}}', '{"chapters":"x"}',
     '{"chapters":[{"sections":[{},{]}]}', '{"a":' + "[" * 200_000, "\ufeff{}"],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_what_is_no_project_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        sections_of(text)
    with pytest.raises(Unreadable):
        edited(text, {})


LEAVES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
OURS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers() | st.text(),
        "audioPath": st.text() | st.none(),
        "storageBackend": st.text(min_size=1),
        "uploadId": st.text(min_size=1),
    },
)


def _together(more: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    return {**more, **ours}


SECTIONS: st.SearchStrategy[dict[str, Any]] = st.builds(_together, st.dictionaries(st.text(), VALUES, max_size=3), OURS)
PROJECTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"chapters": st.lists(st.fixed_dictionaries({"id": VALUES, "sections": st.lists(SECTIONS | LEAVES)}) | LEAVES)},
    optional={"title": VALUES},
)


@given(PROJECTS, st.sampled_from([None, 0, 2]), st.booleans())
def test_any_project_is_read_as_the_parser_reads_it_and_comes_back_unharmed(
    project: dict[str, Any], indent: int | None, escaped: bool
) -> None:
    text = json.dumps(project, indent=indent, ensure_ascii=escaped)
    found = sections_of(text)
    sections = list(_sections(project))
    assert [each.path for each in found] == [each["audioPath"] for each in sections]
    there = edited(text, dict.fromkeys(range(len(found)), NEW))
    assert json.loads(edited(there, dict(enumerate(found)))) == project
    for each in sections:
        each |= {"audioPath": NEW.path, "storageBackend": NEW.backend, "uploadId": NEW.upload}
    assert json.loads(there) == project


def _sections(project: dict[str, Any]) -> Iterator[dict[str, Any]]:
    chapters: list[Any] = project["chapters"]
    for chapter in chapters:
        sections = cast("list[Any]", chapter["sections"]) if isinstance(chapter, dict) else []
        for each in sections:
            section = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
            if isinstance(section.get("audioPath"), str) and section["audioPath"]:
                yield section
