"""Random transients as netlists: one function for each kind of circuit, all of them in the grammar of ``independent``."""

# ruff: noqa: E501  (a card of a netlist stays on one line)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from census_tools import Deck, Generator, decades

Maker = Callable[[Generator, Deck], None]


def source(rng: Generator, stop: float, low: float = -5.0, high: float = 5.0, shapes: str = "pspw") -> str:
    """Return a waveform that does something within ``stop``; corners may be very sharp."""
    a, b = (float(f"{x:.4g}") for x in rng.uniform(low, high, 2))
    shape = str(rng.choice(list(shapes)))
    if shape == "p":
        edge = stop * decades(rng, 1e-6, 3e-2)
        delay = 0.0 if rng.random() < 0.2 else stop * rng.uniform(0.0, 0.4)
        width = stop * rng.uniform(0.05, 0.5)
        period = width + 2 * edge + stop * rng.uniform(0.05, 0.5)
        fall = edge * decades(rng, 0.2, 5.0) if rng.random() < 0.5 else edge
        if rng.random() < 0.3:
            return f"PULSE({a:g} {b:g} {delay:.5g} {edge:.5g} {fall:.5g} {width:.5g})"
        return f"PULSE({a:g} {b:g} {delay:.5g} {edge:.5g} {fall:.5g} {width:.5g} {period + fall:.5g})"
    if shape == "s":
        cycles = rng.uniform(0.5, 6.0)
        extra = f" {stop * rng.uniform(0, 0.3):.5g}" if rng.random() < 0.4 else ""
        if extra and rng.random() < 0.5:
            extra += f" {rng.uniform(0.2, 5.0) / stop:.5g}"
        return f"SIN({a if rng.random() < 0.3 else 0:g} {abs(b) + 0.1:.4g} {cycles / stop:.5g}{extra})"
    if shape == "w":
        count = int(rng.integers(2, 8))
        times = np.sort(rng.uniform(0.0, 1.0, count)) * stop
        pairs = [(0.0, a)]
        for t in times:
            if rng.random() < 0.4:  # a step as sharp as it gets
                pairs.append((t, pairs[-1][1]))
                t = t + stop * decades(rng, 1e-6, 1e-3)
            if t > pairs[-1][0]:
                pairs.append((t, float(rng.uniform(low, high))))
        return "PWL(" + " ".join(f"{t:.6g} {v:.4g}" for t, v in pairs) + ")"
    t1 = stop * rng.uniform(0.0, 0.3)
    t2 = t1 + stop * rng.uniform(0.1, 0.5)
    return f"EXP({a:g} {b:g} {t1:.5g} {stop * decades(rng, 0.005, 0.3):.5g} {t2:.5g} {stop * decades(rng, 0.005, 0.3):.5g})"


def _time(rng: Generator, deck: Deck, stop: float, uic: bool = False, points: int | None = None) -> None:
    points = points or int(rng.choice([40, 60, 100]))
    if rng.random() < 0.3:
        deck.add(".options reltol=1e-4")
        deck.relative = 3e-4
    longest = f" 0 {stop / points / 2:.6g}" if rng.random() < 0.1 else ""
    deck.tran = f".tran {stop / points:.6g} {stop:.6g}{longest}" + (" uic" if uic else "")


def _ends(rng: Generator) -> str:
    return str(rng.choice(["none", "none", "ic", "uic", "uic ic"]))


def rc_ladder(rng: Generator, deck: Deck, shapes: str = "pspw") -> None:
    n, r, c = int(rng.integers(1, 6)), decades(rng, 10, 1e5), decades(rng, 1e-12, 1e-6)
    stop = r * c * decades(rng, 0.5, 30) * n
    deck.add(f"V1 in 0 {source(rng, stop, shapes=shapes)}")
    ends, last, ic = _ends(rng), "in", []
    for k in range(n):
        node = f"a{k}"
        deck.add(f"R{k} {last} {node} {r * decades(rng, 0.2, 5):.5g}")
        if rng.random() < 0.8 or k == n - 1:
            given = f" IC={rng.uniform(-3, 3):.4g}" if ends == "uic" and rng.random() < 0.7 else ""
            deck.add(f"C{k} {node} 0 {c * decades(rng, 0.2, 5):.5g}{given}")
            ic.append(f"V({node})={rng.uniform(-3, 3):.4g}")
        if rng.random() < 0.2:
            deck.add(f"Rg{k} {node} 0 {r * decades(rng, 1, 100):.5g}")
        last = node
    if "ic" in ends.split():
        deck.add(".ic " + " ".join(ic))
    _time(rng, deck, stop, "uic" in ends)


