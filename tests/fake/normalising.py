"""What may differ between two runs against the same server. This is the only place that forgives a difference.

Each rule takes one kind of value, by its form, and keeps the rest of the text around it. No rule touches a number, so
no status can be forgiven, nor the presence of a field or a header.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

USERS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Rule:
    what: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]

    def apply(self, text: str) -> str:
        return self.pattern.sub(self.replacement, text)


def _decoded(word: str) -> str:
    try:
        return base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return word


RULES = (
    Rule(
        "an upload's address names bucket, key and version: it is spelled out, so that the version can be told apart",
        re.compile(r"(?<=/upload/resumable/)(sign/)?([A-Za-z0-9_-]{20,})"),
        lambda match: (match[1] or "") + _decoded(match[2]),
    ),
    Rule(
        "the values of Upload-Metadata are spelled out, for the keys with a time in them",
        re.compile(r"(?<=objectName )([A-Za-z0-9+/=]+)"),
        lambda match: _decoded(match[1]),
    ),
    Rule(
        "a cursor of list-v2 may hold a time: it is spelled out",
        re.compile(r"^bD[A-Za-z0-9+/=]{8,}$"),
        lambda match: _decoded(match[0]),
    ),
    Rule("ids and versions are random, the two users' are not", _UUID, lambda m: m[0] if m[0] in USERS else "<id>"),
    Rule("times in JSON", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    Rule("times in rows", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00"), "<time>"),
    Rule(
        "times as storage3 gives them",
        re.compile(r"datetime\.datetime\((?:\d+, )+tzinfo=TzInfo\(0\)\)"),
        "<time>",
    ),
    Rule("dates in headers", re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"), "<date>"),
    Rule("the server's port", re.compile(r"(?<=http://127\.0\.0\.1:)\d+"), "<port>"),
    Rule(
        "the second at which the recording client made a key", re.compile(r"(?<=/t8-|../x)\d{10}(?=\.mp3)"), "<second>"
    ),
    Rule("the words after a status, which mean nothing", re.compile(r"(?<=^HTTP/1\.1 \d\d\d )[A-Za-z ]+$"), ""),
)

EXCEPTIONS = {
    "remove_1499_rest": "remove() answers with the rows in the order of the database's disk; ours come sorted by key",
    "select_range_beyond": "PostgREST 13.0.8 said a wrong Content-Length here, and the proxy before it hung up; "
    "the fake gives the refusal that PostgREST meant",
    "storage_schema": "two rows without an order come as they lie on the server's disk; ours come by age",
}
"""Exchanges, by name, in which the fake may differ, and why."""


def normalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: normalised(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [normalised(each) for each in cast("tuple[Any, ...]", value)]
    if not isinstance(value, str):
        return value
    for rule in RULES:
        value = rule.apply(value)
    return value


def differences(recorded: dict[str, Any], replayed: dict[str, Any]) -> list[str]:
    """Give where two exchanges differ: status, headers, body, and what storage3 made of them."""
    if recorded["name"] != replayed["name"]:
        return [f"name: {recorded['name']} became {replayed['name']}"]
    found: list[str] = []
    before, after = _with_whole_times(recorded), _with_whole_times(replayed)
    for part in ("response", "storage3"):
        _compare(part, _sorted(normalised(before.get(part))), _sorted(normalised(after.get(part))), found)
    return found


_FRACTION = re.compile(r"(?<=T\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?=\+00:00)")


def _with_whole_times(exchange: dict[str, Any]) -> dict[str, Any]:
    """Give an exchange whose Content-Length counts every time in a row with six digits behind the second: Postgres
    leaves out zeros at the end, so one in ten times is shorter than the others."""
    response = exchange.get("response", {})
    length = response.get("headers", {}).get("content-length") if "body" in response else None
    if length is None:
        return exchange
    missing = sum(7 - len(each[0]) for each in _FRACTION.finditer(json.dumps(response["body"])))
    headers = {**response["headers"], "content-length": str(int(length) + missing)}
    return {**exchange, "response": {**response, "headers": headers}}


def _sorted(part: Any) -> Any:
    # The one answer that was recorded as lines of text: headers have no order.
    if isinstance(part, dict) and "raw_head" in part:
        return {"raw_head": sorted(cast("list[str]", part["raw_head"]))}
    return cast("Any", part)


def _compare(where: str, recorded: Any, replayed: Any, found: list[str]) -> None:
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        theirs, ours = cast("dict[str, Any]", recorded), cast("dict[str, Any]", replayed)
        for name in sorted({*ours, *theirs}):
            _compare(f"{where}.{name}", theirs.get(name, "<absent>"), ours.get(name, "<absent>"), found)
    elif (before := json.dumps(recorded, sort_keys=True)) != (after := json.dumps(replayed, sort_keys=True)):
        found.append(f"{where}: {before[:300]} became {after[:300]}")
