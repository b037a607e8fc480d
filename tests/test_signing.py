"""Links bind what they say, expire, rotate, and raise when they are not ours."""

from __future__ import annotations

import base64
import copy
import hmac
import pickle
import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiostore.errors import ConfigurationError, LinkExpired, LinkInvalid
from audiostore.keys import Key
from audiostore.signing import MAX_NAME, MAX_TOKEN, Link, LinkSigner, shorten

SECRET = "correct horse battery staple"
OTHER = "a horse of quite another colour"
NOW = 1_700_000_000.0
SOON = datetime.fromtimestamp(NOW, UTC) + timedelta(hours=1)
URL_SAFE = string.ascii_letters + string.digits + "-_."


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def signer(*secrets: str | bytes, clock: Clock | None = None) -> LinkSigner:
    return LinkSigner(secrets or [SECRET], clock=clock or Clock())


def link(key: str = "alice/p1/take.wav", **facts: Any) -> Link:
    whole: dict[str, Any] = {"method": "GET", "backend": "local", "key": Key(key), "expires_at": SOON, **facts}
    return Link(**whole)


def upload(key: str = "alice/p1/take.wav") -> Link:
    return link(key, method="PUT", size=1000, content_type="audio/wav", reservation="r1")


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=300)
moments = st.integers(1_700_000_000_001, 32_000_000_000_000).map(lambda at: datetime.fromtimestamp(at / 1000, UTC))
segments = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=30).map("k{}k".format)
keys = st.lists(segments, min_size=1, max_size=4).map("/".join)
downloads = st.builds(link, keys, expires_at=moments, download_as=st.none() | names)
uploads = st.builds(
    link,
    keys,
    method=st.just("PUT"),
    expires_at=moments,
    size=st.integers(0, 2**63),
    content_type=st.sampled_from([None, "audio/wav", "audio/ogg; codecs=opus"]),
    reservation=st.uuids().map(str),
)


@given(downloads | uploads)
def test_a_link_comes_back_as_it_was_signed(given_link: Link) -> None:
    token = signer().sign(given_link)
    assert signer().verify(token, given_link.method) == given_link
    assert len(token) <= MAX_TOKEN
    assert set(token) <= set(URL_SAFE)


def test_the_longest_link_fits_a_token() -> None:
    longest = link("/".join(["k" * 255] * 4), download_as="\x01" * 10_000 + ".wav")
    assert signer().verify(signer().sign(longest), "GET") == longest


def test_a_link_that_fits_no_token_is_not_made() -> None:
    with pytest.raises(ValueError, match="too long"):
        signer().sign(link(backend="b" * MAX_TOKEN))


def test_tokens_end_just_below_the_bound_and_begin_again_just_above() -> None:
    """Base64 without padding has no length of 4n + 1, so no token of ours is exactly as long as the bound."""
    backends = ["b" * count for count in range(2900, 3000)]
    made = [len(signer().sign(link(backend=each))) for each in backends if _fits(each)]
    assert max(made) == 4095
    with pytest.raises(ValueError, match="a link of 4097 characters"):
        signer().sign(link(backend=backends[len(made)]))


def test_only_a_token_beyond_the_bound_is_refused_for_its_length() -> None:
    for length, reason in ((4096, LinkInvalid()), (4097, LinkInvalid("malformed"))):
        with pytest.raises(LinkInvalid) as raised:
            signer().verify("v1." + "A" * (length - 3), "GET")
        assert str(raised.value) == str(reason)


@pytest.mark.parametrize("made", [link(download_as="глава.wav"), upload()], ids=["download", "upload"])
def test_a_change_of_any_one_character_is_refused(made: Link) -> None:
    token = signer().sign(made)
    for position, was in enumerate(token):
        for character in URL_SAFE + "=/+ é\0":
            if character != was:
                with pytest.raises(LinkInvalid) as raised:
                    signer().verify(token[:position] + character + token[position + 1 :], made.method)
                assert type(raised.value) is LinkInvalid


def test_every_truncation_and_extension_is_refused() -> None:
    token = signer().sign(link())
    for spoiled in [token[:count] for count in range(len(token))] + [token + each for each in URL_SAFE + "="]:
        with pytest.raises(LinkInvalid):
            signer().verify(spoiled, "GET")


@given(st.text(max_size=200) | st.text(URL_SAFE, max_size=200).map("v1.{}".format))
def test_noise_is_refused(noise: str) -> None:
    with pytest.raises(LinkInvalid):
        signer().verify(noise, "GET")