def rlc(rng: Generator, deck: Deck) -> None:
    c, w = decades(rng, 1e-12, 1e-5), decades(rng, 1e2, 1e9)
    l_value, damping = 1 / (w * w * c), decades(rng, 0.02, 3.0)
    stop = 2 * np.pi / w * rng.uniform(1, 8)
    z = float(np.sqrt(l_value / c))
    uic = rng.random() < 0.4
    deck.add(f"V1 in 0 {source(rng, stop)}")
    ic_l = f" IC={rng.uniform(-2, 2) / z:.4g}" if uic and rng.random() < 0.7 else ""
    ic_c = f" IC={rng.uniform(-3, 3):.4g}" if uic and rng.random() < 0.7 else ""
    if rng.random() < 0.5:
        deck.add(f"R1 in a {2 * damping * z:.5g}")
        deck.add(f"L1 a b {l_value:.5g}{ic_l}")
        deck.add(f"C1 b 0 {c:.5g}{ic_c}")
    else:
        deck.add(f"R1 in b {z / (2 * damping):.5g}")
        deck.add(f"L1 b 0 {l_value:.5g}{ic_l}")
        deck.add(f"C1 b 0 {c:.5g}{ic_c}")
        if rng.random() < 0.5:
            deck.add(f"R2 b q {z:.5g}")
            deck.add(f"L2 q 0 {l_value * 3:.5g}")
    _time(rng, deck, stop, uic, 100)


def diode_model(rng: Generator, capacitance: bool, stop: float, r: float) -> str:
    values = [f"is={decades(rng, 1e-16, 1e-8):.3g}", f"n={rng.uniform(1, 2):.3g}"]
    if rng.random() < 0.4:
        values.append(f"rs={decades(rng, 0.1, 50):.3g}")
    if capacitance:
        c = stop / r * decades(rng, 1e-3, 0.3)
        values += [f"cjo={c:.4g}", f"vj={rng.uniform(0.3, 1.0):.3g}", f"m={rng.uniform(0.2, 0.6):.3g}"]
        if rng.random() < 0.5:
            values.append(f"tt={stop * decades(rng, 1e-4, 3e-2):.3g}")
        if rng.random() < 0.3:
            values.append(f"fc={rng.uniform(0.2, 0.8):.3g}")
    return f".model dm D({' '.join(values)})"


def clipper(rng: Generator, deck: Deck, capacitance: bool = False) -> None:
    """Diodes at nodes without capacitors, with or without a filter behind."""
    stop, r = decades(rng, 1e-7, 1e-1), decades(rng, 100, 1e5)
    deck.add(f"V1 in 0 {source(rng, stop)}")
    deck.add(f"R1 in a {r:.5g}")
    level = "0"
    if rng.random() < 0.5:
        level = "lev"
        deck.add(f"V2 lev 0 {rng.uniform(-2, 2):.3g}")
    deck.add(f"D1 a {level} dm")
    if rng.random() < 0.6:
        deck.add("D2 0 a dm")
    if rng.random() < 0.5:
        deck.add(f"R2 a b {r * decades(rng, 1, 30):.5g}")
        deck.add(f"C2 b 0 {stop / r * decades(rng, 0.003, 0.3):.5g}")
    if rng.random() < 0.4:
        deck.add(f"R3 a 0 {r * decades(rng, 1, 100):.5g}")
    deck.add(diode_model(rng, capacitance, stop, r))
    _time(rng, deck, stop)


