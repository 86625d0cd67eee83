"""A schematic of a network of crossbars: word lines, conductances, diodes, outputs and nudge."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogep.circuit import Circuit, Crossbar
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.report.layers import layers_of
from analogep.report.style import BLUE, RED, SMALL, new_figure, styled
from analogep.report.symbols import Pen, Point
from analogep.report.units import MINUS, TIMES

ROW, COLUMN, WIDE = 0.9, 1.2, 1.5
"""Distance between drawn word lines, between drawn bit lines, and between those that end in diodes."""
ESTIMATE = (
    r"$\frac{\mathrm{d}C}{\mathrm{d}g} \approx "
    r"\frac{(\Delta v_{+\beta})^2 - (\Delta v_{-\beta})^2}{4\,\beta}$"
)
"""What an ohmic conductance measures: centered equilibrium propagation (Kendall et al. 2020)."""
MATH = 7.5
"""Font size of node names."""


@dataclass(frozen=True)
class _Lines:
    """The lines of a crossbar that are drawn: the first two and the last, and where the others would be.

    Attributes
    ----------
    nodes
        Node indices of the drawn lines.
    offsets
        Their distances from the first one, in steps.
    gap
        Where the ellipsis stands, in steps; ``None`` if all lines are drawn.
    """

    nodes: tuple[int, ...]
    offsets: tuple[float, ...]
    gap: float | None

    @property
    def extent(self) -> float:
        return self.offsets[-1] if self.offsets else 0.0


@checked()
@styled
def schematic(circuit: Circuit) -> Figure:
    """Draw a schematic of a network of crossbars, with the true numbers of lines.

    Parameters
    ----------
    circuit
        A circuit with at least one crossbar, in order from inputs to outputs.

    Returns
    -------
    Figure
        The first and the last crossbar, of each at most three word and bit lines and the bias, with the
        diodes and amplifiers that the drawn nodes have.

    Raises
    ------
    InputError
        If the circuit has no crossbar.
    """
    figure = new_figure(4.4, 2.8)
    draw_schematic(figure.subplots(), circuit)
    return figure


def draw_schematic(axes: Axes, circuit: Circuit) -> None:
    """Draw the schematic of a circuit into ``axes``; see :func:`schematic`."""
    if not circuit.crossbars:
        raise InputError("the circuit has no crossbar; a schematic shows networks of crossbars")
    pen = Pen(axes)
    corners: list[Point] = []
    columns, x, y = _first_crossbar(pen, circuit, corners)
    if len(circuit.crossbars) > 1:
        start = _hidden(pen, circuit, columns, x, y, corners)
        _key(pen, (x[-1] + 1.25, 0.45), any(c.trainable for c in circuit.crossbars), corners)
        _last_crossbar(pen, circuit, start, corners)
    else:
        at = dict(zip(columns.nodes, x, strict=True))
        for value in x:
            pen.wire((value, y), (value, y - 0.5))
        _outputs(pen, circuit, {node: (value, y - 0.5) for node, value in at.items()}, columns, False, corners)
    pen.frame(corners)


def _pick(nodes: list[int]) -> _Lines:
    if len(nodes) <= 3:
        return _Lines(tuple(nodes), tuple(float(k) for k in range(len(nodes))), None)
    return _Lines((nodes[0], nodes[1], nodes[-1]), (0.0, 1.0, 2.5), 1.75)


def _split(circuit: Circuit, crossbar: Crossbar) -> tuple[list[int], list[int]]:
    """Return the crossbar's word lines without and with a bias voltage."""
    rows = crossbar.rows.tolist()
    bias = [i for i in rows if circuit.nodes[i].startswith("bias")]
    return [i for i in rows if i not in bias], bias


def _by_pairs(circuit: Circuit, crossbar: Crossbar) -> list[int]:
    """Return the crossbar's bit lines, the two of an output pair side by side."""
    columns = crossbar.columns.tolist()
    paired = [node for pair in circuit.output_pairs.tolist() for node in pair if node in columns]
    return paired if sorted(paired) == sorted(columns) else columns


def _label(name: str) -> str:
    """Return a node name as mathematics: ``h1_0`` becomes h₀, ``x12`` x₁₂, ``y0p`` y₀⁺."""
    match = re.fullmatch(r"([A-Za-z]+)(?:\d+_)?(\d+)([pn]?)", name)
    if match is None:
        return name
    sign = {"p": "^{+}", "n": "^{-}"}.get(match[3], "")
    return rf"${match[1]}_{{{match[2]}}}{sign}$"