@pytest.mark.parametrize("junk", ["x" * 10_240, "v1." + "A" * 10_240 + ".B", "v1." * 4000, "é" * 10_240])
def test_ten_kilobytes_of_junk_are_refused_before_anything_is_computed(
    junk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = signer()
    monkeypatch.setattr(hmac, "digest", _must_not_run)
    with pytest.raises(LinkInvalid):
        checker.verify(junk, "GET")


@pytest.mark.parametrize("junk", [None, 7, b"v1.a.b", ["v1.a.b"]])
def test_what_is_no_text_is_refused(junk: object) -> None:
    with pytest.raises(LinkInvalid):
        signer().verify(junk, "GET")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_the_payload_is_not_looked_into_before_the_mac_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    token = signer().sign(link())
    monkeypatch.setattr("audiostore.signing.json.loads", _must_not_run)
    monkeypatch.setattr("audiostore.signing.base64.urlsafe_b64decode", _must_not_run)
    with pytest.raises(LinkInvalid):
        signer().verify(token[:-1] + ("A" if token[-1] != "A" else "E"), "GET")


def test_a_mac_of_another_link_does_not_fit() -> None:
    mine, theirs = signer().sign(link("mallory/take.wav")), signer().sign(link("alice/take.wav"))
    with pytest.raises(LinkInvalid):
        signer().verify(f"v1.{theirs.split('.')[1]}.{mine.split('.')[2]}", "GET")


def test_a_mac_has_one_spelling() -> None:
    token = signer().sign(link())
    body, _, mac = token.rpartition(".")
    raw = base64.urlsafe_b64decode(mac + "=")
    # 43 characters hold 258 bits: the last one has two that mean nothing, and a lenient reader would let them vary.
    same = [mac[:-1] + last for last in URL_SAFE[:-1] if base64.urlsafe_b64decode(mac[:-1] + last + "=") == raw]
    assert len(same) == 4
    for spelling in [*same, mac + "="]:
        if spelling != mac:
            with pytest.raises(LinkInvalid):
                signer().verify(f"{body}.{spelling}", "GET")


@pytest.mark.parametrize(
    ("made", "method"),
    [
        (link(), "PUT"),
        (link(), "POST"),
        (link(), "DELETE"),
        (link(), "get"),
        (link(), ""),
        (upload(), "GET"),
        (upload(), "HEAD"),
        (upload(), "POST"),
    ],
)
def test_a_link_is_for_its_method_only(made: Link, method: str) -> None:
    with pytest.raises(LinkInvalid):
        signer().verify(signer().sign(made), method)


def test_a_link_to_listen_answers_head() -> None:
    assert signer().verify(signer().sign(link()), "HEAD") == link()


def test_a_link_works_until_it_expires_and_not_a_millisecond_longer() -> None:
    clock = Clock()
    check = signer(clock=clock)
    token = check.sign(link())
    clock.now = SOON.timestamp() - 0.001
    assert check.verify(token, "GET") == link()
    clock.now = SOON.timestamp()
    with pytest.raises(LinkExpired) as raised:
        check.verify(token, "GET")
    assert raised.value.expired_at == SOON.timestamp()


def test_an_expired_link_that_was_changed_is_invalid_not_expired() -> None:
    token = signer().sign(link())
    with pytest.raises(LinkInvalid) as raised:
        signer(clock=Clock(NOW + 10_000)).verify(token[:-2] + "AA", "GET")
    assert type(raised.value) is LinkInvalid


def test_another_secret_is_refused() -> None:
    with pytest.raises(LinkInvalid):
        signer(OTHER).verify(signer(SECRET).sign(link()), "GET")


@pytest.mark.parametrize("key", ["../etc/passwd", "/absolute", ""])
def test_a_genuine_link_to_what_is_no_key_is_refused(key: str) -> None:
    token = signer().sign(_unchecked(key))
    with pytest.raises(LinkInvalid):
        signer().verify(token, "GET")


def test_secrets_rotate() -> None:
    before, during, after = signer(SECRET), signer(SECRET, OTHER), signer(OTHER)
    assert during.verify(before.sign(link()), "GET") == link()
    assert after.verify(during.sign(link()), "GET") == link(), "the newest secret signs"
    with pytest.raises(LinkInvalid):
        after.verify(before.sign(link()), "GET")
    with pytest.raises(LinkInvalid):
        before.verify(during.sign(link()), "GET")


def test_text_and_bytes_are_the_same_secret() -> None:
    assert signer(SECRET.encode()).verify(signer(SECRET).sign(link()), "GET") == link()


def test_the_app_may_use_its_secret_for_something_else() -> None:
    """An HMAC that the app makes with the same secret, over the same text, is no mac of a link."""
    payload = signer().sign(link()).split(".")[1]
    for text in (payload, f"v1.{payload}", f"v1.GET.{payload}"):
        mac = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha256")).rstrip(b"=").decode()
        with pytest.raises(LinkInvalid):
            signer().verify(f"v1.{payload}.{mac}", "GET")


@pytest.mark.parametrize("matching", [0, 1, 2, None])
def test_each_secret_is_compared_in_constant_time_whichever_matches(
    matching: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [f"secret number {number} of three" for number in range(3)]
    token = signer(OTHER if matching is None else secrets[matching]).sign(link())
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    try:
        signer(*secrets).verify(token, "GET")
    except LinkInvalid:
        assert matching is None
    macs = [signer(secret).sign(link()).rpartition(".")[2].encode() for secret in secrets]
    given_mac = token.rpartition(".")[2].encode()
    assert compared == [(mac, given_mac) for mac in macs]


def test_nothing_but_compare_digest_lets_a_link_through(monkeypatch: pytest.MonkeyPatch) -> None:
    token = signer().sign(link())
    monkeypatch.setattr(hmac, "compare_digest", _never_equal)
    with pytest.raises(LinkInvalid):
        signer().verify(token, "GET")


@pytest.mark.parametrize("secrets", [[], ["fifteen bytes.."], [SECRET, ""], [b"short", SECRET]])
def test_a_missing_or_short_secret_is_refused_without_repeating_it(secrets: list[str | bytes]) -> None:
    with pytest.raises(ConfigurationError, match="AUDIOSTORE_SECRET") as raised:
        LinkSigner(secrets)
    assert not any(each and str(each) in str(raised.value) for each in secrets)


def test_sixteen_bytes_are_enough_and_any_bytes_will_do() -> None:
    for secret in ("sixteen bytes...", b"\xff" * 16, "\udcff" * 6, "é" * 8):
        assert signer(secret).verify(signer(secret).sign(link()), "GET") == link()


@pytest.mark.parametrize("secrets", [SECRET, b"\xff" * 16, [100], [None]])
def test_what_is_no_list_of_secrets_is_a_mistake(secrets: object) -> None:
    with pytest.raises(TypeError):
        LinkSigner(secrets)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_signer_neither_shows_nor_gives_away_its_secrets() -> None:
    check = signer(SECRET, OTHER)
    assert repr(check) == str(check) == "LinkSigner(<2 secrets>)"
    for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            give_away(check)


def test_no_error_repeats_the_token() -> None:
    token = signer().sign(link())
    for check, method in ((signer(OTHER), "GET"), (signer(), "PUT"), (signer(clock=Clock(NOW * 2)), "GET")):
        with pytest.raises(LinkInvalid) as raised:
            check.verify(token, method)
        assert token.split(".")[1] not in f"{raised.value!r} {raised.value.__dict__}"


@given(st.floats(0, 4e9), st.timedeltas(timedelta(milliseconds=1), timedelta(days=3650)))
def test_no_link_outlives_what_was_asked_and_none_loses_more_than_a_quarter(now: float, expires: timedelta) -> None:
    life = signer(clock=Clock(now)).expiry(expires).timestamp() - now
    slack = 1e-5 + 0.001  # of floats, and of the millisecond that all times are cut to
    assert 0.75 * expires.total_seconds() - slack <= life <= expires.total_seconds() + slack


def test_links_made_within_a_quarter_of_their_life_are_equal() -> None:
    clock = Clock(NOW - NOW % 900)
    check = signer(clock=clock)

    def made() -> str:
        return check.sign(link(expires_at=check.expiry(timedelta(hours=1))))

    first = made()
    clock.now += 899.9
    assert made() == first
    clock.now += 0.2
    assert made() != first


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1), timedelta.max])
def test_a_link_must_live_for_a_while(expires: timedelta) -> None:
    with pytest.raises(ValueError, match="link"):
        signer().expiry(expires)