def rectifier(rng: Generator, deck: Deck, capacitance: bool = False) -> None:
    stop, r = decades(rng, 1e-6, 1e-1), decades(rng, 10, 1e4)
    shape = source(rng, stop, -8, 8, "ssp")
    kind = str(rng.choice(["half", "bridge", "doubler", "peak"]))
    c = stop / r * decades(rng, 0.02, 2)
    uic = rng.random() < 0.3
    ic = f" IC={rng.uniform(0, 3):.3g}" if uic else ""
    if kind == "bridge":
        deck.add(f"V1 p q {shape}")
        deck.add(f"Rs q 0 {r * 1e3:.5g}")
        deck.add("D1 p out dm\nD2 q out dm\nD3 0 p dm\nD4 0 q dm")
        deck.add(f"C1 out 0 {c:.5g}{ic}\nR1 out 0 {r:.5g}")
    elif kind == "doubler":
        deck.add(f"V1 in 0 {shape}\nRs in p {r / 100:.5g}\nC1 p m {c / 5:.5g}\nD1 0 m dm\nD2 m out dm")
        deck.add(f"C2 out 0 {c / 5:.5g}\nR1 out 0 {r * 5:.5g}")
        uic = False
    else:
        deck.add(f"V1 in 0 {shape}\nRs in a {r / 50:.5g}\nD1 a out dm\nC1 out 0 {c:.5g}{ic}")
        deck.add(f"R1 out 0 {r * (100 if kind == 'peak' else 1):.5g}")
    deck.add(diode_model(rng, capacitance, stop, r))
    _time(rng, deck, stop, uic)


def state_node(rng: Generator, deck: Deck) -> None:
    """States of capacitors that behavioural sources drive, with a large leak, or with none."""
    tau = decades(rng, 1e-6, 1.0)
    stop = tau * rng.uniform(0.5, 6)
    c = decades(rng, 1e-9, 1e-3)
    g = c / tau
    deck.add(f"V1 in 0 {source(rng, stop, -2, 2)}\nRin in 0 1k")
    law = str(
        rng.choice(
            [
                "{g}*(0.5*tanh(2*V(in))-V(s))",
                "{g}*(V(in)-V(s))",
                "{g}*(V(in)-V(s)*V(s)*V(s))",
                "{g}*V(s)*(1-V(s))+{g}*0.1*V(in)",
                "{g}*sin(V(in))",
                "{g}*(1/(1+exp(-8*V(in)))-V(s))",
                "{g}*tanh(V(in)-V(s))*max(0,1-abs(V(s)))",
                "{g}*0.3*V(in)",
            ]
        )
    ).replace("{g}", f"{g:.5g}")
    leak = bool(rng.random() < 0.5) or "V(s)" not in law
    ic = f"{rng.uniform(0.05, 0.9):.4g}"
    how = str(rng.choice(["ic", "uic ic", "uic IC", "uic IC"]))
    deck.add(f"C1 s 0 {c:.5g}" + (f" IC={ic}" if "IC" in how else ""))
    deck.add(f"B1 0 s I={{{law}}}" if rng.random() < 0.5 else f"G1 0 s value={{{law}}}")
    if leak or rng.random() < 0.3:
        deck.add("R1 s 0 1e12" if rng.random() < 0.5 else f"R1 s 0 {1e6 / g:.5g}")
    if rng.random() < 0.5:
        deck.add("B2 y 0 V={V(s)*V(in)+0.1}\nR2 y 0 1k")
    if rng.random() < 0.3:
        deck.add(f"R5 s z {3 / g:.5g}\nC5 z 0 {c / 3:.5g}")
    if "ic" in how.split():
        deck.add(f".ic V(s)={ic}")
    _time(rng, deck, stop, "uic" in how)


def memristor(rng: Generator, deck: Deck) -> None:
    """A state between 0 and 1 that sets a resistance; driven by a waveform through a resistor."""
    stop = decades(rng, 1e-6, 1.0)
    r_on, ratio = decades(rng, 100, 1e4), decades(rng, 5, 200)
    rate = rng.uniform(2, 20) / stop
    deck.add(f"V1 in 0 {source(rng, stop, -2, 2)}\nR1 in a {r_on * decades(rng, 0.1, 5):.5g}")
    deck.add(f"B1 a 0 I={{V(a)/{r_on:.5g}*(V(x)+{1 / ratio:.4g}*(1-V(x)))}}")
    deck.add(f"C1 x 0 1u\nB2 0 x I={{{rate * 1e-6:.5g}*sinh(V(a)/0.8)*(1-(2*V(x)-1)^2)}}")
    if rng.random() < 0.7:
        deck.add("R2 x 0 1e12")
    deck.add(f".ic V(x)={rng.uniform(0.1, 0.9):.3g}")
    _time(rng, deck, stop, bool(rng.random() < 0.5))