def _crossings(
    pen: Pen,
    crossbar: Crossbar,
    x: list[float],
    heights: list[float],
    columns: _Lines,
    span: Point,
    step: float,
) -> None:
    """Draw bit lines at ``x`` over ``span`` across word lines at ``heights``, and their conductances."""
    for value in x:
        pen.wire((value, span[0]), (value, span[1]), over=True)
    for y in heights:
        for value in x:
            pen.resistor((value - 0.4, y), (value, y - 0.4), crossbar.trainable)
        if columns.gap is not None:
            pen.dots((x[0] + step * columns.gap - 0.15, y - 0.22), (1.0, 0.0))


def _first_crossbar(pen: Pen, circuit: Circuit, corners: list[Point]) -> tuple[_Lines, list[float], float]:
    """Draw word lines from the left and bit lines downwards; return the bit lines, their x and lower end."""
    crossbar = circuit.crossbars[0]
    signals, bias = _split(circuit, crossbar)
    rows, columns = _pick(signals), _pick(_by_pairs(circuit, crossbar))
    step = WIDE if len(circuit.crossbars) > 1 else COLUMN
    x = [1.2 + step * o for o in columns.offsets]
    lines = [(-ROW * o, _label(circuit.nodes[i])) for o, i in zip(rows.offsets, rows.nodes, strict=True)]
    if rows.gap is not None:
        pen.dots((0.0, -ROW * rows.gap), (0.0, 1.0))
    if signals:
        pen.text((-1.5, -ROW * rows.extent / 2), _count(len(signals), "input"), rotation=90)
    if bias:
        lines.append((-ROW * (rows.extent + 1.0) if signals else 0.0, f"{len(bias)} bias"))
    for y, text in lines:
        pen.wire((0.0, y), (x[-1] + 0.3, y))
        pen.terminal((0.0, y))
        pen.text((-0.25, y), text, ha="right", size=MATH if text.startswith("$") else SMALL)
    bottom = lines[-1][0] - 0.6
    _crossings(pen, crossbar, x, [y for y, _ in lines], columns, (0.3, bottom), step)
    pen.text(((x[0] + x[-1]) / 2 - 0.2, 0.62), _title(crossbar), color=BLUE)
    corners += [(-1.65, 0.8), (x[-1] + 0.5, bottom), (x[0] - 0.9, bottom), (x[0] + 1.0, bottom)]
    return columns, x, bottom


def _hidden(pen: Pen, circuit: Circuit, columns: _Lines, x: list[float], y: float, corners: list[Point]) -> Point:
    """Draw hidden nodes with their diodes, and lead them to the right.

    Returns where the first (topmost) word line of the last crossbar begins.
    """
    conducts = _diodes(circuit)
    most = max((len(conducts.get(node, ())) for node in columns.nodes), default=0)
    top = y - 0.3 - 0.45 * most
    skipped = len(circuit.crossbars) - 2
    amplified = any(layer.kind == "amplified" for layer in layers_of(circuit))
    end = x[-1] + 1.25 + (0.7 if amplified else 0.0)
    for node, offset, at in zip(columns.nodes, columns.offsets, x, strict=True):
        height = top - ROW * (columns.extent - offset)  # nested: the first bit line turns last
        pen.wire((at, y), (at, height), (end, height))
        pen.dot((at, y + 0.05))
        for step, (away, grounded) in enumerate(conducts.get(node, ())):
            pen.diode((at, y + 0.05 - 0.45 * step), away, grounded)
        if amplified:
            pen.amplifier((x[-1] + 0.9, height))
        pen.text((at - 0.13, y - 0.05), _label(circuit.nodes[node]), ha="right", size=MATH)
        if skipped:
            pen.dots((end + 0.4, height), (1.0, 0.0))
    if columns.gap is not None:
        pen.dots((x[-1] + 0.2, top - ROW * (columns.extent - columns.gap)), (0.0, 1.0))
    bottom = top - ROW * columns.extent
    hidden = [layer.size for layer in layers_of(circuit) if layer.kind == "hidden"]
    sizes = ", ".join(str(n) for n in hidden) if hidden else str(len(circuit.crossbars[0].columns))
    pen.text((x[0], bottom - 0.45), f"{sizes} hidden nodes", ha="left")
    corners += [(x[0] - 0.3, bottom - 0.6), (end, top)]
    return end + (0.8 if skipped else 0.0), top


