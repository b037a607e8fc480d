"""Takes: a small app for the recordings of an audiobook, on Flask and audiostore.

``python examples/flask/app.py`` runs it; the README beside it says what it takes to put such an app on the internet.
**The sign-in is a demonstration**: it asks for a name, and for no password.
"""

from __future__ import annotations

import secrets
import sys
from datetime import timedelta
from typing import cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, flash, redirect, render_template, request, session
from flask.typing import ResponseReturnValue as Answer
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.local import LocalProxy

import audiostore
from audiostore import AudioFile, AudioStore, AudioStoreError, FixedQuota, format_size, serve

LINKS = timedelta(hours=1)  # the page asks for fresh ones when half of that is over
FORM = 64 * 1024  # bytes that a form may have besides its file
REFUSALS: dict[type[Exception], tuple[int, str]] = {
    audiostore.NotFound: (404, "There is no such take. Perhaps it was deleted."),
    audiostore.ReservationExpired: (410, "The upload took too long. Please start it again."),
    audiostore.FileTooLarge: (413, "The file is too large."),
    RequestEntityTooLarge: (413, "The file is too large."),
    audiostore.UnsupportedAudio: (415, "This is not an audio file, or there is nothing in it."),
    audiostore.Unavailable: (503, "The storage can't be reached just now. Please try again."),
    audiostore.QuotaExceeded: (507, "There is not enough room left. Delete a take to make some."),
    audiostore.StorageFull: (507, "The server's disk is full. Nothing was stored."),
}

site = Blueprint("site", __name__)
store = cast("AudioStore", LocalProxy(lambda: current_app.extensions["audiostore"]))


def create_app(store: AudioStore | None = None) -> Flask:
    """Make the app, on *store* or on the folder ``uploads``."""
    app = Flask(__name__)
    app.config.from_mapping(MAX_CONTENT_LENGTH=FORM, SESSION_COOKIE_SAMESITE="Lax")
    app.config.from_prefixed_env()  # FLASK_SECRET_KEY, FLASK_SESSION_COOKIE_SECURE
    # A new key at each start is safe, but signs everyone out, and several processes need one in common.
    app.secret_key = app.secret_key or secrets.token_bytes(32)
    quota = FixedQuota(total="500 MB", per_file="50 MB", types={"audio/*"})
    app.extensions["audiostore"] = AudioStore.local("uploads", quota=quota) if store is None else store
    app.jinja_env.filters["size"] = format_size
    app.register_blueprint(site)
    return app


def owner() -> str:
    """Give who is asking. Every call of the store gets it, so that nobody reaches a take of somebody else."""
    return str(session["user"]) if "user" in session else abort(401, "Please sign in first.")


@site.get("/")
def index() -> Answer:
    if "user" not in session:
        return render_template("sign_in.html")
    takes = list(store.list(owner=owner()))
    return render_template(
        "takes.html", takes=takes[::-1], links=signed(takes), usage=store.usage(owner()), lifetime=LINKS
    )


@site.get("/links")
def fresh_links() -> Answer:
    return signed(list(store.list(owner=owner())))


def signed(takes: list[AudioFile]) -> dict[str, str]:
    return dict(zip([take.id for take in takes], store.urls(takes, owner=owner(), expires=LINKS), strict=True))


@site.post("/sign-in")
def sign_in() -> Answer:
    session["user"] = text(request.form["name"]) or abort(400, "Please give a name.")
    return redirect("/", 303)


@site.post("/sign-out")
def sign_out() -> Answer:
    session.clear()
    return redirect("/", 303)


@site.post("/takes")
def upload() -> Answer:
    file, chapter, section = sent_file(), text(request.form["chapter"]), text(request.form["section"])
    take = store.put(file, owner=owner(), filename=text(file.filename), chapter=chapter, section=section)
    flash(f"Stored “{take.filename}”.")
    return redirect("/", 303)


@site.post("/takes/<take_id>/replace")
def replace(take_id: str) -> Answer:
    file = sent_file()
    take = store.replace(take_id, file, owner=owner(), filename=text(file.filename))
    flash(f"“{take.filename}” is the new take.")
    return redirect("/", 303)


@site.post("/takes/<take_id>/delete")
def delete(take_id: str) -> Answer:
    store.delete(take_id, owner=owner())
    flash("The take is deleted.")
    return redirect("/", 303)


@site.get("/takes/<take_id>/download")
def download(take_id: str) -> Answer:
    take = store.find(take_id, owner=owner())
    return redirect(store.url(take, expires=timedelta(minutes=5), download_as=take.filename))


@site.post("/uploads")
def begin_upload() -> Answer:
    """Reserve the room, and tell the browser where to send the bytes itself."""
    name, size = text(request.form["filename"]), max(0, request.form.get("size", 0, type=int))
    chapter, section = text(request.form["chapter"]), text(request.form["section"])
    grant = store.begin_upload(owner=owner(), size=size, filename=name, chapter=chapter, section=section)
    return {"url": grant.url, "method": grant.method, "headers": dict(grant.headers), "id": grant.reservation}


@site.post("/uploads/<reservation>/finish")
def finish_upload(reservation: str) -> Answer:
    take = store.finish_upload(reservation, owner=owner())
    flash(f"Stored “{take.filename}”.")
    return {"id": take.id}


@site.route("/audio/<token>", methods=["GET", "PUT"])
def audio(token: str) -> Answer:
    request.max_content_length = sys.maxsize  # the link itself says how much it may bring
    reply = serve(store, token, request.method, request.headers, request.stream)
    # Passed through, the body is closed by the server, even if the client leaves before its end.
    return Response(reply.body, reply.status, reply.headers, direct_passthrough=True)


def sent_file() -> FileStorage:
    """Give the form's file. Werkzeug reads it here, into a temporary file, and no more than this owner may send."""
    limit = store.usage(owner()).limits.per_file
    request.max_content_length = sys.maxsize if limit is None else limit + FORM
    return request.files["file"]


def text(typed: str | None) -> str | None:
    """Give what was typed, None for nothing; refuse what no database keeps."""
    if typed and (len(typed) > 255 or "\0" in typed):  # noqa: PLR2004 - as long as a file's name may be
        abort(400, "This is too long, or no text.")
    return typed or None


@site.before_app_request
def refuse_other_sites() -> None:
    """Let no other site's page act in the name of who is signed in (the README says why this suffices)."""
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        sender, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", request.host_url)
        if not (sender in {"same-origin", "none"} if sender else urlsplit(origin).netloc == request.host):
            abort(403, "This request came from another site.")


@site.after_app_request
def protect(response: Response) -> Response:
    # Defaults, because links to audio bring stricter ones of their own.
    response.headers.setdefault(
        "Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@site.app_errorhandler(AudioStoreError)
@site.app_errorhandler(HTTPException)
def refused(error: Exception) -> Answer:
    status, message = next((told for kind, told in REFUSALS.items() if isinstance(error, kind)), (500, ""))
    if not message:
        if not isinstance(error, HTTPException):
            raise error  # a fault, not a refusal: for the log, and a plain 500
        status, message = error.code or 500, error.description or error.name
    if request.accept_mimetypes.best == "application/json":
        return {"error": message}, status
    return render_template("error.html", message=message), status


if __name__ == "__main__":
    create_app().run()
