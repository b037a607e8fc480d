"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiostore.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0),
        (42, 42),
        (2**80, 2**80),
        ("00", 0),
        ("512", 512),
        ("512 bytes", 512),
        ("1 byte", 1),
        ("1b", 1),
        ("500 MB", 500 * 1024**2),
        ("500mb", 500 * 1024**2),
        ("500 MiB", 500 * 1024**2),
        ("  1.5  gb ", 1536 * 1024**2),
        ("2k", 2048),
        ("3T", 3 * 1024**4),
        ("1 PB", 1024**5),
        ("9007199254740993", 9007199254740993),
        ("0.5 kb", 512),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(written: int | str, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "wrong",
    [
        -1,
        "-1",
        "",
        " ",
        "MB",
        "1,5 MB",
        "1e9",
        "1 MBs",
        "1 000 MB",
        ".5 MB",
        "5. MB",
        "inf",
        "nan",
        "0x10",
        "\uff11 MB",
        "1 MB 2",
        "9" * 10_000,
    ],
    ids=lambda each: repr(each)[:20],
)
def test_what_is_no_size_is_refused(wrong: int | str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(wrong)


@pytest.mark.parametrize("wrong", [1.5, True, None, b"1 MB", [1]], ids=repr)
def test_a_size_of_another_kind_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="size"):
        parse_size(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (None, "unlimited"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (1536, "1.5 KB"),
        (500 * 1024**2, "500.0 MB"),
        (3 * 1024**3, "3.0 GB"),
        (5000 * 1024**4, "5000.0 TB"),
    ],
)
def test_a_size_is_written_for_people(size: int | None, written: str) -> None:
    assert format_size(size) == written


@settings(deadline=None)
@given(st.integers(0, 2**60))
def test_what_is_written_for_people_can_be_read_again_nearly(size: int) -> None:
    again = parse_size(format_size(size))
    assert abs(again - size) <= 0.06 * max(size, 1)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        size = parse_size(text)
    except ValueError:
        return
    assert size >= 0
