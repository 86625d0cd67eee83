"""Commands of a ``.control`` block: analyses and options as dot lines, harmless ones passed, the rest refused."""

from __future__ import annotations

import re

_AS_LINES = {"op": ".op", "dc": ".dc", "tran": ".tran", "option": ".options", "options": ".options"}
"""Commands that mean what a dot line means."""

_HARMLESS = frozenset(
    """
    run print plot gnuplot asciiplot hardcopy iplot write wrdata wrs2p echo quit exit display show showmod listing
    status rusage version destroy save settype setplot setscale unset delete bug help history linearize unlet
    undefine print_all set optran inventory resume reset if else end
    """.split()  # noqa: SIM905  (a list of quoted words would be a page long)
)
"""They print, save or plot, or steer the search: they change no voltage."""

_VECTORS = frozenset({"let", "compose", "cross", "define"})
"""They make numbers of numbers, which are not shown here: nodes are."""

_CHANGE = re.compile(
    r"alter(?:mod|param)?(?=\s)|(?:options?|set)\s+(?:\S+\s+)*?(?:temp|tnom|gmin)(?=\s*=)", re.IGNORECASE
)

_STEERING = re.compile(
    r"\b(?:reltol|abstol|vntol|chgtol|trtol|pivtol|pivrel|itl[1-6]|method|maxord|rshunt)\s*=\s*[^\s=]+",
    re.IGNORECASE,
)
"""Variables of ``set`` that are options."""


def makes_vectors(command: str) -> bool:
    """Whether a command makes numbers of numbers, which this program does not show."""
    return command.lower().split()[:1] in [[word] for word in _VECTORS]


class Script:
    """The commands of one ``.control`` block, one after the other."""

    def __init__(self) -> None:
        self._choices = 0  # "if" that are open

    def dot_line(self, command: str, behind: str = "") -> str:
        """Return the dot line that a command means; empty for one that changes no voltage.

        Parameters
        ----------
        command
            The line without its trailing comment.
        behind
            What stands behind its first semicolon.

        Raises
        ------
        ValueError
            If it changes the circuit, or is an analysis or a loop that is not done here; also if such a command
            stands within ``if``, or behind the semicolon, where ngspice does not see it.
        """
        for hidden in behind.split(";"):
            if _acts(hidden.strip()):
                raise ValueError(
                    f"{hidden.strip()!r} behind ; in .control is a comment to ngspice; give it a line"
                )
        if not command.strip() or command.startswith(("*", "#", "$")):
            return ""
        words = command.split(maxsplit=1)
        word, rest = words[0].lower(), words[1] if len(words) > 1 else ""
        if change := _CHANGE.match(command):
            what = "changes the circuit, which is read as its lines stand; write the value there"
            raise ValueError(f"{change.group(0)!r} in .control {what}, and remove this one")
        if word == "set" and (steering := _STEERING.findall(rest)):
            word, rest = "options", " ".join(steering)
        if word in ("if", "end"):
            self._choices = max(0, self._choices + (1 if word == "if" else -1))
        elif word in _AS_LINES and self._choices:
            raise ValueError(
                f"{word!r} within if in .control: what is done must not depend on results; move it out"
            )
        elif word in _AS_LINES:
            return f"{_AS_LINES[word]} {rest}".strip()
        elif word not in _HARMLESS | _VECTORS:
            raise ValueError(f"{word!r} in .control is not done here; remove it, or run the netlist in ngspice")
        return ""


def _acts(command: str) -> bool:
    """Whether a command is an analysis, or changes the circuit."""
    word = command.split(maxsplit=1)[0].lower() if command else ""
    return word in _AS_LINES or _CHANGE.match(command) is not None
