"""The HTTP side of links that this app serves itself: ``serve`` turns a request for a token into a ``Reply``.

It knows HTTP but no framework: a request comes as method, headers and body, the answer goes as status, headers and
chunks. What the host app adds is the route ``<base_url>/<token>``, and CORS headers if pages of another origin use
the links (``OPTIONS`` is not answered here: who may call is the app's to say).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from audiostore.serving.conditions import HeaderItems, fold
from audiostore.serving.downloads import download
from audiostore.serving.files import serve_file
from audiostore.serving.replies import REFUSED, Reply, refusal, refused, reply
from audiostore.serving.uploads import Body, upload
from audiostore.store import AudioStore

__all__ = ["Reply", "serve", "serve_file"]

_METHODS: Final = ("GET", "HEAD", "PUT")
_NO_HEADERS: Final[HeaderItems] = MappingProxyType[str, str]({})


def serve(
    store: AudioStore,
    token: str,
    method: str = "GET",
    headers: HeaderItems = _NO_HEADERS,
    body: Body | None = None,
) -> Reply:
    """Answer a request to ``<base_url>/<token>``: play, seek, save (GET, HEAD), or take a direct upload (PUT).

    *headers* is any mapping of a request's headers, in any case. *body* is the body of a PUT: a binary file object,
    an iterable of bytes, or bytes. The call blocks on storage; in an asynchronous app make it in a thread.

    Bad and expired links, missing files, impossible ranges and the like are replies; their bodies are short plain
    text (``link expired`` and ``link invalid`` tell a player whether to ask for a new link).

    A Flask app needs this and no more::

        @app.route("/audio/<token>", methods=["GET", "PUT"])
        def audio(token):
            reply = serve(store, token, request.method, request.headers, request.stream)
            return Response(reply.body, reply.status, reply.headers)

    Raises:
        ConfigurationError: the store has no secret. PermissionDenied, ChecksumMismatch: the storage is not as it
            should be; for the operator's log. Whatever an iterable *body* raises.
    """
    if method not in _METHODS:
        return refusal(405, "method not allowed", {"Allow": ", ".join(_METHODS)})
    try:
        link = store.signer.verify(token, method)
        facts = fold(headers)
        answer = upload(store, link, facts, body) if link.method == "PUT" else download(store, link, method, facts)
    except REFUSED as error:
        answer = refused(error)
    if method == "HEAD":
        answer.close()
        return reply(answer.status, answer.headers)
    return answer
