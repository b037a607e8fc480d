"""What keys look like, and which templates are refused. Hostile ids by the thousand: test_hostile_paths.py."""

from __future__ import annotations

import pickle
import re

import pytest

from audiostore import ChapterSectionPath, TemplatePath, Upload
from audiostore.errors import ConfigurationError, InvalidKey
from audiostore.models import Place
from audiostore.paths import Location

UUID = "0199aa11-2233-7445-8667-8899aabbccdd"
PLACE = Place("p1", "1", "2")
LONG = "{owner}-{project}-{chapter}-{section}-{name}"


def an_upload(owner: str = "alice", place: Place = PLACE, filename: str = "take.wav", id: str = UUID) -> Upload:
    return Upload(id=id, owner=owner, place=place, filename=filename, content_type="audio/wav", size=1)


# What keys look like


def test_keys_read_as_the_place_they_are_for() -> None:
    build = ChapterSectionPath()
    assert build(an_upload()) == "alice/p1/chapter_1/section_2/take-86678899aabbccdd.wav"
    assert build(an_upload("Bob", Place())) == "!bob/-/chapter_-/section_-/take-86678899aabbccdd.wav"


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("Größe & Élan.MP3", "grosse-elan-86678899aabbccdd.mp3"),
        ("日本語.wav", "audio-86678899aabbccdd.wav"),
        ("C:\\Audio\\My Take.wav", "my-take-86678899aabbccdd.wav"),
        (".wav", "wav-86678899aabbccdd"),
        ("take.höher", "take-86678899aabbccdd"),
        ("take.averylongsuffix", "take-86678899aabbccdd"),
        ("a" * 59 + "--b.wav", "a" * 59 + "-86678899aabbccdd.wav"),
    ],
)
def test_the_readable_part_of_a_name_is_short_and_plain(filename: str, name: str) -> None:
    assert ChapterSectionPath()(an_upload(filename=filename)).name == name


@pytest.mark.parametrize(
    ("id", "folder"),
    [
        ("user-1.x_y", "user-1.x_y"),
        ("-rf", "=2drf"),
        ("..", "=2e=2e"),
        ("a.", "a=2e"),
        ("con.txt", "=63on.txt"),
        ("CON", "!c!o!n"),
        ("a/b", "a=2fb"),
        ("é", "=c3=a9"),
        ("=", "=3d"),
        ("!", "=21"),
    ],
)
def test_an_id_is_escaped_as_the_page_says(id: str, folder: str) -> None:
    build = ChapterSectionPath()
    key = build(an_upload(id, Place(id)))
    assert key.folders[:2] == (folder, folder)
    assert build.parse(key) == Location(id, Place(id))


def test_a_number_and_its_text_are_one_place() -> None:
    assert Place.of(chapter=3) == Place.of(chapter="3")
    huge = Place.of("p", 10**100, -5)
    assert ChapterSectionPath().parse(ChapterSectionPath()(an_upload(place=huge))) == ("alice", huge)


@pytest.mark.parametrize("build", [ChapterSectionPath(), TemplatePath(LONG)], ids=repr)
def test_a_long_id_is_shortened_and_parse_says_so(build: TemplatePath) -> None:
    key = build(an_upload("Ü" * 2000))
    assert max(map(len, key.split("/"))) <= 255
    assert "==" in key
    with pytest.raises(InvalidKey, match="shortened"):
        build.parse(key)
    same_head = build(an_upload("Ü" * 2000 + "x"))
    assert same_head != key


def test_an_id_is_kept_up_to_120_characters_and_that_never_changes() -> None:
    # Another bound would give other folders to owners whose files are there already.
    build = ChapterSectionPath()
    assert build(an_upload("x" * 120)).folders[0] == "x" * 120
    assert len(build(an_upload("x" * 121)).folders[0]) == 120
    assert "==" in build(an_upload("x" * 121)).folders[0]


def test_an_id_can_not_pass_for_a_shortened_one() -> None:
    build = ChapterSectionPath()
    shortened = build(an_upload("x" * 500)).folders[0]
    assert build(an_upload(shortened)).folders[0] != shortened


@pytest.mark.parametrize(
    "key",
    [
        "Alice/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "=61/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "con/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "=ff/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "=00/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "=2/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "!/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "-/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "=\ud800/p1/chapter_1/section_2/take-86678899aabbccdd.wav",
        "alice/p1/chapter_1/section_2/take.wav",
        "alice/p1/1/2/take-86678899aabbccdd.wav",
        "a" * 100_000,
    ],
)
def test_parse_takes_only_the_one_spelling_that_it_makes(key: str) -> None:
    with pytest.raises(InvalidKey):
        ChapterSectionPath().parse(key)


# Templates


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("", "{owner} is missing"),
        ("{owner}", "{name} or {id} is missing"),
        ("{project}/{name}", "{owner} is missing"),
        ("{owner}/{stem}{suffix}", "{name} or {id} is missing"),
        ("{owner}/{book}/{id}", "unknown field"),
        ("{owner}/{}/{id}", "unknown field"),
        ("{owner}/{id!r}", "unknown field"),
        ("{owner}/{id:9}", "unknown field"),
        ("{owner/{id}", "expected '}'"),
        ("{owner}/{owner}/{id}", "{owner} occurs more than once"),
        ("{owner}{id}", "parts {owner} from {id}"),
        ("{owner}/{project}x{chapter}/{id}", "parts {project} from {chapter}"),
        ("{owner}/{name}-{chapter}", "{chapter} must come before {name}"),
        ("/{owner}/{id}", "an empty segment"),
        ("{owner}//{id}", "an empty segment"),
        ("{owner}/{suffix}/{id}", "an empty segment"),
        ("{owner}/{id}.{suffix}", "starts or ends with a dot"),
        ("../{owner}/{id}", "starts or ends with a dot"),
        ("con/{owner}/{id}", "Windows reserves"),
        ("{owner}/aux.{chapter}/{id}", "Windows reserves"),
        ("{owner}/bücher/{id}", "not every backend can hold"),
        ("{owner}/a={id}", "holds one of"),
        ("{{owner}}/{id}", "holds one of"),
        ("x" * 200 + "{owner}-{project}/{id}", "no room for its ids"),
        ("/".join(["x" * 200] * 5) + "/{owner}/{id}", "longer than 1024"),
    ],
)
def test_a_template_that_could_fail_later_fails_at_once(template: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        TemplatePath(template)


@pytest.mark.parametrize("build", [ChapterSectionPath(), TemplatePath(LONG)], ids=repr)
def test_a_builder_is_a_value(build: TemplatePath) -> None:
    again = pickle.loads(pickle.dumps(build))
    assert again == build
    assert hash(again) == hash(build)
    assert again != TemplatePath("{owner}/{id}")
    assert eval(repr(build), {"ChapterSectionPath": ChapterSectionPath, "TemplatePath": TemplatePath}) == build
    assert again(an_upload()) == build(an_upload())


def test_a_template_whose_longest_key_is_none_is_refused_when_it_is_made() -> None:
    assert TemplatePath("{owner}/" + "x" * 100 + "/{name}")
    with pytest.raises(ConfigurationError, match="255 bytes"):
        TemplatePath("{owner}/" + "x" * 200 + "{name}")
