"""An audiobook app on FastAPI and audiostore: the routes of ../shared/API.md, and the player of ../player.

``python -m examples.fastapi.app`` runs it on this machine; the README beside it says what it takes to put such an app
on the internet. What the routes do is in ``examples/shared/flow.py``; what is FastAPI's is here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles

from audiostore.export import ZipStream
from examples.fastapi import bodies
from examples.fastapi.wiring import Here, SignedIn, Site, closing
from examples.shared.exporting import zip_headers
from examples.shared.flow import Flow

PLAYER = Path(__file__).parents[1] / "player"


api = APIRouter()
Json = dict[str, Any]


def create_app(flow: Flow | None = None) -> FastAPI:
    """Make the app, on *flow* or on what the environment says."""
    site = Site(Flow.from_env() if flow is None else flow)
    # FastAPI's own pages about the API need scripts of other origins, which the content policy refuses.
    app = FastAPI(title="Audiobooks", lifespan=site.life, docs_url=None, redoc_url=None)
    site.install(app)
    app.include_router(api)
    app.mount("/", StaticFiles(directory=PLAYER, html=True))
    return app


# --- signing in, projects ---------------------------------------------------------------------------------------------


@api.get("/api/auth/config")
async def config(site: Here) -> Json:
    return site.flow.described()


@api.post("/api/auth/{step}")
async def sign_in(site: Here, step: Literal["login", "refresh"], body: bodies.SignIn) -> Json:
    return await site.run(site.flow.sign_in, step, body.fields)


@api.get("/api/projects")
async def list_projects(site: Here, user: SignedIn) -> Json:
    return await site.run(site.flow.list_projects, user)


@api.post("/api/projects", status_code=201)
async def add_project(site: Here, user: SignedIn, body: bodies.NewProject) -> Json:
    return await site.run(site.flow.add_project, user, body.fields)


@api.get("/api/projects/{id}")
async def get_project(site: Here, user: SignedIn, id: str) -> Json:
    return await site.run(site.flow.get_project, user, id)


@api.put("/api/projects/{id}")
async def put_project(site: Here, user: SignedIn, id: str, body: bodies.SavedProject) -> Json:
    return await site.run(site.flow.put_project, user, id, body.fields)


@api.delete("/api/projects/{id}")
async def delete_project(site: Here, user: SignedIn, id: str) -> Json:
    return await site.run(site.flow.delete_project, user, id)


# --- uploading, listening ---------------------------------------------------------------------------------------------


@api.post("/api/upload", openapi_extra=bodies.UPLOAD_FORM)
async def upload(site: Here, user: SignedIn, request: Request) -> Json:
    """Store a form's file. Starlette reads the form here, the file into a temporary one, from which it goes on."""
    async with request.form(max_files=1, max_fields=10) as form:
        return await site.run(site.flow.upload, user, form.get("audio"), dict(form))


@api.post("/api/upload/begin")
async def begin_upload(site: Here, user: SignedIn, body: bodies.BeginUpload) -> Json:
    return await site.run(site.flow.direct_upload, user, "begin", body.fields)


@api.post("/api/upload/{step}")
async def end_upload(site: Here, user: SignedIn, step: Literal["finish", "cancel"], body: bodies.Reservation) -> Json:
    return await site.run(site.flow.direct_upload, user, step, body.fields)


@api.api_route("/audio/{token}", methods=["GET", "HEAD", "PUT"], include_in_schema=False)
async def audio(site: Here, token: str, request: Request) -> Response:
    return await site.serve(token, request)


@api.get("/api/audio/url")
async def link(site: Here, user: SignedIn, path: Annotated[list[str], Query()]) -> Json:
    return await site.run(site.flow.link, user, path)


@api.post("/api/audio/url")
async def links(site: Here, user: SignedIn, body: bodies.Paths) -> Json:
    return await site.run(site.flow.links, user, body.fields)


@api.get("/api/projects/{id}/peaks")
async def peaks(site: Here, user: SignedIn, id: str, query: Annotated[bodies.Wave, Query()]) -> Json:
    return await site.run(site.flow.peaks, user, id, query.fields)


# --- what there is ----------------------------------------------------------------------------------------------------


@api.get("/api/files")
async def files(site: Here, user: SignedIn, query: Annotated[bodies.Page, Query()]) -> Json:
    return await site.run(site.flow.files, user, query.fields)


@api.delete("/api/files")
async def delete_path(site: Here, user: SignedIn, path: str) -> Json:
    return await site.run(site.flow.delete, user, path=path)


@api.delete("/api/files/{id}")
async def delete(site: Here, user: SignedIn, id: str) -> Json:
    return await site.run(site.flow.delete, user, id=id)


@api.get("/api/usage")
async def usage(site: Here, user: SignedIn) -> Json:
    return await site.run(site.flow.usage, user)


@api.get("/api/audio/check")
async def check_project(site: Here, user: SignedIn, query: Annotated[bodies.Batch, Query()]) -> Json:
    return await site.run(site.flow.check_project, user, query.fields)


@api.post("/api/audio/check")
async def check_paths(site: Here, user: SignedIn, body: bodies.Paths) -> Json:
    return await site.run(site.flow.check_paths, user, body.fields)


# --- export, and the page ---------------------------------------------------------------------------------------------


@api.post("/api/export")
async def export(site: Here, user: SignedIn, body: bodies.WantedExport) -> Json:
    return await site.run(site.flow.export, user, body.fields)


@api.get("/api/export")
async def exports(site: Here, user: SignedIn) -> Json:
    return await site.run(site.flow.exporting.list, user)


@api.get("/api/export/{id}")
async def export_status(site: Here, user: SignedIn, id: str) -> Json:
    return await site.run(site.flow.exporting.get, user, id)


@api.delete("/api/export/{id}")
async def delete_export(site: Here, user: SignedIn, id: str) -> Json:
    return await site.run(site.flow.exporting.delete, user, id)


@api.get("/api/export/{id}/download")
async def download(site: Here, user: SignedIn, id: str) -> Response:
    return zipped(await site.run(site.flow.exporting.zip, user, id))


@api.get("/exports/{ticket}", include_in_schema=False)
async def download_by_link(site: Here, ticket: str) -> Response:
    return zipped(await site.run(site.flow.exporting.zip_of_ticket, ticket))


def zipped(stream: ZipStream) -> Response:
    return StreamingResponse(closing(stream), headers=zip_headers(stream))


if __name__ == "__main__":
    import uvicorn

    os.environ.setdefault("APP_ENV", "development")  # noqa: TID251
    os.environ.setdefault("TESTING_MODE", "on")  # noqa: TID251
    uvicorn.run(create_app(), port=int(os.environ.get("PORT", "8000")))  # noqa: TID251
