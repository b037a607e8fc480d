"""What a link says, as a value; and how its names are cut."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from audiostore.keys import Key
from audiostore.signing import MAX_NAME, Link, LinkSigner, shorten

SOON = datetime(2030, 1, 1, tzinfo=UTC)


def link(**facts: Any) -> Link:
    plain: dict[str, Any] = {"method": "GET", "backend": "local", "key": Key("alice/take.wav"), "expires_at": SOON}
    return Link(**plain | facts)


def test_it_is_a_value_whose_parts_are_named() -> None:
    made = link()
    assert made == link()
    assert hash(made) == hash(link())
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.key = Key("bob/take.wav")  # type: ignore[misc]
    with pytest.raises(TypeError):
        Link("GET", "local", Key("alice/take.wav"), SOON)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_name_in_any_language_takes_the_room_of_its_utf_8() -> None:
    signer = LinkSigner(["a secret that is long enough"], clock=lambda: SOON.timestamp() - 60)
    latin, kana = (link(download_as=letter * (MAX_NAME // 3)) for letter in ("a", "あ"))
    longer = len(signer.sign(kana)) - len(signer.sign(latin))
    assert longer == pytest.approx((MAX_NAME // 3) * 2 * 4 / 3, abs=3)
    assert signer.verify(signer.sign(kana), "GET") == kana


@pytest.mark.parametrize("suffix", [28, 29, 30, 31, 200])
def test_a_name_keeps_a_suffix_that_can_be_one(suffix: int) -> None:
    name = "a" * 300 + "." + "s" * suffix
    kept = "." + "s" * suffix if suffix < MAX_NAME // 8 else ""
    assert shorten(name) == "a" * (MAX_NAME - len(kept)) + kept
