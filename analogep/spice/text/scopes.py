"""Parameters of a subcircuit's instance: in which order ngspice 39 gives them their values.

Its defaults, its ``.param`` lines and the values on the X line become one list of assignments. Plain numbers
are assigned first; then expressions, one after the other, in an order in which each *default* comes after those
that it needs. An expression finds the instance's own parameter if that has its value already, and the caller's
if not. So ``a`` in ``X1 n s b={2*a}`` is the subcircuit's ``a`` where that is a number, or stands before ``b``
in ``.subckt s n a=1 b=1``; and ``w`` in ``w={2*w}`` is the caller's. Simulators that evaluate an X line in front
of the instance differ: give parameters of caller and subcircuit different names where it matters.

Read off ngspice's ``numparam`` (``inp_sort_params``, ``nupa_subcktcall``) and tried with ngspice 39.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from analogep.spice.text.expressions import Function
from analogep.spice.text.lexer import parse_number

_NAME = re.compile(r"(?<![\w.])[a-z_][\w.]*", re.IGNORECASE)


def assignment_order(definitions: Mapping[str, str], functions: Mapping[str, Function]) -> list[str]:
    """Return the parameters of a definition, each behind those that its own text needs.

    Parameters
    ----------
    definitions
        Defaults, then ``.param`` expressions, by lower-case name.
    functions
        Functions that they may call.

    Raises
    ------
    ValueError
        If parameters need each other.
    """
    needs = {name: _needed(text, functions) & definitions.keys() - {name} for name, text in definitions.items()}
    order: list[str] = []
    placed: set[str] = set()
    while len(order) < len(needs):  # level by level; within one, as they were written
        level = [name for name in needs if name not in placed and needs[name] <= placed]
        if not level:
            stuck = next(name for name in needs if name not in placed)
            raise ValueError(f"parameter {stuck} is defined by itself, through others")
        order += level
        placed.update(level)
    return order


def _needed(text: str, functions: Mapping[str, Function]) -> set[str]:
    """Return the names in an expression, and in the functions that it calls."""
    names = {word.lower() for word in _NAME.findall(text)}
    found: set[str] = set()
    while new := names - found:
        found |= new
        for name in new & functions.keys():
            arguments, body = functions[name]
            names |= {word.lower() for word in _NAME.findall(body)} - set(arguments)
    return found


def is_number(text: str) -> bool:
    """Whether a value is a plain number."""
    try:
        parse_number(text.strip())
    except ValueError:
        return False
    return True
