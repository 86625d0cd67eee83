"""Behavioural sources of a netlist: expressions with parameters and node names, as devices of ours."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from analogep.devices.behavioural import Behavioural, behavioural_class
from analogep.errors import CircuitError
from analogep.spice.expressions import evaluate

_GROUND = ("0", "gnd")
_BRACED = re.compile(r"\{([^{}]*)\}")
_VOLTAGE = re.compile(r"(?<![\w.])v\s*\(\s*([^\s(),]+)\s*(?:,\s*([^\s(),]+)\s*)?\)", re.IGNORECASE)
_WORD = re.compile(
    r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[a-zµ]*"  # a number, so that its letters are no names
    r"|(?<![\w.])v\s*\([^()]*\)"
    r"|[a-z_][\w.]*(?!\s*\()(?![\w.])",
    re.IGNORECASE,
)


def substituted(text: str, parameters: Mapping[str, float]) -> str:
    """Return an expression with the values of ``{...}`` and of parameters in place.

    Raises
    ------
    ValueError
        If what stands in braces has no value.
    """
    text = text.strip()
    for opens, closes in ("{}", "''"):
        if len(text) > 1 and text[0] == opens and text[-1] == closes and not set(text[1:-1]) & {opens, closes}:
            text = text[1:-1]
    text = _BRACED.sub(lambda match: f"({evaluate(match.group(1), parameters)!r})", text)

    def value(match: re.Match[str]) -> str:
        name = match.group().lower()
        return f"({parameters[name]!r})" if name in parameters else match.group()

    return _WORD.sub(value, text)


def polynomial(coefficients: Sequence[float], ports: Sequence[tuple[str, ...]]) -> str:
    """Return a polynomial of the voltages x1 … xn between pairs of nodes, as an expression.

    The coefficients are those of 1, of x1 … xn, of x1², x1·x2 … xn², then of x1³ and so on, as in SPICE's POLY.
    """
    products = (p for degree in itertools.count() for p in itertools.combinations_with_replacement(ports, degree))
    terms = [
        "*".join([f"({c!r})", *(f"v({a},{b})" for a, b in product)])
        for c, product in zip(coefficients, products, strict=False)
        if c != 0.0
    ]
    return "+".join(terms) or "0"


def with_nodes(text: str, rename: Callable[[str], str]) -> str:
    """Return an expression with other node names in ``v(a)`` and ``v(a,b)``."""

    def voltage(match: re.Match[str]) -> str:
        return f"v({','.join(rename(node) for node in match.groups() if node is not None)})"

    return _VOLTAGE.sub(voltage, text)


def behavioural_source(
    text: str, nodes: tuple[str, ...], *, voltage: bool
) -> tuple[type[Behavioural], tuple[str, ...]]:
    """Return the device class of a source, and its control nodes.

    Its current, or its ``voltage``, from ``nodes[0]`` to ``nodes[1]`` is ``text``.

    Raises
    ------
    ValueError
        If the expression is malformed, or uses something that has no derivative or is not known.
    """
    pins = {nodes[1].lower(): "n", nodes[0].lower(): "p", **dict.fromkeys(_GROUND, "0")}
    control: list[str] = []

    def pin(node: str) -> str:
        if node.lower() not in pins:
            control.append(node)
            pins[node.lower()] = f"c{len(control)}"
        return pins[node.lower()]

    try:
        device = behavioural_class(with_nodes(text, pin), len(control), voltage=voltage)
    except CircuitError as error:
        raise ValueError("; ".join(str(fault) for fault in error.faults)) from None
    if device.parameters():
        raise ValueError(f"unknown parameter {', '.join(device.parameters())}; define it with .param")
    return device, tuple(control)