def opamp(rng: Generator, deck: Deck) -> None:
    """An amplifier of large gain with a pole of its own, or none; resistors, a capacitor and diodes around."""
    stop, r = decades(rng, 1e-5, 1e-1), decades(rng, 1e3, 1e5)
    gain, kind = decades(rng, 1e2, 1e6), str(rng.choice(["integrator", "inverting", "limiter", "follower"]))
    deck.add(f"V1 in 0 {source(rng, stop, -2, 2)}")
    if kind == "follower":
        plus, minus = "in", "out"
    else:
        plus, minus = "0", "m"
        deck.add(f"R1 in m {r:.5g}")
        back = r * rng.uniform(0.5, 5)
        if kind == "integrator":
            deck.add(f"C1 m out {stop / r * rng.uniform(0.1, 1):.5g}\nR2 m out {r * 100:.5g}")
        else:
            deck.add(f"R2 m out {back:.5g}")
        if kind == "limiter":
            deck.add("D1 m out dm\nD2 out m dm\n.model dm D(is=1e-14)")
    if rng.random() < 0.6:  # one pole: gain-bandwidth of many over the end
        pole = stop * decades(rng, 1e-4, 1e-2) * gain
        deck.add(f"G1 0 p {plus} {minus} {gain * 1e-6:.6g}\nRp p 0 1e6\nCp p 0 {pole * 1e-6:.5g}\nE1 oi 0 p 0 1")
    else:
        deck.add(f"E1 oi 0 {plus} {minus} {gain:.6g}")
    deck.add(f"Ro oi out {decades(rng, 10, 200):.4g}\nRl out 0 {r:.5g}")
    if rng.random() < 0.3:
        deck.add(f"Cl out 0 {stop / r * 1e-3:.5g}")
    _time(rng, deck, stop)


def oscillator(rng: Generator, deck: Deck) -> None:
    """Circuits that run freely: van der Pol, FitzHugh and Nagumo, a ring of saturating stages, LC with a cubic."""
    tau = decades(rng, 1e-8, 1e-2)
    kind = str(rng.choice(["vdp", "fhn", "ring", "lc"]))
    deck.drift = 1e-2
    stop = tau * rng.uniform(10, 40)
    c = 1e-9
    g = c / tau
    if kind == "vdp":
        mu = rng.uniform(0.3, 3)
        deck.add(f"C1 x 0 {c:.4g}\nC2 y 0 {c:.4g}\nB1 0 x I={{{g:.5g}*V(y)}}")
        deck.add(f"B2 0 y I={{{g:.5g}*({mu:.4g}*(1-V(x)*V(x))*V(y)-V(x))}}\nR1 x 0 1e12\nR2 y 0 1e12")
        deck.add(f".ic V(x)={rng.uniform(-2, 2):.3g} V(y)={rng.uniform(-2, 2):.3g}")
    elif kind == "fhn":
        drive = rng.uniform(0.3, 0.6)
        deck.add(f"C1 x 0 {c:.4g}\nC2 y 0 {c * 12.5:.4g}\nI1 0 x {drive * g:.5g}")
        deck.add(f"B1 0 x I={{{g:.5g}*(V(x)-V(x)*V(x)*V(x)/3-V(y))}}\nB2 0 y I={{{g:.5g}*(V(x)+0.7-0.8*V(y))}}")
        deck.add(f"R1 x 0 1e12\nR2 y 0 1e12\n.ic V(x)={rng.uniform(-1, 1):.3g} V(y)={rng.uniform(-0.5, 0.5):.3g}")
        stop *= 3
    elif kind == "ring":
        gain = rng.uniform(2.5, 8)
        for k in range(3):
            before = (k - 1) % 3
            deck.add(f"B{k} 0 x{k} I={{-{g:.5g}*tanh({gain:.4g}*V(x{before}))}}\nR{k} x{k} 0 {1 / g:.5g}")
            deck.add(f"C{k} x{k} 0 {c * rng.uniform(0.7, 1.4):.4g}")
        deck.add(f".ic V(x0)={rng.uniform(0.05, 0.5):.3g} V(x1)={rng.uniform(-0.5, 0):.3g} V(x2)=0")
    else:
        deck.add(f"L1 x 0 {tau * tau / c:.5g}\nC1 x 0 {c:.4g}\nR1 x 0 {30 / g:.5g}")
        deck.add(f"B1 x 0 I={{{g:.5g}*({rng.uniform(0.05, 0.2):.3g}*V(x)^3-{rng.uniform(0.2, 0.6):.3g}*V(x))}}".replace(
            "V(x)^3", "V(x)*V(x)*V(x)"))  # fmt: skip
        deck.add(f".ic V(x)={rng.uniform(0.1, 1.0):.3g}")
    _time(rng, deck, stop, bool(rng.random() < 0.7), 100)


