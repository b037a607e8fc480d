"""One run of the command line: which store it speaks to, and how it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from audiostore.backends.disk import OWN_FOLDER
from audiostore.errors import ConfigurationError, from_os_error
from audiostore.settings import Settings
from audiostore.store import AudioStore

_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")[ \t]*(?:#.*)?""")
_EXPANDS = re.compile(r"[$`][A-Za-z_{(]|`")


@dataclass
class Session:
    """The options that every command takes. *given* is a store that was made elsewhere."""

    root: Path | None = None
    env_file: Path | None = None
    as_json: bool = False
    given: AudioStore | None = None

    @property
    def environment(self) -> Settings:
        """What the environment says, or the file that stands for it."""
        return Settings.from_env(self._environ())

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.root if self.root is not None else self.environment.upload_folder

    @property
    def settings(self) -> Settings | None:
        """The settings that say which store; None if ``--root`` does."""
        return None if self.root is not None else self.environment

    @property
    def own_secret(self) -> Path | None:
        """Where the store keeps a secret of its own; None if the settings bring one."""
        brought = self.root is None and self.environment.secret is not None
        return None if brought else self.folder / OWN_FOLDER / "secret"

    def store(self, *, create: bool = False) -> AudioStore:
        """Open the store; only with *create* may it be a new one, so that a mistyped folder is not filled.

        Raises:
            ConfigurationError: wrong settings, or no store there.

        """
        if self.given is None:
            folder, embedded = self.folder, self.settings is None or self.settings.catalog == "sqlite"
            if embedded and not create and not (folder / OWN_FOLDER).is_dir():
                raise ConfigurationError(
                    f"there is no store in {folder} (the first put makes one; --root or UPLOAD_FOLDER say where)"
                )
            self.given = AudioStore.local(self.root) if self.root else AudioStore.from_env(self._environ())
        return self.given

    def close(self) -> None:
        """Let go of the store, if one was opened."""
        if self.given is not None:
            self.given.close()

    def _environ(self) -> Mapping[str, str] | None:
        return None if self.env_file is None else read_env_file(self.env_file)


pass_session = click.make_pass_decorator(Session, ensure=True)


def read_env_file(path: Path) -> dict[str, str]:
    """Read ``KEY=VALUE`` lines: ``#`` comments, an ``export`` before the key, values plain or in one pair of quotes.

    Nothing is expanded, and what a shell would expand is refused unless it stands in single quotes. A message names
    the line, and never repeats it: it may hold a secret.

    Raises:
        ConfigurationError: a line that is none of this, or a key that is there twice.

    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise from_os_error(error, str(path)) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    environ: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not (written := line.strip()) or written.startswith("#"):
            continue
        pair = _LINE.fullmatch(written)
        if pair is None:
            raise ConfigurationError(f"{path}, line {number}: not KEY=VALUE")
        if pair[1] in environ:
            raise ConfigurationError(f"{path}, line {number}: {pair[1]} is given twice")
        environ[pair[1]] = _value(pair[2], f"{path}, line {number}: {pair[1]}")
    return environ


def _value(written: str, where: str) -> str:
    if not written.startswith(("'", '"')):
        plain = re.split(r"[ \t]#", written, maxsplit=1)[0].strip()
        if _EXPANDS.search(plain) or re.search(r"['\"\\\s]", plain):
            raise ConfigurationError(f"{where}: put the value into single quotes")
        return plain
    quoted = _QUOTED.fullmatch(written)
    if quoted is None:
        raise ConfigurationError(f"{where}: the quotes do not match")
    if quoted[1] is not None:
        return quoted[1]
    if _EXPANDS.search(re.sub(r"\\.", "", quoted[2])):
        raise ConfigurationError(f"{where}: nothing is expanded here; put the value into single quotes")
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), quoted[2])
