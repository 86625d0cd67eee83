"""Commands of a ``.control`` block: analyses and options as dot lines, harmless ones passed, the rest refused."""

from __future__ import annotations

import re

_AS_LINES = {"op": ".op", "dc": ".dc", "tran": ".tran", "option": ".options", "options": ".options"}
"""Commands that mean what a dot line means."""

_HARMLESS = frozenset(
    """
    run print plot gnuplot asciiplot hardcopy iplot write wrdata wrs2p echo quit exit display show showmod listing
    status rusage version destroy save settype setplot setscale unset delete bug help history linearize let unlet
    cross define undefine compose print_all set optran if else end inventory resume reset
    """.split()  # noqa: SIM905  (a list of quoted words would be a page long)
)
"""They print, save or plot, make vectors, or steer the search: they change no voltage."""

_CHANGE = re.compile(
    r"alter(?:mod|param)?(?=\s)|(?:options?|set)\s+(?:\S+\s+)*?(?:temp|tnom|gmin)(?=\s*=)", re.IGNORECASE
)


def dot_line(command: str) -> str:
    """Return the dot line that a command of a ``.control`` block means; empty for one that changes no voltage.

    Raises
    ------
    ValueError
        If it changes the circuit, or is an analysis or a loop that is not done here.
    """
    word, _, rest = command.partition(" ")
    word = word.lower()
    if not command or command.startswith(("*", "#", "$")):
        return ""
    if change := _CHANGE.match(command):
        what = "changes the circuit, which is read as its lines stand; write the value there"
        raise ValueError(f"{change.group(0)!r} in .control {what}, and remove this one")
    if word in _AS_LINES:
        return f"{_AS_LINES[word]} {rest}".strip()
    if word not in _HARMLESS:
        raise ValueError(f"{word!r} in .control is not done here; remove it, or run the netlist in ngspice")
    return ""
