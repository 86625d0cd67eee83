"""Behavioural sources of a netlist: expressions with parameters and node names, as devices of ours."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from analogep.devices.expressions.behavioural import Behavioural, behavioural_class
from analogep.devices.expressions.expression import parse, spell, with_magnitudes
from analogep.errors import CircuitError
from analogep.spice.text.expressions import Function, evaluate

_GROUND = ("0", "gnd")
_BRACED = re.compile(r"\{([^{}]*)\}")
_VOLTAGE = re.compile(r"(?<![\w.])v\s*\(\s*([^\s(),]+)\s*(?:,\s*([^\s(),]+)\s*)?\)", re.IGNORECASE)
_WORD = re.compile(
    r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[\w.]*"  # a number, so that its letters are no names
    r"|(?<![\w.])v\s*\([^()]*\)"
    r"|[a-z_][\w.]*(?!\s*\()(?![\w.])",
    re.IGNORECASE,
)


def substituted(text: str, parameters: Mapping[str, float]) -> str:
    """Return an expression with the values of ``{...}`` and of parameters in place.

    A user's functions (``.func``) are written out; their arguments may hold voltages.

    Raises
    ------
    ValueError
        If what stands in braces has no value, or a function is called wrongly.
    """
    text = text.strip()
    for opens, closes in ("{}", "''"):
        if len(text) > 1 and text[0] == opens and text[-1] == closes and not set(text[1:-1]) & {opens, closes}:
            text = text[1:-1]
    text = _BRACED.sub(lambda match: f"({evaluate(match.group(1), parameters)!r})", text)
    functions: Mapping[str, Function] = getattr(parameters, "functions", {})
    if functions:
        text = _written_out(text, functions, 0)

    def value(match: re.Match[str]) -> str:
        name = match.group().lower()
        return f"({parameters[name]!r})" if name in parameters else match.group()

    return _WORD.sub(value, text)


_CALL = re.compile(r"(?<![\w.])([a-z_]\w*)\s*\(", re.IGNORECASE)
_DEEPEST_CALL = 20
_LONGEST = 100_000  # characters of an expression whose functions are written out


def _written_out(text: str, functions: Mapping[str, Function], depth: int) -> str:
    """Return an expression in which every call of a user's function stands as the function's own text."""
    out, at = [], 0
    while call := _CALL.search(text, at):
        name = call.group(1).lower()
        if name not in functions:
            out.append(text[at : call.end()])
            at = call.end()
            continue
        if depth == _DEEPEST_CALL:
            raise ValueError(f"function {name} calls itself, or others more than {_DEEPEST_CALL} deep")
        arguments, end = _arguments(text, call.end(), name)
        names, body = functions[name]
        if len(arguments) != len(names):
            raise ValueError(f"{name} takes {len(names)} arguments, not {len(arguments)}, in {text!r}")
        given = {n: _written_out(a, functions, depth) for n, a in zip(names, arguments, strict=True)}
        inner = _written_out(_with_arguments(body, given), functions, depth + 1)
        out += [text[at : call.start()], f"({inner})"]
        at = end
        if sum(map(len, out)) > _LONGEST:
            raise ValueError(f"function {name}: written out, the expression is longer than {_LONGEST} characters")
    return "".join([*out, text[at:]])


def _arguments(text: str, start: int, name: str) -> tuple[list[str], int]:
    """Return the arguments of a call, which begin at ``start``, and where the text goes on behind it."""
    found, depth, first = [], 1, start
    for at in range(start, len(text)):
        c = text[at]
        depth += (c == "(") - (c == ")")
        if depth == 0 or (depth == 1 and c == ","):
            found.append(text[first:at].strip())
            first = at + 1
        if depth == 0:
            break
    else:
        raise ValueError(f"the call of {name} in {text!r} has no closing parenthesis")
    if found == [""]:
        found = []
    if not all(found):
        raise ValueError(f"{name} has an empty argument in {text!r}")
    return found, first


def _with_arguments(body: str, given: Mapping[str, str]) -> str:
    """Return a function's text with its arguments in place, as names and as nodes in ``v()``."""

    def value(match: re.Match[str]) -> str:
        word = match.group()
        if _VOLTAGE.fullmatch(word):
            return with_nodes(word, lambda node: given.get(node.lower(), node))
        return f"({given[word.lower()]})" if word.lower() in given else word

    return _WORD.sub(value, body)


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

    tree = with_magnitudes(parse(with_nodes(text, pin)))
    try:
        device = behavioural_class(spell(tree, {}, {}), len(control), voltage=voltage)
    except CircuitError as error:
        raise ValueError("; ".join(str(fault) for fault in error.faults)) from None
    if device.parameters():
        raise ValueError(f"unknown parameter {', '.join(device.parameters())}; define it with .param")
    return device, tuple(control)
