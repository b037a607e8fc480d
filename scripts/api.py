"""Tell what changed in the public API since the last release in a way that breaks someone's code.

``python3 scripts/run.py api`` compares the sources with the newest tag ``v…`` before them. Public is what the reference
pages name, at that tag or now. Within a minor version (0.1.x) nothing may break: then the exit code is 1. Before the
first release there is nothing to compare with.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"^::: (audiostore\.[\w.]+)", re.MULTILINE)
VERSION = re.compile(r'__version__ = "(\d+)\.(\d+)\.')


def main(root: Path = ROOT) -> int:
    """Compare, print, and judge."""
    tag = _last_release(root)
    if tag is None:
        print("no release yet (no tag v*): nothing to compare with")
        return 0
    broken = sorted(set(breakages(root, tag)))
    print(f"since {tag}: {len(broken)} changes that break code" if broken else f"since {tag}: nothing breaks")
    for line in broken:
        print(f"  {line}")
    if not broken:
        return 0
    may_break = _minor(_show(root, tag, "src/audiostore/_version.py")) != _minor(
        (root / "src" / "audiostore" / "_version.py").read_text(encoding="utf-8")
    )
    print("a new minor version may; say each in the changelog" if may_break else "SECURITY.md promises otherwise")
    return 0 if may_break else 1


def breakages(root: Path, tag: str) -> Iterator[str]:
    """Give each change to what is documented that can break code that uses it, as a line."""
    old = griffe.load_git("audiostore", ref=tag, repo=root, search_paths=["src"])
    new = griffe.load("audiostore", search_paths=[root / "src"])
    for name in sorted(_documented(root, tag)):
        before, after = _found(old, name), _found(new, name)
        if before is None:
            continue  # it was documented before it was there
        if after is None:
            yield f"{name} is gone"
            continue
        for breakage in griffe.find_breaking_changes(before, after):
            if not _is_inner(breakage):
                yield _told(name, breakage)


def _is_inner(breakage: Any) -> bool:
    """Whether it is how the library is put together: its own base classes, the values of its constants."""
    if isinstance(breakage, griffe.AttributeChangedValueBreakage):
        return True
    if isinstance(breakage, griffe.ClassRemovedBaseBreakage):
        return not any(
            str(base) in {"OSError", "ValueError"} or str(base).endswith("Error") for base in _lost(breakage)
        )
    return False


def _lost(breakage: Any) -> set[str]:
    return {str(each) for each in breakage.old_value} - {str(each) for each in breakage.new_value}


def _told(name: str, breakage: Any) -> str:
    detail = re.sub(r"\x1b\[\d+m", "", breakage.explain(griffe.ExplanationStyle.ONE_LINE)).split(": ", 1)[-1]
    return f"{name}: {detail}"


def _found(package: Any, name: str) -> Any:
    found = package
    for part in name.split(".")[1:]:
        if found.is_alias:
            found = found.final_target
        member = found.all_members.get(part)
        if member is None:
            return None
        found = member
    return found.final_target if found.is_alias else found


def _documented(root: Path, tag: str) -> set[str]:
    pages = _git(root, "ls-tree", "-r", "--name-only", tag, "docs/reference").split()
    texts = [_show(root, tag, page) for page in pages]
    return {name for text in texts for name in NAMED.findall(text)}


def _last_release(root: Path) -> str | None:
    ran = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip() or None


def _minor(text: str) -> tuple[str, ...]:
    found = VERSION.search(text)
    assert found, "no version"
    return found.groups()


def _show(root: Path, tag: str, path: str) -> str:
    return _git(root, "show", f"{tag}:{path}")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