def test_now_is_the_clock_in_utc() -> None:
    assert signer().now() == datetime.fromtimestamp(NOW, UTC)


def test_a_life_is_a_timedelta() -> None:
    with pytest.raises(TypeError, match="timedelta"):
        signer().expiry(3600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "facts",
    [
        {"expires_at": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"method": "DELETE"},
        {"method": "PUT"},
        {"method": "PUT", "size": -1},
        {"download_as": ""},
        {"download_as": "a\0b"},
        {"download_as": "\ud800"},
    ],
)
def test_a_link_that_makes_no_sense_is_a_mistake(facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        link(**facts)
    assert not isinstance(raised.value, UnicodeError)


def test_times_are_kept_in_utc_to_the_millisecond() -> None:
    there = timezone(timedelta(hours=-3))
    made = link(expires_at=datetime(2030, 1, 1, 9, 0, 0, 123_999, there))
    assert made.expires_at == datetime(2030, 1, 1, 12, 0, 0, 123_000, UTC)
    assert made.expires_at.tzinfo is UTC


@given(names)
def test_a_long_name_keeps_its_suffix_and_its_beginning(name: str) -> None:
    short = shorten(f"{name * 10}.flac")
    assert len(short.encode()) <= MAX_NAME
    assert short.endswith(".flac")
    assert name.startswith(short[: min(len(name), 20)].removesuffix(".flac")[:20])


def test_a_name_that_is_all_suffix_is_cut_all_the_same() -> None:
    assert shorten("." + "x" * 400) == "." + "x" * 254
    assert shorten("a." + "x" * 400) == "a." + "x" * 253


def _fits(backend: str) -> bool:
    try:
        signer().sign(link(backend=backend))
    except ValueError:
        return False
    return True


def _unchecked(key: str) -> Link:
    made = link()
    object.__setattr__(made, "key", key)
    return made


def _never_equal(one: bytes, other: bytes) -> bool:
    return False


def _must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("must not run")
