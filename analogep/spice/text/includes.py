"""Files that a netlist takes in: ``.include`` and the sections of ``.lib`` files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from analogep.spice.text.lexer import Line, Source, logical_lines

_DEEPEST = 20
_MOST_LINES = 2_000_000


class Includer:
    """Replaces ``.include`` and ``.lib`` lines by the lines of the files that they name.

    Parameters
    ----------
    source
        Gets the faults.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.lines = 0

    def expand(
        self, lines: Iterable[Line], base: Path | None, opened: tuple[tuple[Path, str], ...] = ()
    ) -> list[Line]:
        """Return ``lines`` with all files in place.

        Parameters
        ----------
        lines
            Logical lines of one file.
        base
            Its folder, to which names in it are relative; ``None`` for text that came from no file.
        opened
            Files (and library sections) that are being read, from the outermost.
        """
        out: list[Line] = []
        for line in lines:
            word = line.text.split(maxsplit=1)[0].lower() if line.text.startswith(".") else ""
            if line.structured or word not in (".include", ".inc", ".lib", ".endl"):
                out.append(line)
                continue
            try:
                out += self._file(line, word, base, opened)
            except ValueError as error:
                self.source.fault(line.number, f"{word}: {error}")
        return out

    def _file(self, line: Line, word: str, base: Path | None, opened: tuple[tuple[Path, str], ...]) -> list[Line]:
        words = _names(line.text)
        if word == ".endl" or (word == ".lib" and len(words) == 1):
            raise ValueError("a library's section stands here; ask for it with '.lib FILE SECTION'")
        if len(words) != (2 if word == ".lib" else 1):
            raise ValueError("expected a file and a section" if word == ".lib" else "expected one file name")
        section = words[1].lower() if word == ".lib" else ""
        if base is None and not Path(words[0]).is_absolute():
            raise ValueError(f"{words[0]} is relative to a folder that is not known; read the file, or give base=")
        path = (base or Path()) / words[0]
        key = (path.resolve(), section)
        if key in opened:
            raise ValueError(f"{path} includes itself")
        if len(opened) >= _DEEPEST:
            raise ValueError(f"files are nested more than {_DEEPEST} deep")
        lines = logical_lines(_text(path), self.source, str(path))[1]
        if section:
            lines = _section(lines, section, path)
        self.lines += len(lines)
        if self.lines > _MOST_LINES:
            raise ValueError(f"the included files have more than {_MOST_LINES} lines")
        return self.expand(lines, path.parent, (*opened, key))


def _names(text: str) -> list[str]:
    """Return the words behind a dot word; quoted ones may hold blanks."""
    rest = text.partition(" ")[2].strip() if " " in text else text.partition("\t")[2].strip()
    words: list[str] = []
    while rest:
        if rest[0] in "\"'":
            end = rest.find(rest[0], 1)
            if end < 0:
                raise ValueError(f"{rest[0]} is not closed")
            words.append(rest[1:end])
            rest = rest[end + 1 :].strip()
        else:
            word, _, rest = rest.partition(" ")
            words.append(word)
            rest = rest.strip()
    return words


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise ValueError(f"cannot read {path}: {reason}") from None


def _section(lines: list[Line], wanted: str, path: Path) -> list[Line]:
    """Return what stands between ``.lib wanted`` and ``.endl``."""
    found: list[Line] | None = None
    known: list[str] = []
    inside = ""
    for line in lines:
        words = line.text.lower().split()
        if words[:1] == [".lib"] and len(words) == 2:
            inside = words[1].strip("\"'")
            known.append(inside)
            if inside == wanted:
                if found is not None:
                    raise ValueError(f"{path} has two sections {wanted}")
                found = []
        elif words[:1] == [".endl"]:
            if inside == wanted and words[1:] not in ([], [wanted]):
                raise ValueError(f"section {wanted} of {path} ends with .endl {words[1]}")
            inside = ""
        elif inside == wanted and found is not None:
            found.append(line)
    if found is None:
        raise ValueError(f"{path} has no section {wanted}; it has {', '.join(known) or 'none'}")
    if inside == wanted:
        raise ValueError(f"section {wanted} of {path} has no .endl")
    return found
