"""What clients ask for only in part, or only if: right by the letter, and linear for whatever a stranger sends."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_range_header

from audiostore import AudioStore, Reply, serve
from audiostore.backends.memory import MemoryBackend
from audiostore.catalogs.memory import MemoryCatalog

SOUND = b"RIFF" + bytes(range(96))
SIZE = len(SOUND)

store = AudioStore(MemoryBackend(), MemoryCatalog(clock=lambda: 1_750_000_000.0), secret="a secret only for tests")
take = store.put(SOUND, owner="alice", filename="take.wav")


def ask(method: str = "GET", /, **headers: str) -> tuple[Reply, bytes]:
    token = store.url(take).rpartition("/")[2]
    reply = serve(store, token, method, {name.replace("_", "-"): value for name, value in headers.items()})
    with reply:
        body = b"".join(reply.body)
    if method == "GET" and reply.status != 304:
        assert reply.headers["Content-Length"] == str(len(body))
    return reply, body


def part(header: str) -> range | None:
    """What *header* got of ``SOUND``, checked against what the reply says; None is the whole of it."""
    reply, body = ask(Range=header)
    if reply.status == 416:
        assert reply.headers["Content-Range"] == f"bytes */{SIZE}"
        return range(0)
    if reply.status == 200:
        assert body == SOUND
        assert "Content-Range" not in reply.headers
        return None
    assert reply.status == 206
    unit, _, span = reply.headers["Content-Range"].partition(" ")
    first, last = span.removesuffix(f"/{SIZE}").split("-")
    got = range(int(first), int(last) + 1)
    assert unit == "bytes"
    assert body == SOUND[got.start : got.stop]
    return got


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", range(100)),
        ("bytes=0-0", range(1)),
        ("bytes=10-19", range(10, 20)),
        ("bytes=99-", range(99, 100)),
        ("bytes=90-4096", range(90, 100)),
        ("bytes=-1", range(99, 100)),
        ("bytes=-100", range(100)),
        ("bytes=-5000", range(100)),
        ("bytes=0-" + "9" * 60, range(100)),
        ("BYTES=5-6", range(5, 7)),
        (" bytes= 5-6\t", range(5, 7)),
        ("bytes=007-008", range(7, 9)),
    ],
)
def test_a_range_gets_just_its_bytes(header: str, expected: range) -> None:
    assert part(header) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 60}-"])
def test_a_range_beyond_the_end_is_told_the_size(header: str) -> None:
    assert part(header) == range(0)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=--5",
        "bytes=1-2-3",
        "bytes 0-1",
        "bytes=+1-2",
        "bytes=1_0-2_0",
        "bytes=\u0661-\u0662",
        "bytes=0x1-0x2",
        "bytes=1 -2",
        "seconds=1-2",
        "bytes=0-1,5-6",
        "bytes=0-,0-,0-",
        "bytes=0-1\r\nX: y",
        "bytes=0-" + "9" * 500,
        "bytes=" + "0-," * 5000,
    ],
)
def test_a_header_that_is_no_single_range_is_ignored(header: str) -> None:
    assert part(header) is None


@given(st.integers(0, 150), st.none() | st.integers(0, 150))
def test_a_range_from_somewhere_is_what_it_is_defined_to_be(first: int, last: int | None) -> None:
    got = part(f"bytes={first}-{'' if last is None else last}")
    if last is not None and last < first:
        assert got is None
    else:
        assert list(got or ()) == [at for at in range(SIZE) if first <= at and (last is None or at <= last)]


@given(st.integers(0, 150))
def test_a_range_at_the_end_is_what_it_is_defined_to_be(count: int) -> None:
    assert list(part(f"bytes=-{count}") or ()) == list(range(SIZE))[-count:] * bool(count)


@given(st.text("bytes=-0123456789, \t", max_size=24) | st.from_regex(r"bytes=\d{0,3}-\d{0,3}", fullmatch=True))
def test_werkzeug_reads_the_same(header: str) -> None:
    theirs = parse_range_header(header)
    ours = part(header)
    if ours:
        assert theirs is not None
        if (span := theirs.range_for_length(SIZE)) is not None:
            assert (ours.start, ours.stop) == span
        else:
            # Theirs has no answer to more last bytes than there are; RFC 9110 §14.1.2 says: all of them.
            assert ours == range(SIZE)
    elif theirs is not None and len(theirs.ranges) == 1 and theirs.units == "bytes":
        assert theirs.range_for_length(SIZE) is None or ours is None


def test_a_range_is_only_for_get() -> None:
    reply, body = ask("HEAD", Range="bytes=1-2")
    assert (reply.status, reply.headers["Content-Length"], body) == (200, str(SIZE), b"")


def test_a_header_that_occurs_twice_is_one_list() -> None:
    class Pairs:
        def items(self) -> list[tuple[str, str]]:
            return [("Range", "bytes=0-1"), ("range", "bytes=4-5"), ("If-Match", '"other"'), ("if-match", ETAG)]

    with serve(store, store.url(take).rpartition("/")[2], headers=Pairs()) as reply:
        assert reply.status == 200


def test_twenty_thousand_odd_ranges_are_answered_in_no_time() -> None:
    made = random.Random(8)
    shards = ["bytes=", "bytes", "=", "-", ",", " ", "\t", "0", "1", "99", "100", "9" * 30, "W/", '"', "\0", "é", "*"]
    started = time.monotonic()
    for _ in range(20_000):
        header = "".join(made.choices(shards, k=made.randrange(1, 12)))
        part(header if made.random() < 0.3 else "bytes=" + header)
    assert time.monotonic() - started < 120


HOSTILE = {
    "many ranges": "bytes=" + "0-1," * 250_000,
    "digits": "bytes=" + "9" * 1_000_000 + "-",
    "dashes": "bytes=" + "-" * 1_000_000,
    "blanks": "bytes=" + " " * 1_000_000 + "x",
    "quotes": '"' * 1_000_000,
    "open quotes": '"a' * 500_000,
    "weak marks": 'W/"' * 333_333,
    "commas": "," * 1_000_000,
    "dates": "Sun, 06 Nov 1994 08:49:37 GMT " * 30_000,
    "brackets": "(" * 1_000_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_megabyte_of_header_costs_no_more_than_reading_it(kind: str) -> None:
    """Anything quadratic would take minutes for each of them; all of them together get seconds."""
    hostile = HOSTILE[kind]
    started = time.monotonic()
    for name in ("Range", "If_Range", "If_None_Match", "If_Modified_Since", "If_Match", "If_Unmodified_Since"):
        reply, _ = ask(**{"Range": "bytes=0-1", name: hostile})
        assert reply.status in {200, 206, 412}
    assert time.monotonic() - started < 20


ETAG = f'"{take.sha256}"'
MADE = take.created_at.replace(microsecond=0)


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def test_the_tag_is_the_digest_and_the_date_is_when_it_was_made() -> None:
    reply, _ = ask()
    assert (reply.headers["ETag"], reply.headers["Last-Modified"]) == (ETAG, http_date(MADE))


@pytest.mark.parametrize("tags", [ETAG, f"W/{ETAG}", "*", f'"other", {ETAG}', f'W/"a,b" ,{ETAG},"c"', f"  {ETAG}  "])
def test_what_the_client_has_is_not_sent_again(tags: str) -> None:
    for method in ("GET", "HEAD"):
        reply, body = ask(method, If_None_Match=tags)
        assert (reply.status, body) == (304, b"")
        assert reply.headers["ETag"] == ETAG
        assert reply.headers["Cache-Control"] == store.cache_control
        assert "Content-Length" not in reply.headers


@pytest.mark.parametrize(
    "tags", ['"other"', str(take.sha256), f"'{take.sha256}'", "", '"', f'"x{ETAG}', "W/*", "w/" + ETAG[1:]]
)
def test_what_the_client_has_not_is_sent(tags: str) -> None:
    assert ask(If_None_Match=tags)[0].status == 200


FORMS = {
    "today's": "%a, %d %b %Y %H:%M:%S GMT",
    "RFC 850's": "%A, %d-%b-%y %H:%M:%S GMT",
    "asctime's": "%a %b %d %H:%M:%S %Y",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_what_did_not_change_since_is_not_sent_again(form: str) -> None:
    for late, status in ((0, 304), (60, 304), (-1, 200)):
        since = (MADE + timedelta(seconds=late)).strftime(form)
        assert ask(If_Modified_Since=since)[0].status == status, since


def test_a_tag_outweighs_a_date() -> None:
    assert ask(If_None_Match='"other"', If_Modified_Since=http_date(MADE))[0].status == 200


@pytest.mark.parametrize(
    "date", ["yesterday", "", "0", "Sun, 99 Foo 2026 99:99:99 GMT", "9" * 60, "\0", "1 Jan 1 00:00 +9999"]
)
def test_a_date_that_is_none_is_ignored(date: str) -> None:
    assert ask(If_Modified_Since=date)[0].status == 200
    assert ask(If_Unmodified_Since=date)[0].status == 200
    assert ask(If_Range=date, Range="bytes=0-1")[0].status == 200


def test_a_date_of_more_than_64_characters_is_ignored() -> None:
    assert ask(If_Modified_Since=http_date(MADE).ljust(64))[0].status == 304
    assert ask(If_Modified_Since=http_date(MADE).ljust(65))[0].status == 200


def test_a_list_of_tags_of_more_than_2048_characters_matches_nothing() -> None:
    tags = ", ".join([ETAG] * 20)
    assert ask(If_None_Match=tags.ljust(2048))[0].status == 304
    assert ask(If_None_Match=tags.ljust(2049))[0].status == 200
    assert ask(If_Match=tags.ljust(2049))[0].status == 412


def test_a_range_of_more_than_128_characters_is_ignored() -> None:
    assert part("bytes=0-1".ljust(128)) == range(2)
    assert part("bytes=0-1".ljust(129)) is None


@given(st.text(st.sampled_from('SunMonJan 0123456789,:-+GMTZ()\\"<@>.;\t\0é'), max_size=40))
def test_no_date_breaks_anything(date: str) -> None:
    assert ask(If_Modified_Since=date)[0].status in {200, 304}


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (ETAG, 206),
        (http_date(MADE), 206),
        (f"W/{ETAG}", 200),
        ('"other"', 200),
        (http_date(MADE - timedelta(seconds=1)), 200),
        (http_date(MADE + timedelta(seconds=1)), 200),
        (f"{ETAG}, {ETAG}", 200),
    ],
)
def test_a_part_is_given_only_of_what_the_client_has_the_rest_of(if_range: str, status: int) -> None:
    assert ask(If_Range=if_range, Range="bytes=0-1")[0].status == status
    assert ask(If_Range=if_range)[0].status == 200, "without a Range it means nothing"


def test_a_part_beyond_the_end_of_another_file_is_the_whole() -> None:
    assert ask(If_Range='"other"', Range="bytes=500-")[0].status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_Match": ETAG}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": '"other"'}, 412),
        ({"If_Match": f"W/{ETAG}"}, 412),
        ({"If_Unmodified_Since": http_date(MADE)}, 200),
        ({"If_Unmodified_Since": http_date(MADE - timedelta(seconds=1))}, 412),
        ({"If_Match": ETAG, "If_Unmodified_Since": http_date(MADE - timedelta(days=1))}, 200),
        ({"If_Match": '"other"', "If_None_Match": ETAG}, 412),
        ({"If_Match": ETAG, "If_None_Match": ETAG}, 304),
        ({"If_None_Match": ETAG, "Range": "bytes=0-1"}, 304),
        ({"If_None_Match": '"other"', "Range": "bytes=0-1"}, 206),
    ],
)
def test_conditions_are_weighed_in_the_order_of_the_rfc(headers: dict[str, str], status: int) -> None:
    assert ask(**headers)[0].status == status
