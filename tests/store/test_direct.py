from __future__ import annotations

from datetime import timedelta

import pytest

from audiostore import (
    AlreadyExists,
    AudioStore,
    FileTooLarge,
    FixedQuota,
    NotFound,
    QuotaExceeded,
    ReservationExpired,
    Staged,
    UnsupportedAudio,
    UploadGrant,
    serve,
)

from .conftest import Clock, MakeStore

pytestmark = pytest.mark.own_links

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(500)


def send(store: AudioStore, grant: UploadGrant, body: bytes) -> int:
    token = grant.url.rpartition("/")[2]
    headers = {**grant.headers, "Content-Length": str(len(body))}
    with serve(store, token, method=grant.method, headers=headers, body=iter([body])) as reply:
        return reply.status


def test_a_browser_uploads_straight_to_where_the_file_will_live(store: AudioStore) -> None:
    grant = store.begin_upload(
        owner="alice", size=len(WAV), filename="Ü.wav", project="p1", chapter=1, metadata={"take": 1}
    )
    assert store.usage("alice").reserved == len(WAV)
    assert list(store.list(owner="alice")) == []
    assert send(store, grant, WAV) in (200, 201, 204)

    file = store.finish_upload(grant, owner="alice")

    assert (file.filename, file.project, file.metadata, file.content_type) == ("Ü.wav", "p1", {"take": 1}, "audio/wav")
    assert store.get(file) == WAV
    assert file.sha256 is not None
    assert (store.usage("alice").used, store.usage("alice").reserved) == (len(WAV), 0)
    assert store.finish_upload(grant.reservation, owner="alice") == file
    assert store.finish_upload(grant) == file
    assert store.audit().ok


def test_less_than_granted_is_charged_as_what_it_is(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size="1 MB", filename="t.wav")
    send(store, grant, WAV)
    assert store.finish_upload(grant).size == len(WAV)
    assert store.usage("alice").used == len(WAV)


def test_more_than_granted_is_refused_and_not_kept(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size=10, filename="t.wav")
    assert send(store, grant, WAV) == 413
    assert list(store.backend.list()) == []
    link = store.signer.verify(grant.url.rpartition("/")[2], "PUT")
    with pytest.raises(FileTooLarge):
        store.receive(link, iter([WAV]))


