"""Circuit symbols drawn with matplotlib primitives, in units of the axes' data coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, Polygon
from matplotlib.transforms import Affine2D

from analogep.report.style import BLUE, GREY, INK, NORMAL, RED, YELLOW

Point = tuple[float, float]

WIRE = 0.75
TRAINABLE = "#A9C1DF"


@dataclass(frozen=True)
class Pen:
    """Draws symbols into axes whose two directions have the same scale.

    Attributes
    ----------
    axes
        Where to draw; about 0.3 inch per unit suits the sizes.
    """

    axes: Axes

    def wire(self, *points: Point, color: str = INK, over: bool = False) -> None:
        """Draw a wire through points; with ``over`` it interrupts what it crosses without contact."""
        x, y = zip(*points, strict=True)
        if over:
            self.axes.plot(x, y, color="white", linewidth=WIRE + 1.6, zorder=2, solid_capstyle="butt")
        self.axes.plot(x, y, color=color, linewidth=WIRE, zorder=2.1 if over else 1.8, solid_capstyle="round")

    def dot(self, at: Point, radius: float = 0.07, color: str = INK) -> None:
        """Draw a junction."""
        self.axes.add_patch(Circle(at, radius, facecolor=color, edgecolor="none", zorder=4))

    def terminal(self, at: Point) -> None:
        """Draw a clamped terminal."""
        self.axes.add_patch(Circle(at, 0.11, facecolor="white", edgecolor=INK, linewidth=WIRE, zorder=4))

    def node(self, at: Point, color: str = YELLOW) -> None:
        """Draw an output node."""
        self.axes.add_patch(Circle(at, 0.15, facecolor=color, edgecolor=INK, linewidth=WIRE, zorder=4))

    def resistor(self, start: Point, end: Point, trainable: bool = True) -> None:
        """Draw a conductance between two points, with its leads and contacts."""
        self.wire(start, end)
        (x0, y0), (x1, y1) = start, end
        length, width = 0.62 * np.hypot(x1 - x0, y1 - y0), 0.17
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [length / 2, width / 2]
        turn = Affine2D().rotate(np.arctan2(y1 - y0, x1 - x0)).translate((x0 + x1) / 2, (y0 + y1) / 2)
        face = TRAINABLE if trainable else "white"
        body = Polygon(turn.transform(corners), facecolor=face, edgecolor=BLUE, linewidth=0.6, zorder=3)
        self.axes.add_patch(body)
        self.dot(start, 0.045)
        self.dot(end, 0.045)

    def diode(self, node: Point, away: bool, grounded: bool = True) -> None:
        """Draw a diode from ``node`` to ground or a rail at its right; ``away``: it conducts that way."""
        x, y = node
        left, right, half = x + 0.2, x + 0.44, 0.14
        tip, base = (right, left) if away else (left, right)
        self.wire(node, (x + 0.62, y))
        body = Polygon(
            [(base, y - half), (base, y + half), (tip, y)],
            facecolor=INK,
            edgecolor=INK,
            linewidth=0.3,
            zorder=3,
        )
        self.axes.add_patch(body)
        self.axes.plot([tip, tip], [y - half, y + half], color=INK, linewidth=1.0, zorder=3)
        for k, size in enumerate((0.15, 0.1, 0.05) if grounded else (0.2,)):  # the symbols lie on their side
            at = x + 0.62 + 0.06 * k
            self.axes.plot([at, at], [y - size, y + size], color=INK, linewidth=WIRE, zorder=3)
        self.dot(node)

    def amplifier(self, at: Point) -> None:
        """Draw an amplifier on a wire that runs to the right."""
        x, y = at
        corners = [(x - 0.2, y - 0.24), (x - 0.2, y + 0.24), (x + 0.24, y)]
        self.axes.add_patch(Polygon(corners, facecolor="white", edgecolor=INK, linewidth=WIRE, zorder=4))

    def nudge(self, node: Point, up: bool, into: bool) -> None:
        """Draw a current source at an output: above it if ``up``, its current flowing ``into`` the node."""
        x, y = node
        sign = 1.0 if up else -1.0
        centre = y + sign * 0.75
        self.wire(node, (x, centre - sign * 0.3), color=RED)
        self.wire((x, centre + sign * 0.3), (x, centre + sign * 0.6), color=RED)
        ring = Circle((x, centre), 0.3, facecolor="white", edgecolor=RED, linewidth=0.9, zorder=4)
        self.axes.add_patch(ring)
        tip = -sign if into else sign
        arrow = FancyArrowPatch(
            (x, centre - tip * 0.2), (x, centre + tip * 0.22), arrowstyle="-|>", mutation_scale=4.5,
            shrinkA=0, shrinkB=0, color=RED, linewidth=0.9, zorder=5,
        )  # fmt: skip
        self.axes.add_patch(arrow)

    def dots(self, at: Point, direction: Point) -> None:
        """Draw an ellipsis centred at a point."""
        for k in (-1, 0, 1):
            centre = (at[0] + 0.17 * k * direction[0], at[1] + 0.17 * k * direction[1])
            self.axes.add_patch(Circle(centre, 0.035, facecolor=GREY, edgecolor="none", zorder=4))

    def text(
        self,
        at: Point,
        text: str,
        ha: str = "center",
        va: str = "center",
        color: str = INK,
        size: float = NORMAL,
        rotation: float = 0.0,
    ) -> None:
        """Write text at a point."""
        self.axes.text(*at, text, ha=ha, va=va, color=color, fontsize=size, rotation=rotation, zorder=6)

    def frame(self, points: Sequence[Point], pad: float = 0.2) -> None:
        """Set the axes' limits around points, with the same scale in both directions and no decoration."""
        x, y = zip(*points, strict=True)
        self.axes.set_xlim(min(x) - pad, max(x) + pad)
        self.axes.set_ylim(min(y) - pad, max(y) + pad)
        self.axes.set_aspect("equal")
        self.axes.set_axis_off()
