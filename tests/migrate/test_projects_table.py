"""An app's table of projects: read whole, changed only where nobody else did, in every place it may be kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from audiostore.errors import ConfigurationError, NotFound, Unavailable
from audiostore.migrate.projects import ProjectsTable
from audiostore.migrate.projects.rows import Rows
from audiostore.migrate.protocols import Change, ProjectRow, Reference, Unparsable
from audiostore.testing.supabase import FakeSupabase
from supabase import create_client
from tests.migrate.apps import KINDS, UPDATED, App, PostgresApp, SqliteApp, app_of

NEW = "alice/p1/take.wav"


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    with app_of(request.param, tmp_path, max_rows=7) as app:
        yield app


def project(*sections: dict[str, Any], **others: Any) -> str:
    return json.dumps({"title": "Bände", **others, "chapters": [{"id": 1, "sections": list(sections)}]})


def change(old: str = "/uploads/a.wav", *, section: str = "1", **others: Any) -> Change:
    return Change(
        chapter="1", section=section, old=old, **{"new": NEW, "backend": "supabase", "upload_id": "u1", **others}
    )


def sections(app: App, id: str = "1") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(app.texts()[id] or "")["chapters"][0]["sections"]
    return found


def test_every_project_is_read_once_however_few_rows_the_server_gives(app: App) -> None:
    app.add([(str(each), "alice", project({"id": 1, "audioPath": f"{each}.wav"})) for each in range(120)])
    found = [app.table.find(row) for row in app.table.scan()]
    paths = [each.path for references in found if not isinstance(references, Unparsable) for each in references]
    assert sorted(paths) == sorted(f"{each}.wav" for each in range(120))


def test_one_owners_projects_are_read_alone(app: App) -> None:
    app.add([("1", "alice", project()), ("2", "bob", project()), ("3", "alice", project()), ("4", None, project())])
    assert [row.id for row in app.table.scan(owner="alice")] == ["1", "3"]
    assert list(app.table.scan(owner="' or true --")) == []


def test_a_section_is_changed_and_nothing_else(app: App) -> None:
    here, there = {"id": 1, "audioPath": "/uploads/a.wav", "note": "ü"}, {"id": 2, "audioPath": "/uploads/aa.wav"}
    app.add([("1", "alice", project(here, there, speed=1.5)), ("2", "bob", project(here))])
    before = app.texts()
    assert app.table.rewrite("1", [change()]) == ["rewritten"]
    assert sections(app) == [
        {**here, "audioPath": NEW, "storageBackend": "supabase", "uploadId": "u1"},
        there,
    ]
    assert app.texts()["2"] == before["2"]
    assert app.stamps()["1"] > UPDATED == app.stamps()["2"]


def test_the_way_back_leads_to_the_very_same_data(app: App) -> None:
    app.add([("1", "alice", project({"id": 1, "audioPath": "/uploads/ä 1.wav"}, {"id": 2, "audioPath": "/uploads/b"}))])
    before = app.texts()
    forth = [change("/uploads/ä 1.wav"), change("/uploads/b", section="2", new="k/2", upload_id="u2")]
    back = [
        Change(chapter=each.chapter, section=each.section, old=each.new, new=each.old, backend=None) for each in forth
    ]
    assert app.table.rewrite("1", forth) == ["rewritten", "rewritten"]
    assert app.texts() != before
    assert app.table.rewrite("1", back) == ["rewritten", "rewritten"]
    assert app.texts() == before


def test_a_second_time_there_is_nothing_to_do(app: App) -> None:
    app.add([("1", "alice", project({"id": 1, "audioPath": "/uploads/a.wav"}))])
    app.table.rewrite("1", [change()])
    before = app.texts(), app.stamps()
    assert app.table.rewrite("1", [change()]) == ["already"]
    assert (app.texts(), app.stamps()) == before


def test_a_section_that_moved_is_found_and_one_with_a_new_take_is_left(app: App) -> None:
    moved = {"id": 9, "chapters": [{"id": 7, "sections": [{"id": 1, "audioPath": "/uploads/a.wav"}]}]}
    app.add([("1", "alice", json.dumps(moved)), ("2", "alice", project({"id": 1, "audioPath": "/uploads/new.wav"}))])
    assert app.table.rewrite("1", [change()]) == ["rewritten"]
    assert sections(app)[0]["audioPath"] == NEW
    assert app.table.rewrite("2", [change()]) == ["edited"]
    assert app.table.rewrite("2", [change(section="5")]) == ["gone"]
    assert app.table.rewrite("3", [change()]) == ["gone"]
    assert sections(app, "2")[0]["audioPath"] == "/uploads/new.wav"


@pytest.mark.parametrize("backend", ["supabase", "local"])
def test_the_same_path_somewhere_else_is_another_file(backend: str, tmp_path: Path) -> None:
    app = SqliteApp(tmp_path / "app.sqlite3")
    moved, stored = {"id": 7, "audioPath": "a.wav"}, {"id": 8, "audioPath": "a.wav", "uploadId": "u7"}
    app.add([("1", "alice", project(moved, {**stored, "storageBackend": backend}))])
    assert app.table.rewrite("1", [change("a.wav", backend=backend)]) == ["rewritten"]
    assert [each["uploadId"] for each in sections(app)] == ["u1", "u7"]
    back = Change(chapter="1", section="1", old=NEW, new="a.wav")
    assert app.table.rewrite("1", [back]) == ["rewritten"]
    assert sections(app) == [moved, {**stored, "storageBackend": backend}]


def test_an_edit_that_comes_between_reading_and_writing_survives(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.add([("1", "alice", project({"id": 1, "audioPath": "/uploads/a.wav"}, {"id": 2, "text": "old"}))])
    rows: Rows = app.table._rows
    read, edits = rows.one, iter(["first", "second"])

    def one(id: str) -> ProjectRow | None:
        row = read(id)
        if word := next(edits, None):
            app.write("1", project({"id": 1, "audioPath": "/uploads/a.wav"}, {"id": 2, "text": word}))
        return row

    monkeypatch.setattr(rows, "one", one)
    assert app.table.rewrite("1", [change()]) == ["rewritten"]
    assert sections(app)[1] == {"id": 2, "text": "second"}
    assert sections(app)[0]["audioPath"] == NEW


def test_whoever_is_always_late_says_so_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = SqliteApp(tmp_path / "app.sqlite3")
    app.add([("1", "alice", project({"id": 1, "audioPath": "/uploads/a.wav"}))])
    before = app.texts()
    waits: list[float] = []

    def swap(row: ProjectRow, data: str) -> bool:
        return False

    monkeypatch.setattr(app.table._rows, "swap", swap)
    monkeypatch.setattr("audiostore.migrate.projects.time.sleep", waits.append)
    assert app.table.rewrite("1", [change()]) == ["conflict"]
    assert app.texts() == before
    assert max(waits) <= 1


def test_writers_of_one_project_lose_nothing_of_one_another(app: App) -> None:
    count = 4
    app.add([("1", "alice", project(*({"id": each, "audioPath": f"/uploads/{each}.wav"} for each in range(count))))])
    wishes = [change(f"/uploads/{each}.wav", section=str(each), new=f"k/{each}") for each in range(count)]
    outcomes: list[Any] = []

    def write(wish: Change) -> None:
        outcomes.append(app.table.rewrite("1", [wish]))

    threads = [threading.Thread(target=write, args=[each]) for each in wishes]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outcomes == [["rewritten"]] * count
    assert [each["audioPath"] for each in sections(app)] == [f"k/{each}" for each in range(count)]


def test_what_can_not_be_read_is_told_and_stays(tmp_path: Path) -> None:
    app = SqliteApp(tmp_path / "app.sqlite3")
    whole = project({"id": 1, "audioPath": "/uploads/a.wav"})
    broken = ["", "{", whole[:-1], "[]", '{"chapters": {}}', "null", "nul", whole + "x", b"\xff" + whole.encode()]
    app.add([(f"{number:02}", "alice", each) for number, each in enumerate(broken)])
    app.add([("50", None, whole), ("51", "alice", None), ("52", "alice", '{"chapters": null}')])
    found = {row.id: app.table.find(row) for row in app.table.scan()}
    assert all(isinstance(found[f"{number:02}"], Unparsable) for number in range(len(broken)))
    assert found["50"] == Unparsable(project="50", owner="", reason="it has no owner")
    assert [found["51"], found["52"]] == [(), []]
    assert all(app.table.rewrite(f"{number:02}", [change()]) == ["unparsable"] for number in range(len(broken)))


def test_json_in_a_json_column_that_is_text_is_read_and_written_as_such(tmp_path: Path) -> None:
    with app_of("rest-postgres-jsonb", tmp_path) as app:
        inner = project({"id": 1, "audioPath": "/uploads/a.wav"})
        app.add([("1", "alice", json.dumps(inner))])
        (row,) = app.table.scan()
        assert app.table.find(row) == [
            Reference(project="1", owner="alice", chapter="1", section="1", path="/uploads/a.wav")
        ]
        assert app.table.rewrite("1", [change()]) == ["rewritten"]
        assert json.loads(json.loads(app.texts()["1"] or ""))["chapters"][0]["sections"][0]["audioPath"] == NEW


@pytest.mark.parametrize("id", ["uuid", "bigint"])
@pytest.mark.parametrize("how", ["postgres", "rest-postgres"])
def test_ids_may_be_numbers_and_uuids(how: str, id: str, tmp_path: Path) -> None:
    with app_of(f"{how}-jsonb", tmp_path, max_rows=2) as app:
        assert isinstance(app, PostgresApp)
        app.database.run(f"alter table projects alter id type {id} using null")
        ids = [f"0000000{each}-0000-4000-8000-000000000000" if id == "uuid" else str(each) for each in range(1, 6)]
        app.add([(each, "alice", project({"id": 1, "audioPath": "/uploads/a.wav"})) for each in ids])
        assert [row.id for row in app.table.scan()] == ids
        assert app.table.rewrite(ids[3], [change()]) == ["rewritten"]
        assert app.table.rewrite("no such id", [change()]) == ["gone"]


def test_names_of_table_and_columns_are_told_and_quoted(tmp_path: Path) -> None:
    names: dict[str, Any] = {"table": 'My "Books', "id": "The Id", "owner": "wh,o", "data": "da.ta", "updated": None}
    with app_of("rest-postgres-text", tmp_path) as app:
        assert isinstance(app, PostgresApp)
        app.database.run("""
            create table public."My ""Books" ("The Id" int primary key, "wh,o" text, "da.ta" text);
            grant all on public."My ""Books" to service_role;
        """)
        row = (1, "alice", project({"id": 1, "audioPath": "a"}))
        app.database.run('insert into "My ""Books" values (%s, %s, %s)', *row)
        url, key = app.rest
        direct = ProjectsTable.postgres(app.database.dsn, **names)
        over_rest = ProjectsTable.supabase(url=url, key=key, **names)
        assert [each.owner for each in direct.scan()] == [each.owner for each in over_rest.scan(owner="alice")]
        assert over_rest.rewrite("1", [change("a")]) == ["rewritten"]
        assert direct.rewrite("1", [change("a")]) == ["already"]
        direct.close()
        over_rest.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres-text", "rest-text", "rest-postgres-text"])
@pytest.mark.parametrize("wrong", [{"table": "books"}, {"data": "story"}, {"updated": "never"}])
def test_a_table_or_column_that_is_not_there_is_named(kind: str, wrong: dict[str, str], tmp_path: Path) -> None:
    with app_of(kind, tmp_path) as app, closing(app.again(**wrong)) as table:
        app.add([("1", "alice", project({"id": 1, "audioPath": "/uploads/a.wav"}))])
        with pytest.raises(ConfigurationError, match=next(iter(wrong.values()))):
            table.rewrite("1", [change()])
        assert sections(app)[0]["audioPath"] == "/uploads/a.wav"


def test_projects_that_are_too_large_for_one_answer_come_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = SqliteApp(tmp_path / "app.sqlite3")
    app.add([(f"{each:03}", "alice", project()) for each in range(40)])
    page = app.table._rows.page

    def answer(after: Any, *, owner: str | None, limit: int) -> Any:
        if limit > 1:
            raise Unavailable("projects: an answer without end")
        return page(after, owner=owner, limit=limit)

    monkeypatch.setattr(app.table._rows, "page", answer)
    assert len(list(app.table.scan())) == 40


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(ProjectsTable.sqlite(tmp_path / "none.sqlite3").scan())
    assert not (tmp_path / "none.sqlite3").exists()


def test_only_the_servers_key_reads_projects() -> None:
    with FakeSupabase() as fake, pytest.raises(ConfigurationError, match=r"ProjectsTable\.supabase needs the service"):
        ProjectsTable.supabase(url=fake.url, key=fake.anon_key)


def test_an_apps_own_client_leads_to_its_projects() -> None:
    with FakeSupabase() as fake:
        fake.table("projects", {"id": "text", "user_id": "text", "project_data": "jsonb", "updated_at": "timestamptz"})
        fake.apply_schema()
        client = create_client(fake.url, fake.service_key)
        book = json.loads(project({"id": 1, "audioPath": "/uploads/a.wav"}))
        httpx.post(
            f"{fake.url}/rest/v1/projects",
            json={"id": "1", "user_id": "alice", "project_data": book},
            headers={"Authorization": f"Bearer {fake.service_key}"},
        ).raise_for_status()
        table = ProjectsTable.supabase(client)
        assert [row.id for row in table.scan()] == ["1"]
        assert table.rewrite("1", [change()]) == ["rewritten"]
        with pytest.raises(ConfigurationError, match="a client, or url= and key= together"):
            ProjectsTable.supabase(client, url=fake.url)