def switched(rng: Generator, deck: Deck) -> None:
    """Switches driven by a source: choppers, samplers, with or without hysteresis."""
    stop, r = decades(rng, 1e-6, 1e-2), decades(rng, 100, 1e4)
    c = stop / r * decades(rng, 0.02, 1)
    vt, vh = rng.uniform(-0.5, 1.0), rng.uniform(0.05, 0.4) * (rng.random() < 0.6)
    deck.add(f"V1 in 0 {source(rng, stop)}\nVc ctl 0 {source(rng, stop, -3, 3, 'ssp')}\nRc ctl 0 1k")
    if rng.random() < 0.5:
        deck.add(f"R1 in a {r:.5g}\nS1 a b ctl 0 sw\nC1 b 0 {c:.5g}\nR2 b 0 {r * 20:.5g}")
    else:
        deck.add(f"R1 in a {r:.5g}\nC1 a 0 {c:.5g}\nS1 a b ctl 0 sw\nR2 b 0 {r:.5g}")
    if rng.random() < 0.4:
        deck.add(f"S2 b q 0 ctl sw\nR5 q 0 {r * 3:.5g}")
    deck.add(f".model sw SW(vt={vt:.4g} vh={vh:.4g} ron={r * 1e-2:.5g} roff={r * 1e5:.5g})")
    _time(rng, deck, stop)


def relaxation(rng: Generator, deck: Deck) -> None:
    """A switch with hysteresis that empties the capacitor by which it is driven."""
    r, c = decades(rng, 1e2, 1e5), decades(rng, 1e-10, 1e-6)
    stop = r * c * rng.uniform(2, 12)
    deck.drift = 5e-3
    deck.add(f"V1 in 0 {rng.uniform(4, 8):.4g}\nR1 in a {r:.5g}\nC1 a 0 {c:.5g} IC=0\nS1 a b a 0 sw")
    deck.add(f"R2 b 0 {r * decades(rng, 0.01, 0.3):.5g}")
    vt = rng.uniform(1.2, 2.5)
    deck.add(f".model sw SW(vt={vt:.4g} vh={rng.uniform(0.2, 0.9):.4g} ron={r * 1e-3:.5g} roff={r * 1e6:.5g})")
    if rng.random() < 0.5:
        deck.add(f"R3 a d {r:.5g}\nC3 d 0 {c / 4:.5g}")
    _time(rng, deck, stop, True, 100)


