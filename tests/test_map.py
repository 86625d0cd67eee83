"""ARCHITECTURE.md and CONTRIBUTING.md name what is there, and the former every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "analogep"


def named(document: str) -> list[str]:
    """Return every path that a document gives in backquotes."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [word for word in re.findall(r"`([\w./-]+)`", text) if "/" in word or word.endswith(".py")]


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_what_is_named_exists(document: str) -> None:
    missing = [word for word in named(document) if not (ROOT / word).exists() and not (PACKAGE / word).exists()]
    assert not missing


def test_every_room_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = "".join(line for line in text.splitlines() if line.startswith("|"))
    folders = {f"{p.parent.relative_to(PACKAGE)}/" for p in PACKAGE.rglob("__init__.py")} - {"./"}
    files = {p.name for p in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert not [room for room in sorted(folders | files) if f"`{room}`" not in rows]
