"""JSON bodies and queries, as OpenAPI shows them. What they mean, and what is refused, is the flow's."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Id = str | int | None


class Body(BaseModel):
    model_config = ConfigDict(extra="allow")

    @property
    def fields(self) -> dict[str, Any]:
        """What was sent, and nothing else."""
        return self.model_dump(exclude_unset=True)


class SignIn(Body):
    email: str | None = None
    password: str | None = None
    refresh_token: str | None = None


class SavedProject(Body):
    project_data: dict[str, Any]
    revision: str | None = None


class NewProject(Body):
    project_data: dict[str, Any] = {}


class BeginUpload(Body):
    filename: str
    size: int
    content_type: str | None = None
    project_id: Id = None
    chapter_id: Id = None
    section_id: Id = None


class Reservation(Body):
    reservation: str


class Paths(Body):
    paths: list[str]


class WantedExport(Body):
    project_id: Id = None
    title: str | None = None
    chapters: list[dict[str, Any]] | None = None
    exportMetadataFlag: bool | None = None  # noqa: N815 - the front end's words
    exportAudioFlag: bool | None = None  # noqa: N815
    audioFormat: str | list[str] | None = None  # noqa: N815


class Wave(Body):
    path: str
    points: int = 400


class Page(Body):
    project_id: str | None = None
    chapter_id: str | None = None
    section_id: str | None = None
    after: str | None = None
    limit: int = 100


class Batch(Body):
    project_id: str
    after: int = 0


UPLOAD_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["audio"],
                    "properties": {
                        "audio": {"type": "string", "format": "binary"},
                        "project_id": {"type": "string"},
                        "chapter_id": {"type": "string"},
                        "section_id": {"type": "string"},
                    },
                }
            }
        },
    }
}
"""The form of an upload, which the route reads itself: not before it is known who sends it."""