def test_nothing_to_finish_yet_leaves_the_grant_as_good_as_it_was(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    with pytest.raises(NotFound):
        store.finish_upload(grant)
    send(store, grant, WAV)
    assert store.finish_upload(grant).size == len(WAV)


def test_a_cancelled_upload_gives_its_room_back_at_once(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    send(store, grant, WAV)
    with pytest.raises(NotFound):
        store.cancel_upload(grant.reservation, owner="bob")
    store.cancel_upload(grant.reservation, owner="alice")
    store.cancel_upload(grant)
    assert store.usage("alice").reserved == 0
    assert list(store.backend.list()) == []
    with pytest.raises(ReservationExpired):
        store.finish_upload(grant)

    kept = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    send(store, kept, WAV)
    file = store.finish_upload(kept)
    store.cancel_upload(kept)  # too late: it is a file now
    assert store.get(file) == WAV


def test_a_grant_is_used_once(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    send(store, grant, WAV)
    assert send(store, grant, b"other") == 409
    file = store.finish_upload(grant)
    assert send(store, grant, b"other") == 409
    assert store.get(file) == WAV


def test_a_reservation_belongs_to_its_owner(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    send(store, grant, WAV)
    with pytest.raises(NotFound):
        store.finish_upload(grant, owner="bob")
    with pytest.raises(NotFound):
        store.finish_upload("no such reservation", owner="alice")
    with pytest.raises(TypeError, match="owner"):
        store.finish_upload(grant.reservation)


def test_a_grant_needs_room_and_holds_it(make: MakeStore) -> None:
    store = make(quota=FixedQuota(1000, per_file=600))
    with pytest.raises(FileTooLarge):
        store.begin_upload(owner="alice", size=601)
    store.begin_upload(owner="alice", size=600)
    with pytest.raises(QuotaExceeded):
        store.begin_upload(owner="alice", size=401)
    with pytest.raises(QuotaExceeded):
        store.put(b"x" * 401, owner="alice")


def test_what_no_one_finished_is_given_back_by_the_sweep(store: AudioStore, clock: Clock) -> None:
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav", expires=timedelta(minutes=5))
    send(store, grant, WAV)
    clock.advance(timedelta(hours=2))

    report = store.sweep()

    assert report.expired == 1
    assert list(store.backend.list()) == []
    assert store.usage("alice").reserved == 0
    with pytest.raises(ReservationExpired):
        store.finish_upload(grant)
    assert send(store, grant, WAV) in (403, 410)
    assert store.audit().ok


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"size": 0}, UnsupportedAudio),
        ({"size": -1}, ValueError),
        ({"size": "many"}, ValueError),
        ({"size": 10, "expires": timedelta(0)}, ValueError),
        ({"size": 10, "owner": ""}, ValueError),
        ({"size": 10, "content_type": "audio/wav\r\nX: y"}, ValueError),
    ],
)
def test_a_senseless_grant_is_refused(store: AudioStore, options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        store.begin_upload(**{"owner": "alice", **options})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert store.usage("alice").reserved == 0


def test_a_renamed_text_is_found_out_when_the_upload_is_finished(make: MakeStore) -> None:
    store = make(quota=FixedQuota(types={"audio/*"}))
    with pytest.raises(UnsupportedAudio):
        store.begin_upload(owner="alice", size=10, filename="notes.txt")
    grant = store.begin_upload(owner="alice", size=1000, filename="notes.mp3")
    send(store, grant, b"Dear diary, " * 30)
    with pytest.raises(UnsupportedAudio) as refused:
        store.finish_upload(grant)
    assert refused.value.code == "type"
    assert list(store.backend.list()) == []
    assert (store.usage("alice").used, store.usage("alice").reserved) == (0, 0)


def test_a_processor_sees_direct_uploads_too(make: MakeStore, clock: Clock) -> None:
    def shout(staged: Staged) -> Staged:
        louder = staged.path.with_name("louder")
        louder.write_bytes(b"ID3\x04" + staged.path.read_bytes().upper())
        return staged.become(louder)

    store = make(process=shout, quota=FixedQuota(100))
    grant = store.begin_upload(owner="alice", size=60, filename="take.wav", metadata={"take": 1})
    send(store, grant, b"RIFF....WAVE" + b"quiet" * 8)

    file = store.finish_upload(grant)

    assert store.get(file).endswith(b"QUIET" * 8)
    assert (file.filename, file.content_type, file.metadata) == ("take.mp3", "audio/mpeg", {"take": 1})
    assert store.finish_upload(grant) == file
    assert (store.usage("alice").used, store.usage("alice").reserved) == (file.size, 0)
    clock.advance(timedelta(hours=1))
    store.sweep()
    assert {each.key for each in store.backend.list()} == {file.key}
    assert store.audit().ok


def test_a_processor_that_refuses_leaves_nothing_of_a_direct_upload(make: MakeStore) -> None:
    def never(staged: Staged) -> Staged:
        raise UnsupportedAudio("silence")

    store = make(process=never)
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    send(store, grant, WAV)
    with pytest.raises(UnsupportedAudio):
        store.finish_upload(grant)
    assert list(store.backend.list()) == []
    assert store.usage("alice").reserved == 0


def test_an_idempotency_key_gives_the_same_reservation(store: AudioStore) -> None:
    first = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav", idempotency_key="k")
    again = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav", idempotency_key="k")
    assert again.reservation == first.reservation
    assert store.usage("alice").reserved == len(WAV)
    send(store, again, WAV)
    file = store.finish_upload(first)
    with pytest.raises(AlreadyExists) as finished:
        store.begin_upload(owner="alice", size=len(WAV), filename="t.wav", idempotency_key="k")
    assert finished.value.reason == "idempotency"
    assert store.finish_upload(again) == file


def test_a_client_that_breaks_off_leaves_nothing_and_may_try_again(store: AudioStore) -> None:
    grant = store.begin_upload(owner="alice", size=len(WAV), filename="t.wav")
    token = grant.url.rpartition("/")[2]
    headers = {"Content-Length": str(len(WAV))}
    with serve(store, token, method="PUT", headers=headers, body=iter([WAV[:100]])) as reply:
        assert reply.status >= 400
    assert list(store.backend.list()) == []
    assert send(store, grant, WAV) in (200, 201, 204)
    assert store.get(store.finish_upload(grant)) == WAV