def _last_crossbar(pen: Pen, circuit: Circuit, start: Point, corners: list[Point]) -> None:
    """Draw the last crossbar, its word lines from ``start`` downwards and its bit lines going up."""
    crossbar = circuit.crossbars[-1]
    signals, bias = _split(circuit, crossbar)
    rows, columns = _pick(signals), _pick(_by_pairs(circuit, crossbar))
    left, top = start
    x = [left + 0.75 + COLUMN * o for o in columns.offsets]
    # Drawn downwards from the last line to the first, as the lines arrive.
    heights = [top - ROW * (rows.extent - o) for o in rows.offsets]
    for y in heights:
        pen.wire((left, y), (x[-1] + 0.3, y))
    if rows.gap is not None:
        pen.dots((x[-1] + 0.3, top - ROW * (rows.extent - rows.gap)), (0.0, 1.0))
    low = min(heights, default=top + ROW)
    if bias:
        low -= ROW
        heights.append(low)
        pen.wire((left - 0.1, low), (x[-1] + 0.3, low))
        pen.terminal((left - 0.1, low))
        pen.text((left - 0.35, low), f"{len(bias)} bias", ha="right", size=SMALL)
    _crossings(pen, crossbar, x, heights, columns, (low - 0.6, top + 0.75), COLUMN)
    pen.text(((x[0] + x[-1]) / 2 - 0.2, low - 0.92), _title(crossbar), color=BLUE)
    corners += [(x[-1] + 0.5, low - 1.1)]
    ends = {node: (value, top + 0.75) for node, value in zip(columns.nodes, x, strict=True)}
    _outputs(pen, circuit, ends, columns, True, corners)


def _outputs(
    pen: Pen, circuit: Circuit, at: dict[int, Point], columns: _Lines, up: bool, corners: list[Point]
) -> None:
    """Draw output nodes and the nudge at each, above them if ``up``."""
    plus, minus = (set(circuit.output_pairs[:, k].tolist()) for k in (0, 1))
    sign = 1.0 if up else -1.0
    x = [place[0] for place in at.values()]
    y = next(iter(at.values()))[1]
    for node, place in at.items():
        pen.text((place[0] - 0.24, place[1]), _label(circuit.nodes[node]), ha="right", size=MATH)
        if node in plus or node in minus:
            pen.node(place)
            pen.nudge(place, up, node in plus)
        else:
            pen.dot(place)
    if columns.gap is not None:
        pen.dots((x[0] + COLUMN * columns.gap, y + sign * 0.75), (1.0, 0.0))
    pen.text((sum((min(x), max(x))) / 2, y + sign * 1.72), f"nudge  β (target {MINUS} v)", color=RED)
    pen.text((max(x) + 0.45, y + sign * 0.0), _count(len(circuit.output_pairs), "output"), ha="left")
    corners += [(max(x) + 2.2, y), (min(x), y + sign * 1.95)]


def _diodes(circuit: Circuit) -> dict[int, list[tuple[bool, bool]]]:
    """Return, by node, whether each of its diodes conducts away from it, and whether it goes to ground."""
    found: dict[int, list[tuple[bool, bool]]] = {}
    for bank in circuit.banks:
        if bank.device.kind in ("diode", "ideal_diode"):
            for anode, cathode in bank.pins.tolist():
                found.setdefault(anode, []).append((True, cathode == 0))
                found.setdefault(cathode, []).append((False, anode == 0))
    return found


def _key(pen: Pen, at: Point, trainable: bool, corners: list[Point]) -> None:
    """Say what a trainable conductance is and what it measures, in the room above the last crossbar."""
    x, y = at
    if not trainable:
        return
    pen.resistor((x, y), (x + 0.57, y))
    pen.text((x + 0.8, y), "trainable conductance g", ha="left")
    pen.text((x + 0.8, y - 0.8), ESTIMATE, ha="left", size=MATH)
    corners.append((x + 5.0, y + 0.3))


def _title(crossbar: Crossbar) -> str:
    rows, columns = crossbar.conductance.shape
    return f"{crossbar.name}: {rows} {TIMES} {columns}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
