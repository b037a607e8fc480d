"""A new major version of supabase-py meets one file of ours, ``access.py``: nothing else knows the SDK."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

import audiostore
from audiostore import access
from supabase import ClientOptions, create_client

PACKAGE = Path(audiostore.__file__).parent
SDK = {"supabase", "storage3", "postgrest", "realtime", "supabase_auth", "supabase_functions", "gotrue"}
READ_OFF_A_CLIENT = {"storage_url", "rest_url"}

WITHOUT_THE_SDK = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(SDK)!r}, None))
from audiostore import AudioStore
from audiostore.backends.supabase import SupabaseBackend
from audiostore.catalogs.postgres import PostgresCatalog
from audiostore.testing.supabase import FakeSupabase

fake = FakeSupabase()
fake.apply_schema()
fake.create_bucket("audio-files")
with fake.serve() as server:
    backend = SupabaseBackend(server.url, fake.service_key)
    with AudioStore(backend, PostgresCatalog.from_supabase(server.url, fake.service_key)) as store:
        take = store.put(b"RIFF", owner="alice")
        assert store.get(take, owner="alice") == b"RIFF"
        assert store.usage("alice").used == 4
        store.url(take)
        store.delete(take)
print("stored")
"""


def modules() -> Iterator[tuple[str, ast.AST]]:
    for file in PACKAGE.rglob("*.py"):
        yield file.relative_to(PACKAGE).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> set[str]:
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def test_nothing_imports_the_sdk() -> None:
    assert {file: imported(tree) & SDK for file, tree in modules() if imported(tree) & SDK} == {}


def test_one_file_reads_a_client() -> None:
    reading = {
        file
        for file, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in READ_OFF_A_CLIENT
    }
    assert reading == {Path(access.__file__).name}


def test_what_it_reads_is_there_in_the_installed_version() -> None:
    with httpx.Client() as http:
        client = create_client("https://abc.supabase.co", "sb_secret_x", ClientOptions(httpx_client=http))
        storage, rest = (access.with_client(client, api=api)() for api in (access.STORAGE, access.REST))
    assert (storage.url, rest.url) == ("https://abc.supabase.co/storage/v1", "https://abc.supabase.co/rest/v1")
    assert storage.key == storage.token == "sb_secret_x"


def test_with_url_and_key_the_sdk_need_not_be_there_at_all() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_THE_SDK], capture_output=True, text=True, check=False)
    assert ran.stdout == "stored\n", ran.stderr