def mosfet_model(rng: Generator, name: str, capacitance: bool, c: float) -> str:
    sign = 1 if name == "nm" else -1
    kind = "NMOS" if sign > 0 else "PMOS"
    values = [f"vto={sign * rng.uniform(0.3, 1.0):.3g}", f"kp={decades(rng, 2e-5, 2e-4):.3g}"]
    if rng.random() < 0.5:
        values += [f"lambda={rng.uniform(0.005, 0.08):.3g}", f"gamma={rng.uniform(0.1, 0.6):.3g}"]
    if capacitance:
        per = c / 20e-6
        choice = rng.random()
        if choice < 0.7:
            values += [f"cgso={per * rng.uniform(0.02, 0.3):.3g}", f"cgdo={per * rng.uniform(0.02, 0.3):.3g}"]
        if choice > 0.4:
            values += [f"cbd={c * rng.uniform(0.02, 0.3):.3g}", f"cbs={c * rng.uniform(0.02, 0.3):.3g}"]
        if rng.random() < 0.5:
            values.append(f"tox={decades(rng, 1e-8, 1e-7):.3g}")
    return f".model {name} {kind}(level=1 {' '.join(values)})"


def mosfets(rng: Generator, deck: Deck, capacitance: bool = False) -> None:
    kind = str(rng.choice(["inverter", "follower", "gate", "ring", "load"]))
    vdd, c = rng.uniform(2.5, 5), decades(rng, 1e-14, 1e-11)
    tau = c * 5e4
    stop = tau * rng.uniform(3, 30)
    deck.add(f"Vdd vdd 0 {vdd:.4g}")
    shape = source(rng, stop, 0, vdd, "ppsw")
    size = "W=20u L=2u"
    uic = False
    if kind == "inverter":
        deck.add(f"V1 in 0 {shape}\nM1 out in 0 0 nm {size}\nM2 out in vdd vdd pm W=40u L=2u\nC1 out 0 {c:.4g}")
        if rng.random() < 0.5:
            deck.add(f"M3 o2 out 0 0 nm {size}\nM4 o2 out vdd vdd pm W=40u L=2u\nC2 o2 0 {c:.4g}")
    elif kind == "follower":
        deck.add(f"V1 in 0 {shape}\nM1 vdd in out 0 nm {size}\nR1 out 0 {decades(rng, 1e3, 1e5):.4g}")
        if rng.random() < 0.7:
            deck.add(f"C1 out 0 {c:.4g}")
    elif kind == "gate":
        deck.add(
            f"V1 in 0 {shape}\nV2 g 0 {source(rng, stop, 0, vdd, 'pp')}\nM1 in g out 0 nm {size}\nC1 out 0 {c:.4g}"
        )
        deck.add(f"R1 out 0 {tau / c * 20:.4g}")
    elif kind == "load":
        deck.add(f"V1 in 0 {shape}\nR1 vdd out {decades(rng, 2e3, 1e5):.4g}\nM1 out in 0 0 nm {size}")
        if rng.random() < 0.5:
            deck.add(f"C1 out 0 {c:.4g}")
        if rng.random() < 0.4:
            deck.add(f"R2 out b {tau / c:.4g}\nC2 b 0 {c:.4g}")
    else:
        deck.drift = 1e-2
        uic = bool(rng.random() < 0.7)
        for k in range(3):
            deck.add(f"M{k} x{(k + 1) % 3} x{k} 0 0 nm {size}\nMp{k} x{(k + 1) % 3} x{k} vdd vdd pm W=40u L=2u")
            deck.add(f"C{k} x{k} 0 {c:.4g}")
        deck.add(f".ic V(x0)=0 V(x1)={vdd:.4g} V(x2)={rng.uniform(0, 1):.3g}")
        stop /= 3
    for name in ("nm", "pm"):
        deck.add(mosfet_model(rng, name, capacitance, c))
    _time(rng, deck, stop, uic)


def algebraic(rng: Generator, deck: Deck) -> None:
    """Behavioural voltages and currents in nodes without memory, and one RC that listens."""
    stop, r = decades(rng, 1e-6, 1e-1), decades(rng, 1e3, 1e5)
    deck.add(f"V1 a 0 {source(rng, stop, -2, 2)}\nV2 b 0 {source(rng, stop, -2, 2)}")
    law = str(
        rng.choice(
            ["V(a)*V(b)", "abs(V(a))-V(b)", "max(V(a),V(b))", "tanh(20*V(a))", "sqrt(1+V(a)*V(a))", "V(a)/(2.5+V(b))",
             "min(1,max(-1,3*V(a)))", "exp(-V(a)*V(a))*V(b)", "V(a)^2-V(b)", "atan(5*V(a,b))", "1/(1+exp(-10*V(a,b)))"]
        )
    )  # fmt: skip
    deck.add(f"B1 y 0 V={{{law}}}" if rng.random() < 0.5 else f"E1 y 0 value={{{law}}}")
    deck.add(f"R1 y z {r:.5g}")
    deck.add(f"C1 z 0 {stop / r * decades(rng, 0.003, 0.5):.5g}")
    if rng.random() < 0.5:
        deck.add(f"R3 z q {r:.5g}\nB2 q 0 I={{{1 / r:.5g}*0.3*sinh(V(q)/0.3)}}")
    if rng.random() < 0.4:
        deck.add(f"B3 w 0 V={{tanh(V(w2))+V(z)}}\nR5 w w2 {r:.5g}\nR6 w2 0 {r / 3:.5g}")
    _time(rng, deck, stop)


