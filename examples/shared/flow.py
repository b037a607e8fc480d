"""What the apps do, without a framework: a request's words in, an answer's content out.

Both apps call the same ``Flow``; what is theirs is to read a request, to write an answer, and to stream bytes. Every
method takes the user first and acts for nobody else.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from uuid import uuid4

from audiostore import AudioFile, AudioStore, AudioStoreError, NotFound, Place, Reply, serve
from audiostore.audio import accept, peaks
from examples.shared import answers, checking, fields
from examples.shared.admission import Admission, InTurn
from examples.shared.auth import DEMO_USERS, Auth, User, auth_of
from examples.shared.config import Config
from examples.shared.exporting import Exporting
from examples.shared.originals import OldFiles
from examples.shared.problems import Problem, Refused, problem
from examples.shared.projects import Project, Projects, SQLiteProjects, SupabaseProjects
from examples.shared.supabase import Supabase

LONGEST_PATH = 1024
MOST_PATHS = 200
_WAVES = 500
"""Waveforms that are kept in memory: some 4 KB each."""
_TOGETHER = threading.BoundedSemaphore(2)


class Flow:
    """The parts of one app, and what it answers; ``from_env`` makes them."""

    def __init__(
        self,
        config: Config,
        store: AudioStore,
        projects: Projects,
        auth: Auth,
        exporting: Exporting,
        *,
        originals: OldFiles,
        supabase: Supabase | None = None,
    ) -> None:
        self.config, self.store, self.projects, self.auth, self.exporting = config, store, projects, auth, exporting
        self.originals, self._supabase = originals, supabase
        self.admit = Admission(config, auth)
        self.checker = checking.Checker(store=store, original=originals)
        self._waves: OrderedDict[tuple[str, int], dict[str, Any]] = OrderedDict()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Make all parts from *environ* (default: the process's own).

        Raises:
            ConfigurationError: a variable that is missing, malformed or dangerous.

        """
        config = Config.from_env(environ)
        # Whoever converts has decoded it; else let nobody keep what is no audio at all.
        check: dict[str, Any] = {} if config.audio_format else {"process": accept(decode=False)}
        store = AudioStore.from_env(environ, **check)
        store.process = store.process and InTurn(store.process)
        supabase = Supabase.of(config.settings)
        table = None
        projects: Projects
        if supabase is None or config.settings.supabase_service_key is None:
            table = config.settings.upload_folder / ".audiostore" / "projects.sqlite3"
            projects = SQLiteProjects(table)
        else:
            projects = SupabaseProjects(supabase)
        originals = OldFiles(config, store, table)
        exporting = Exporting(store, config.settings.export_folder, secret=config.secret, originals=originals)
        auth = auth_of(config, supabase)
        return cls(config, store, projects, auth, exporting, originals=originals, supabase=supabase)

    def close(self) -> None:
        """Let the export that is being made come to its end, and let go of connections."""
        self.exporting.close()
        self.originals.close()
        self.store.close()
        if self._supabase is not None:
            self._supabase.close()

    def problem(self, error: BaseException) -> Problem:
        return problem(error, quota_status=self.config.quota_status)

    # --- signing in -------------------------------------------------------------------------------------------------

    def described(self) -> dict[str, Any]:
        config, settings = self.config, self.config.settings
        size = settings.max_file_size
        told: dict[str, Any] = {
            "success": True,
            "testing_mode": config.testing,
            "storage_backend": settings.storage_backend,
            "supabase_url": settings.supabase_url,
            "supabase_anon_key": settings.supabase_anon_key,
            "max_file_size": size,
            "max_file_size_mb": None if size is None else round(size / answers.MB, 2),
            "audio_format": config.audio_format,
            "link_seconds": round(config.links.total_seconds()),
            "export_formats": list(self.exporting.FORMATS),
        }
        if config.testing:
            told["demo_users"] = [{"email": each, "password": word} for each, (_, word) in DEMO_USERS.items()]
        return told

    def sign_in(self, step: str, body: object) -> dict[str, Any]:
        """*step* is ``login`` or ``refresh``."""
        if step not in {"login", "refresh"}:
            raise Refused(404, "There is no such page.")
        given = fields.mapping(body)
        return self.auth.login(given) if step == "login" else self.auth.refresh(given)

    # --- projects ---------------------------------------------------------------------------------------------------

    def list_projects(self, user: User) -> dict[str, Any]:
        found = [
            {"id": each.id, "title": each.title, "updated_at": each.revision, "revision": each.revision}
            for each in self.projects.list(user.id)
        ]
        return {"success": True, "projects": found}

    def get_project(self, user: User, id: str) -> dict[str, Any]:
        return _project(self.projects.get(user.id, _id(id)))

    def put_project(self, user: User, id: str, body: object) -> dict[str, Any]:
        given = fields.mapping(body)
        data, revision = dict(fields.mapping(given.get("project_data"))), fields.text(given, "revision")
        return _project(self.projects.put(user.id, _id(id), data, revision=revision))

    def add_project(self, user: User, body: object) -> dict[str, Any]:
        data = dict(fields.mapping(fields.mapping(body).get("project_data", {})))
        return _project(self.projects.put(user.id, _new_project(), data, revision=None))

    def delete_project(self, user: User, id: str) -> dict[str, Any]:
        self.projects.delete(user.id, _id(id))
        return {"success": True, "deleted_files": self.store.delete_project(user.id, _id(id))}

    # --- uploading --------------------------------------------------------------------------------------------------

    def upload(self, user: User, audio: Any, form: Mapping[str, Any]) -> dict[str, Any]:
        """Store *audio* (what the framework hands out for a file, read in pieces from where it was spooled)."""
        if audio is None or isinstance(audio, str) or not audio.filename:
            raise Refused(400, "audio is missing: choose a file.")
        filename = fields.required({"filename": audio.filename}, "filename")
        place = _place(form)
        old = self._takes(user, place)
        try:
            if old:
                file = self.store.replace(old[-1], audio, owner=user.id, filename=filename)
                return answers.uploaded(self._keep_one(user, file), replaced=True)
        except NotFound:
            pass  # it was deleted meanwhile, so there is nothing to replace
        file = self.store.put(
            audio,
            owner=user.id,
            project=place.project,
            chapter=place.chapter,
            section=place.section,
            filename=filename,
        )
        return answers.uploaded(self._keep_one(user, file), replaced=False)

    def direct_upload(self, user: User, step: str, body: object) -> dict[str, Any]:
        """*step* is ``begin``, ``finish`` or ``cancel``."""
        steps = {"begin": self.begin_upload, "finish": self.finish_upload, "cancel": self.cancel_upload}
        if step not in steps:
            raise Refused(404, "There is no such page.")
        return steps[step](user, body)

    def begin_upload(self, user: User, body: object) -> dict[str, Any]:
        given = fields.mapping(body)
        place = _place(given)
        size = fields.whole(given, "size", most=2**62)
        filename = fields.required(given, "filename")
        try:
            grant = self.store.begin_upload(
                owner=user.id,
                size=size,
                filename=filename,
                content_type=fields.text(given, "content_type", "contentType"),
                project=place.project,
                chapter=place.chapter,
                section=place.section,
            )
        except AudioStoreError:
            raise
        except ValueError as error:
            raise Refused(400, "content_type is no media type.") from error
        return answers.granted(grant, place)

    def finish_upload(self, user: User, body: object) -> dict[str, Any]:
        reservation = fields.required(fields.mapping(body), "reservation")
        file = self.store.finish_upload(reservation, owner=user.id)
        before = len(self._takes(user, file.place))
        return answers.uploaded(self._keep_one(user, file), replaced=before > 1)

    def cancel_upload(self, user: User, body: object) -> dict[str, Any]:
        self.store.cancel_upload(fields.required(fields.mapping(body), "reservation"), owner=user.id)
        return {"success": True}

    def _takes(self, user: User, place: Place) -> list[AudioFile]:
        """Give the recordings of a section, the one that counts last; nothing for a place that is no section."""
        project, chapter, section = place.project, place.chapter, place.section
        if None in (project, chapter, section):
            return []
        takes = self.store.list(owner=user.id, project=project, chapter=chapter, section=section)
        return sorted(takes, key=lambda take: (take.created_at, take.id))

    def _keep_one(self, user: User, file: AudioFile) -> AudioFile:
        """Free what else is in *file*'s section. Of two takes that came at once, the later one stays."""
        *others, latest = self._takes(user, file.place) or [file]
        for other in others:
            with suppress(NotFound):  # who came at the same time has done it
                self.store.delete(other, owner=user.id)
        if latest.id != file.id:
            raise Refused(409, "Another take came into this section at the same time, and is the newer one.")
        return file

    # --- listening --------------------------------------------------------------------------------------------------

    def link(self, user: User, paths: Sequence[str]) -> dict[str, Any]:
        """Answer with one link, or for several paths with the links of all."""
        asked = fields.texts({"path": list(paths)}, "path", most=MOST_PATHS, longest=LONGEST_PATH)
        if len(asked) > 1:
            return self.links(user, {"paths": asked})
        found = self.links(user, {"paths": asked})["urls"]
        if not found:
            raise NotFound(f"path {asked[0][:80]!r}")
        return {"success": True, "path": asked[0], **found[asked[0]]}

    def links(self, user: User, body: object) -> dict[str, Any]:
        paths = fields.texts(fields.mapping(body), "paths", most=MOST_PATHS, longest=LONGEST_PATH)
        found = {path: file for path in paths if (file := self._found(user, path))}
        signed = self.store.urls(list(found.values()), owner=user.id, expires=self.config.links)
        urls = {path: answers.link(file, url) for (path, file), url in zip(found.items(), signed, strict=True)}
        old = {path: link for path in paths if path not in urls and (link := self.originals.link(path, user.id))}
        urls = {path: (urls | old)[path] for path in paths if path in urls or path in old}
        first = min((str(link["expires_at"]) for link in urls.values()), default=None)
        expiry = answers.expiry(None if first is None else datetime.fromisoformat(first))
        return {"success": True, "urls": urls, "missing": [path for path in paths if path not in urls], **expiry}

    def serve(self, token: str, method: str, headers: Mapping[str, str], body: Any) -> Reply:
        """Answer a request to a link."""
        if self.originals.is_meant(token):
            return self.originals.serve(token, method, headers)
        return serve(self.store, token, method, headers, body)

    def peaks(self, user: User, project: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """Answer with a waveform. It is decoded once, two at a time; a path's bytes never change."""
        path = fields.required(query, "path", longest=LONGEST_PATH)
        points = fields.whole(query, "points", least=1, most=4000, default=400)
        file = self.store.find(path=path, owner=user.id)
        if file.project != _id(project):
            raise NotFound(f"path {path[:80]!r} of project {project[:80]!r}")
        wave = self._waves.get((path, points))
        if wave is None:
            # From a copy, in a process of its own: its headers were looked at when it came, what follows them was not.
            with _TOGETHER, TemporaryDirectory() as folder:
                copy = self.store.download_to(file, Path(folder, "audio"))
                wave = self._waves[path, points] = peaks(copy, points=points, isolated=True)
            while len(self._waves) > _WAVES:
                self._waves.popitem(last=False)
        return {"success": True, "path": path, **wave}

    def _found(self, user: User, path: str) -> AudioFile | None:
        try:
            return self.store.find(path=path, owner=user.id)
        except NotFound:
            return None

    # --- what there is ----------------------------------------------------------------------------------------------

    def files(self, user: User, query: Mapping[str, Any]) -> dict[str, Any]:
        most = fields.whole(query, "limit", least=1, most=500, default=100)
        files = self.store.list(
            owner=user.id,
            project=fields.text(query, "project_id", "projectId"),
            chapter=fields.text(query, "chapter_id", "chapterId"),
            section=fields.text(query, "section_id", "sectionId"),
            after=fields.text(query, "after"),
        )
        page = list(islice(files, most + 1))
        more = page[most - 1].id if len(page) > most else None
        return {"success": True, "files": [answers.recording(each) for each in page[:most]], "next": more}

    def delete(self, user: User, *, id: str | None = None, path: str | None = None) -> dict[str, Any]:
        if id is None:
            asked = fields.required({"path": path}, "path", longest=LONGEST_PATH)
            file = self.store.find(path=asked, owner=user.id)
        else:
            file = self.store.find(_id(id), owner=user.id)
        self.store.delete(file, owner=user.id)
        return {"success": True, "upload_id": file.id}

    def usage(self, user: User) -> dict[str, Any]:
        return answers.usage(self.store.usage(user.id))

    def check_project(self, user: User, query: Mapping[str, Any]) -> dict[str, Any]:
        project = self.projects.get(user.id, fields.required(query, "project_id", "projectId"))
        start = fields.whole(query, "after", most=10**6, default=0)
        spots = checking.spots_of(project.data)
        end = start + checking.MOST
        return self._checked(user, spots[start:end], str(end) if end < len(spots) else None)

    def check_paths(self, user: User, body: object) -> dict[str, Any]:
        paths = fields.texts(fields.mapping(body), "paths", most=checking.MOST, longest=LONGEST_PATH)
        return self._checked(user, [checking.Spot(path=path) for path in paths], None)

    def _checked(self, user: User, spots: Sequence[checking.Spot], more: str | None) -> dict[str, Any]:
        results = self.checker.check(user.id, spots)
        counts = checking.counted(results)
        return {"success": True, "checked": len(results), "results": results, "counts": counts, "next": more}

    def export(self, user: User, body: object) -> dict[str, Any]:
        """Begin to export the project in *body*, or the saved one that it names; the flags are *body*'s."""
        given = fields.mapping(body)
        project = fields.text(given, "project_id", "projectId")
        saved = self.projects.get(user.id, project).data if project and "chapters" not in given else {}
        return self.exporting.begin(user, {**saved, **given}, project=project)


def _project(project: Project) -> dict[str, Any]:
    facts = {"id": project.id, "project_data": project.data}
    return {"success": True, **facts, "updated_at": project.revision, "revision": project.revision}


def _place(given: Mapping[str, Any]) -> Place:
    """Give the place in the book; without a project, one is made up."""
    return Place(
        project=fields.text(given, "project_id", "projectId") or _new_project(),
        chapter=fields.text(given, "chapter_id", "chapterId"),
        section=fields.text(given, "section_id", "sectionId"),
    )


def _new_project() -> str:
    return str(uuid4())


def _id(id: str) -> str:
    return fields.required({"id": id}, "id")
