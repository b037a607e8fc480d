"""An audiobook app on Flask and audiostore: the routes of ../shared/API.md, and the player of ../player.

``python -m examples.flask.app`` runs it on this machine; the README beside it says what it takes to put such an app on
the internet. What the routes do is in ``examples/shared/flow.py``; what is Flask's is here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, g, request, send_from_directory
from flask.typing import ResponseReturnValue as Answer
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.local import LocalProxy

from audiostore.export import ZipStream
from examples.shared.admission import Asked
from examples.shared.auth import User
from examples.shared.exporting import zip_headers
from examples.shared.flow import Flow
from examples.shared.problems import of_status

PLAYER = Path(__file__).parents[1] / "player"

site = Blueprint("site", __name__)
flow = cast("Flow", LocalProxy(lambda: current_app.extensions["flow"]))
user = cast("User", LocalProxy(lambda: g.user))


def create_app(flow: Flow | None = None) -> Flask:
    """Make the app, on *flow* or on what the environment says."""
    app = Flask(__name__, static_folder=None)
    app.extensions["flow"] = Flow.from_env() if flow is None else flow
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(site)
    return app


# --- before and after every request ---------------------------------------------------------------------------------


@site.before_app_request
def admit() -> None:
    """Refuse what can be refused unread, then ask who it is; only then is a byte of the body read."""
    asked = Asked(request.path, request.host, request.remote_addr or "", request.headers)
    limit, g.user = flow.admit(asked)
    request.max_content_length = sys.maxsize if limit is None else limit


@site.after_app_request
def protect(response: Response) -> Response:
    for name, value in flow.config.headers.items():
        response.headers.setdefault(name, value)
    return response


@site.app_errorhandler(Exception)
def refused(error: Exception) -> Answer:
    answer = of_status(error.code or 500) if isinstance(error, HTTPException) else flow.problem(error)
    if answer.is_fault:
        current_app.logger.error("a fault in %s %s", request.method, request.path, exc_info=error)
    return answer.content, answer.status, answer.headers


def body() -> Any:
    try:
        return request.get_json(force=True)
    except RecursionError as error:  # [[[[[[…
        raise BadRequest from error


# --- signing in, projects -------------------------------------------------------------------------------------------


@site.get("/api/auth/config")
def config() -> Answer:
    return flow.described()


@site.post("/api/auth/<step>")
def sign_in(step: str) -> Answer:
    return flow.sign_in(step, body())


@site.route("/api/projects", methods=["GET", "POST"])
def projects() -> Answer:
    return (flow.add_project(user, body()), 201) if request.method == "POST" else flow.list_projects(user)


@site.get("/api/projects/<id>")
def project(id: str) -> Answer:
    return flow.get_project(user, id)


@site.put("/api/projects/<id>")
def save_project(id: str) -> Answer:
    return flow.put_project(user, id, body())


@site.delete("/api/projects/<id>")
def delete_project(id: str) -> Answer:
    return flow.delete_project(user, id)


# --- uploading, listening -------------------------------------------------------------------------------------------


@site.post("/api/upload")
def upload() -> Answer:
    """Store a form's file. Werkzeug reads the form here, the file into a temporary one, from which it goes on."""
    return flow.upload(user, request.files.get("audio"), request.form)


@site.post("/api/upload/<step>")
def direct_upload(step: str) -> Answer:
    return flow.direct_upload(user, step, body())


@site.route("/audio/<token>", methods=["GET", "PUT"])
def audio(token: str) -> Answer:
    reply = flow.serve(token, request.method, dict(request.headers), request.stream)
    # Passed through, the body is closed by the server, even if the client leaves before its end.
    return Response(reply.body, reply.status, reply.headers, direct_passthrough=True)


@site.route("/api/audio/url", methods=["GET", "POST"])
def links() -> Answer:
    return flow.links(user, body()) if request.method == "POST" else flow.link(user, request.args.getlist("path"))


@site.get("/api/projects/<id>/peaks")
def peaks(id: str) -> Answer:
    return flow.peaks(user, id, request.args)


# --- what there is --------------------------------------------------------------------------------------------------


@site.get("/api/files")
def files() -> Answer:
    return flow.files(user, request.args)


@site.delete("/api/files", defaults={"id": None})
@site.delete("/api/files/<id>")
def delete(id: str | None) -> Answer:
    return flow.delete(user, id=id, path=request.args.get("path"))


@site.get("/api/usage")
def usage() -> Answer:
    return flow.usage(user)


@site.route("/api/audio/check", methods=["GET", "POST"])
def check() -> Answer:
    return flow.check_paths(user, body()) if request.method == "POST" else flow.check_project(user, request.args)


# --- export, and the page -------------------------------------------------------------------------------------------


@site.route("/api/export", methods=["GET", "POST"])
def exports() -> Answer:
    return flow.export(user, body()) if request.method == "POST" else flow.exporting.list(user)


@site.route("/api/export/<id>", methods=["GET", "DELETE"])
def export(id: str) -> Answer:
    return flow.exporting.delete(user, id) if request.method == "DELETE" else flow.exporting.get(user, id)


@site.get("/api/export/<id>/download")
def download(id: str) -> Answer:
    return zipped(flow.exporting.zip(user, id))


@site.get("/exports/<ticket>")
def download_by_link(ticket: str) -> Answer:
    return zipped(flow.exporting.zip_of_ticket(ticket))


def zipped(stream: ZipStream) -> Answer:
    return Response(stream, headers=zip_headers(stream), direct_passthrough=True)


@site.get("/", defaults={"name": "index.html"})
@site.get("/<path:name>")
def page(name: str) -> Answer:
    return send_from_directory(PLAYER, name)


if __name__ == "__main__":
    os.environ.setdefault("APP_ENV", "development")  # noqa: TID251
    os.environ.setdefault("TESTING_MODE", "on")  # noqa: TID251
    create_app().run(port=int(os.environ.get("PORT", "5000")))  # noqa: TID251