def mixed(rng: Generator, deck: Deck, capacitance: bool = False) -> None:
    """A random tree of resistors with anything hung on it."""
    n, r = int(rng.integers(3, 9)), decades(rng, 100, 1e5)
    stop = decades(rng, 1e-7, 1e-2)
    c = stop / r
    deck.add(f"V1 n0 0 {source(rng, stop)}")
    names = ["0", "n0"]
    for k in range(1, n):
        deck.add(f"R{k} n{k} {rng.choice(names[1:] if k == 1 else names)} {r * decades(rng, 0.1, 10):.5g}")
        names.append(f"n{k}")
    diodes = False
    for k in range(int(rng.integers(2, 7))):
        a, b = (str(x) for x in rng.choice([*names[2:], "0"], 2, replace=False))
        what = str(rng.choice(list("CCCDDLBGI")))
        if what == "C":
            deck.add(f"C{k} {a} {b} {c * decades(rng, 0.003, 1):.5g}")
        elif what == "D":
            diodes = True
            deck.add(f"D{k} {a} {b} dm")
        elif what == "L":
            deck.add(
                f"L{k} {a} p{k} {r * stop * decades(rng, 0.003, 0.3):.5g}\nRl{k} p{k} {b} {r * decades(rng, 0.1, 3):.5g}"
            )
        elif what == "B":
            deck.add(f"B{k} {a} {b} I={{{1 / r:.5g}*tanh(V({a},{b})/{rng.uniform(0.1, 1):.3g})}}".replace(",0)", ")")
                     if a != "0" else f"R9{k} {b} 0 {r:.5g}")  # fmt: skip
        elif what == "G":
            deck.add(f"G{k} {a} {b} n0 0 {rng.uniform(-1, 1) / r:.4g}")
        else:
            deck.add(f"I{k} {a} {b} {source(rng, stop, -1 / r, 1 / r)}")
    if diodes:
        deck.add(diode_model(rng, capacitance, stop, r))
    _time(rng, deck, stop)


def _with_capacitance(maker: Callable[..., None]) -> Maker:
    return lambda rng, deck: maker(rng, deck, True)


KINDS: dict[str, Maker] = {
    "rc ladder": rc_ladder,
    "rlc": rlc,
    "clipper": clipper,
    "rectifier": rectifier,
    "state node": state_node,
    "memristor": memristor,
    "op-amp": opamp,
    "oscillator": oscillator,
    "switch": switched,
    "relaxation": relaxation,
    "mosfet": mosfets,
    "algebraic": algebraic,
    "mixed": mixed,
}
STORING: dict[str, Maker] = {
    f"{name} cjo": _with_capacitance(maker)
    for name, maker in (("clipper", clipper), ("rectifier", rectifier), ("mosfet", mosfets), ("mixed", mixed))
}
"""Kinds whose devices have capacitances of their own."""
STORING["rc ladder exp"] = lambda rng, deck: rc_ladder(rng, deck, "x")


def sample(seed: int, number: int, kinds: tuple[str, ...]) -> Deck:
    rng = np.random.default_rng([seed, number])
    every = {**KINDS, **STORING}
    names = kinds or tuple(every)
    deck = Deck(names[number % len(names)])
    every[deck.kind](rng, deck)
    deck.lines = [line for lines in deck.lines for line in lines.split("\n")]
    return deck
