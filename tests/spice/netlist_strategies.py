"""Random netlists in ngspice's language: subcircuits, parameters, expressions, models and waveforms.

Each comes with the number of elements that it holds once flattened, counted while it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

Draw = st.DrawFn


@dataclass
class Written:
    """A netlist's lines without title and ``.end``, and how many elements it holds when flattened."""

    lines: list[str]
    elements: int


@dataclass
class _Sub:
    name: str
    pins: int
    parameters: tuple[str, ...]
    elements: int


@dataclass
class _Sketch:
    draw: Draw
    linear: bool
    lines: list[str] = field(default_factory=list)
    subs: list[_Sub] = field(default_factory=list)

    def number(self) -> str:
        return self.draw(st.sampled_from(["1", "2.5", "0.5", "3", "1.25e0", "4", ".75", "2e-1", "7"]))

    def expression(self, names: tuple[str, ...], depth: int = 0) -> str:
        """Return an expression with a positive value between about 1e-2 and 1e3."""
        draw = self.draw
        kind = draw(st.integers(0, 11)) if depth < 3 else draw(st.integers(0, 1))
        if kind == 0 or (kind == 1 and not names):
            return self.number()
        if kind == 1:
            return draw(st.sampled_from(names))
        a, b = self.expression(names, depth + 1), self.expression(names, depth + 1)
        forms = [
            f"({a}+{b})/2", f"sqrt({a}*{b})", f"max({a}, {b})", f"min({a},{b})", f"({a} > {b} ? {a} : {b})",
            f"abs(-{a}) + ({a}<={b})*0.5", f"({a})**0.5", f"{a}/({b}+{a})*2 + 0.1", f"pow({a},0.5)+{b}*0",
            f"(({a}<{b}) && !({b}=={a}) || {a}>3) ? 1.5 : atan({a}) + 0.2", f"ln(1+{a})+int(1.7)*exp(-{b})",
        ]  # fmt: skip
        return "(" + forms[kind - 2 if kind >= 2 else 0] + ")"

    def value(self, unit: str, names: tuple[str, ...]) -> str:
        if self.draw(st.booleans()):
            return self.number() + unit
        text = self.expression(names)
        scale = {"k": "1000", "": "1", "m": "0.001"}[unit]
        return self.draw(st.sampled_from(["{%s*%s}", "'%s * %s'"])) % (text, scale)

    def body(self, nodes: list[str], names: tuple[str, ...], prefix: str) -> tuple[list[str], int]:
        """Return element lines in which a resistor leads from every node to another or to ground."""
        draw, lines, count = self.draw, [], 0
        reach = ["0"]
        for k, node in enumerate(nodes):
            lines.append(f"R{prefix}{k} {node} {draw(st.sampled_from(reach))} {self.value('k', names)}")
            reach.append(node)
        count += len(nodes)
        kinds = ["R", "I", "G"] + ([] if self.linear else ["D", "M", "S", "B", "C", "L"])
        for k, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=4))):
            a, b = draw(st.sampled_from(nodes)), draw(st.sampled_from([*nodes, "0"]))
            a, b = (a, "0") if a == b else (a, b)
            name = f"{kind}x{prefix}{k}"
            if kind in "RC":
                lines.append(f"{name} {a} {b} {self.value('k', names) if kind == 'R' else '1n'}")
            elif kind == "I":
                lines.append(f"{name} {a} {b} {self.value('m', names)}")
            elif kind == "G":
                lines.append(f"{name} {a} 0 {a} 0 {self.value('m', names)}")
            elif kind == "L":
                lines += [f"{name} {a} {name}_ 1m", f"R{name} {name}_ {b} 1k"]
                count += 1
            elif kind == "D":
                lines.append(f"{name} {a} {b} dm area={self.value('', names)}")
            elif kind == "M":
                lines.append(f"{name} {a} {b} 0 0 mn W=2u L={{1u}}")
            elif kind == "S":
                lines.append(f"{name} {a} {b} {a} 0 sw {draw(st.sampled_from(['on', 'off', '']))}")
            else:
                lines.append(f"{name} {a} {b} I={{1m}}*tanh(V({a},{b}))")
            count += 1
        for k, sub in enumerate(draw(st.lists(st.sampled_from(self.subs), max_size=3)) if self.subs else []):
            if sub.pins > len(nodes):
                continue
            ends = " ".join(draw(st.permutations(nodes))[: sub.pins])
            chosen = [p for p in sub.parameters if draw(st.booleans())]
            given = " ".join(f"{p}={{{self.expression(names)}}}" for p in chosen)
            word = draw(st.sampled_from(["", "params: "])) if given else ""
            lines.append(f"X{prefix}{k} {ends} {sub.name} {word}{given}".rstrip())
            count += sub.elements
        return lines, count


@st.composite
def netlists(draw: Draw, linear: bool = False) -> Written:
    """Netlists that can be read: resistors join every node to ground, the rest is added to that."""
    sketch = _Sketch(draw, linear)
    top = ("g1", "g2")
    lines = [f".param g1={sketch.number()} g2={{{sketch.expression(('g1',))}}}"]
    for s in range(draw(st.integers(0, 4))):
        pins, own = draw(st.integers(1, 3)), draw(st.sampled_from([(), ("a",), ("a", "g1"), ("a", "b")]))
        defaults = " ".join(f"{p}={sketch.number()}" for p in own)
        head = f".subckt s{s} {' '.join(f'p{k}' for k in range(pins))} {defaults}".rstrip()
        local = (f"loc{s}",) if draw(st.booleans()) else ()
        inner = [f".param {local[0]}={{{sketch.expression((*own, *top))}}}"] if local else []
        nodes = [*(f"p{k}" for k in range(pins)), *(f"m{k}" for k in range(draw(st.integers(0, 2))))]
        body, count = sketch.body(nodes, tuple(dict.fromkeys((*own, *local, *top))), "e")
        if not linear and draw(st.booleans()):
            inner.append(".model dm D(is=2e-14 n=1.5)")
        lines += [head, *draw(st.permutations([*inner, *body])), f".ends {draw(st.sampled_from(['', f's{s}']))}"]
        sketch.subs.append(_Sub(f"s{s}", pins, own, count))
    nodes = [f"n{k}" for k in range(draw(st.integers(1, 4)))]
    body, count = sketch.body(nodes, top, "t")
    wave = (
        ""
        if linear
        else draw(st.sampled_from(["", " pulse(0 1 1u 1n 1n 5u 10u)", " sin(0 1 1k)", " pwl(0 0 1m 1)"]))
    )
    source = f"V1 vin 0 dc {sketch.value('', top)}{wave}"
    link = f"Rin vin {draw(st.sampled_from(nodes))} 1k"
    models = [] if linear else [".model dm D(is=1e-14)", ".model mn NMOS(vto=0.5 kp=1e-4)", ".model sw SW(vt=0.3)"]
    return Written([*lines, *draw(st.permutations([source, link, *body])), *models], count + 2)
