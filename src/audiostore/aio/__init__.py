"""The store for event loops: the same calls, awaited, on threads of its own. Nothing is decided here a second time."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, Unpack, cast

from audiostore.aio.feeding import bytes_of, items_from, name_of
from audiostore.aio.files import AsyncFile
from audiostore.aio.streams import AsyncByteStream, AsyncReply, Pages
from audiostore.cancelling import cancelled_flag, undo_if_cancelled
from audiostore.events import Handler
from audiostore.models import AudioFile, PlaceId, parse_text
from audiostore.reports import Batch
from audiostore.serving import Reply, serve
from audiostore.serving.conditions import HeaderItems
from audiostore.signing import LinkSigner
from audiostore.sources import NewFile, Source, as_new_file
from audiostore.store import AudioStore
from audiostore.store.batch import Target, Told
from audiostore.store.parts import Options
from audiostore.store.reading import PAGE
from audiostore.streams import ByteStream

__all__ = ["AsyncAudioStore", "AsyncByteStream", "AsyncFile", "AsyncReply"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NO_HEADERS: Final[HeaderItems] = MappingProxyType[str, str]({})


def _awaited(
    method: Callable[Concatenate[AudioStore, _P], _T],
) -> Callable[Concatenate[AsyncAudioStore, _P], Coroutine[Any, Any, _T]]:
    """Make the method of the asynchronous store that awaits *method*: its signature, its contract, its errors."""

    @wraps(method)
    async def call(self: AsyncAudioStore, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await self._threads.call(partial(method, self.store, *args, **kwargs))

    return call


def _fed(
    method: Callable[Concatenate[AudioStore, _P], _T], word: str
) -> Callable[Concatenate[AsyncAudioStore, _P], Coroutine[Any, Any, _T]]:
    """Like ``_awaited``, for a *method* whose argument *word* gives bytes, which may be asynchronous here."""
    names = list(signature(method).parameters)[1:]

    @wraps(method)
    async def call(self: AsyncAudioStore, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        given = dict(zip(names, args, strict=False)) | kwargs
        source = given.get(word)
        feed = bytes_of(source)
        if feed is None:
            return await self._threads.call(partial(method, self.store, *args, **kwargs))
        given[word] = feed
        if "filename" in names and given.get("filename") is None:
            given["filename"] = name_of(source)
        untyped = cast("Callable[..., _T]", method)
        return await self._threads.feed(feed, partial(untyped, self.store, **given))

    return call


def _paged(
    method: Callable[Concatenate[AudioStore, _P], Iterator[_T]], page: int
) -> Callable[Concatenate[AsyncAudioStore, _P], AsyncIterator[_T]]:
    """Make the method that iterates asynchronously over what *method* gives, *page* items from a thread at a time."""

    @wraps(method)
    def begin(self: AsyncAudioStore, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncIterator[_T]:
        return Pages(partial(method, self.store, *args, **kwargs), self._threads, page)

    return begin


class AsyncAudioStore:
    """``AudioStore`` for FastAPI, Starlette and other apps on asyncio: the same calls, awaited.

    >>> import asyncio
    >>> async def main():
    ...     async with AsyncAudioStore.local("uploads") as astore:
    ...         take = await astore.put("take.wav", owner="alice", project="p1")
    ...         return [each.filename async for each in astore.list(owner="alice", project="p1")]
    >>> asyncio.run(main())
    ['take.wav']

    Each call runs the synchronous store, which is ``store``, in a thread; the event loop is never blocked. A call that
    is cancelled returns when it has undone what it did: a cancelled ``put`` leaves nothing behind.

    Args:
        store: the synchronous one; ``close`` closes it.
        workers: calls that run at once; further ones wait for their turn.
        uploads: puts from asynchronous sources that run at once, each in a thread that waits for chunks.

    """

    def __init__(self, store: AudioStore, *, workers: int = 16, uploads: int = 64) -> None:
        from audiostore.aio.batch import Batches  # asyncio is slow to load; who makes one of these has it already
        from audiostore.aio.threads import Threads

        self.store = store
        self._threads = Threads(workers, uploads)
        self._batches = Batches(self._threads)

    @classmethod
    def local(
        cls, root: str | os.PathLike[str], *, workers: int = 16, uploads: int = 64, **options: Unpack[Options]
    ) -> Self:
        """Make a store on one machine, as ``AudioStore.local``. It looks at the disk: do it when the app starts."""
        return cls(AudioStore.local(root, **options), workers=workers, uploads=uploads)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        workers: int = 16,
        uploads: int = 64,
        tier_of: Callable[[str], str] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Make a store from environment variables, as ``AudioStore.from_env``. Do it when the app starts."""
        return cls(AudioStore.from_env(environ, tier_of=tier_of, **options), workers=workers, uploads=uploads)

    @classmethod
    def from_supabase(
        cls,
        client: Any,
        *,
        bucket: str = "audio-files",
        workers: int = 16,
        uploads: int = 64,
        **options: Unpack[Options],
    ) -> Self:
        """Make a store over a synchronous ``supabase.Client``, as ``AudioStore.from_supabase``."""
        return cls(AudioStore.from_supabase(client, bucket=bucket, **options), workers=workers, uploads=uploads)

    put = _fed(AudioStore.put, "source")
    replace = _fed(AudioStore.replace, "source")

    async def put_many(
        self,
        files: AsyncIterable[NewFile | Source] | Iterable[NewFile | Source],
        *,
        owner: str,
        project: PlaceId = None,
        chapter: PlaceId = None,
        section: PlaceId = None,
        workers: int = 8,
        progress: Told[AudioFile] | None = None,
    ) -> Batch[AudioFile]:
        """Store many files, as ``AudioStore.put_many``; *files*, and the source of each, may be asynchronous.

        Cancelled, it cancels those under way and waits until they are undone; what was done stays.
        """
        parse_text("owner", owner)

        def put(item: NewFile | Source) -> Coroutine[Any, Any, AudioFile]:
            file = as_new_file(item, project, chapter, section)
            return self.put(file.source, owner=owner, **file.options)

        return await self._batches.each(files, put, workers, progress)

    begin_upload = _awaited(AudioStore.begin_upload)
    finish_upload = _awaited(AudioStore.finish_upload)
    cancel_upload = _awaited(AudioStore.cancel_upload)
    receive = _fed(AudioStore.receive, "body")

    find = _awaited(AudioStore.find)
    list = _paged(AudioStore.list, PAGE)
    exists = _awaited(AudioStore.exists)
    stat = _awaited(AudioStore.stat)
    get = _awaited(AudioStore.get)

    async def stream(
        self, file: AudioFile | str, start: int = 0, end: int | None = None, *, owner: str | None = None
    ) -> AsyncByteStream:
        """Iterate over the bytes from *start* to *end*, as ``AudioStore.stream``; ``.length`` in all.

        >>> async def copy(astore, take, out):
        ...     async with await astore.stream(take) as stream:
        ...         async for chunk in stream:
        ...             await out.write(chunk)
        """

        def begin() -> ByteStream:
            stream = self.store.stream(file, start, end, owner=owner)
            undo_if_cancelled(stream.close)
            return stream

        return AsyncByteStream(await self._threads.call(begin), self._threads)

    async def open(self, file: AudioFile | str, *, owner: str | None = None) -> AsyncFile:
        """Open for reading, seekable, as ``AudioStore.open``: what reads here and there. ``run`` is for libraries.

        >>> async def tail(astore, take):
        ...     async with await astore.open(take) as file:
        ...         await file.seek(-128, os.SEEK_END)
        ...         return await file.read()
        """

        def begin() -> io.BufferedReader:
            opened = self.store.open(file, owner=owner)
            undo_if_cancelled(opened.close)
            return opened

        return AsyncFile(await self._threads.call(begin), self._threads)

    download_to = _awaited(AudioStore.download_to)

    async def download_many(
        self,
        targets: AsyncIterable[Target] | Iterable[Target],
        *,
        owner: str | None = None,
        workers: int = 8,
        progress: Told[Path] | None = None,
    ) -> Batch[Path]:
        """Write many files, as ``AudioStore.download_many``; *targets* may be asynchronous."""

        def download(target: Target) -> Coroutine[Any, Any, Path]:
            return self.download_to(*target, owner=owner)

        return await self._batches.each(targets, download, workers, progress)

    url = _awaited(AudioStore.url)
    urls = _awaited(AudioStore.urls)

    move = _awaited(AudioStore.move)
    copy = _awaited(AudioStore.copy)
    promote = _awaited(AudioStore.promote)
    promote_all = _paged(AudioStore.promote_all, 1)
    delete = _awaited(AudioStore.delete)

    async def delete_many(
        self,
        files: AsyncIterable[AudioFile | str] | Iterable[AudioFile | str],
        *,
        owner: str | None = None,
        progress: Told[None] | None = None,
    ) -> Batch[None]:
        """Delete many files, as ``AudioStore.delete_many``; *files* may be asynchronous. *progress* runs in a thread.

        >>> async def empty(astore):
        ...     return (await astore.delete_many(astore.list(owner="alice", project="p1"))).results()
        """
        if not isinstance(files, AsyncIterable):
            return await self._threads.call(partial(self.store.delete_many, files, owner=owner, progress=progress))
        feed = items_from(files)
        return await self._threads.feed(feed, partial(self.store.delete_many, feed, owner=owner, progress=progress))

    delete_project = _awaited(AudioStore.delete_project)
    delete_owner = _awaited(AudioStore.delete_owner)

    usage = _awaited(AudioStore.usage)
    usage_by_project = _awaited(AudioStore.usage_by_project)
    quota_of = _awaited(AudioStore.quota_of)
    set_quota = _awaited(AudioStore.set_quota)
    clear_quota = _awaited(AudioStore.clear_quota)

    sweep = _awaited(AudioStore.sweep)
    audit = _awaited(AudioStore.audit)

    async def serve(
        self, token: str, method: str = "GET", headers: HeaderItems = _NO_HEADERS, body: Any = None
    ) -> AsyncReply:
        """Answer a request to ``<base_url>/<token>``, as ``audiostore.serve``; *body* may be asynchronous.

        A FastAPI app needs this and no more::

            @app.api_route("/audio/{token}", methods=["GET", "HEAD", "PUT"])
            async def audio(token: str, request: Request):
                reply = await astore.serve(token, request.method, request.headers, request.stream())
                return StreamingResponse(reply.body, reply.status, reply.headers)

        """

        def answer(body: Any) -> Reply:
            reply = serve(self.store, token, method, headers, body)
            undo_if_cancelled(reply.close)
            return reply

        feed = bytes_of(body) if method == "PUT" else None
        if feed is not None:
            reply = await self._threads.feed(feed, partial(answer, feed))
        else:
            reply = await self._threads.call(partial(answer, body if method == "PUT" else None))
        return AsyncReply(reply.status, reply.headers, AsyncByteStream(reply.body, self._threads))

    async def run(self, function: Callable[Concatenate[AudioStore, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a *function* of your own, which takes the synchronous store first, in one of the threads.

        For what blocks and is not a call of the store: a library that wants a file object, an export. If it takes a
        ``cancelled`` and is not given one, it gets what tells that this call is cancelled. Cancelled, the store's call
        that it is in, or the next one, is undone and ends it; what was done before is the function's own to take back.

        >>> def head(store, take):
        ...     with store.open(take) as file:
        ...         return file.read(4)
        >>> async def main(astore, take):
        ...     return await astore.run(head, take)
        """

        def call() -> _T:
            if "cancelled" in kwargs or "cancelled" not in signature(function).parameters:
                return function(self.store, *args, **kwargs)
            return cast("Callable[..., _T]", function)(self.store, *args, **kwargs, cancelled=cancelled_flag())

        return await self._threads.call_all(call)

    @property
    def signer(self) -> LinkSigner:
        """As ``AudioStore.signer``; it waits for nothing."""
        return self.store.signer

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Call *handler* with each ``Event`` of that *name*, as ``AudioStore.on``: in the thread that did the work.

        Context variables are those of the caller, so that a trace goes on there. What belongs to the event loop is
        reached from there by ``loop.call_soon_threadsafe``.
        """
        return self.store.on(name, handler)

    async def close(self) -> None:
        """Wait for the calls that run, then let go of threads, files and connections; used again, it opens them."""
        await self._threads.close(self.store.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
