"""Random operating points as netlists, of kinds that ``census`` lacks: one function for each kind of circuit."""

# ruff: noqa: E501  (a card of a netlist stays on one line)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from census_tools import Deck, Generator, decades

Maker = Callable[[Generator, Deck], None]


def _diode(rng: Generator, name: str = "dm", *, bv: bool = False) -> str:
    values = [f"is={decades(rng, 1e-18, 1e-7):.4g}", f"n={rng.uniform(0.9, 2.2):.3g}"]
    if rng.random() < 0.3:
        values.append(f"rs={decades(rng, 0.01, 100):.3g}")
    if bv:
        values.append(f"bv={rng.uniform(2, 12):.3g}")
        if rng.random() < 0.5:
            values.append(f"ibv={decades(rng, 1e-6, 1e-3):.3g}")
    return f".model {name} D({' '.join(values)})"


def diode_string(rng: Generator, deck: Deck) -> None:
    count = int(rng.integers(2, 25))
    size = rng.choice([-1, 1]) * decades(rng, 0.05, 200)
    deck.add(f"V1 in 0 {size:.6g}\nR1 in a0 {decades(rng, 1e-2, 1e9):.4g}")
    models = int(rng.integers(1, 4))
    for k in range(models):
        deck.add(_diode(rng, f"dm{k}"))
    turned = rng.random() < 0.3
    for k in range(count):
        a, b = f"a{k}", f"a{k + 1}" if k < count - 1 else "0"
        if turned and rng.random() < 0.2:
            a, b = b, a
        middle = f"D{k} {a} {b} dm{rng.integers(models)}"
        if rng.random() < 0.15:
            middle = f"D{k} {a} c{k} dm{rng.integers(models)}\nR9{k} c{k} {b} {decades(rng, 1e-3, 1e8):.4g}"
        deck.add(middle)
        if rng.random() < 0.1:
            deck.add(f"R8{k} {a} {b} {decades(rng, 1e3, 1e10):.4g}")


def diode_bridge(rng: Generator, deck: Deck) -> None:
    deck.add(f"V1 p {'q' if rng.random() < 0.5 else '0'} {rng.uniform(-30, 30):.5g}")
    deck.add(f"Rq q 0 {decades(rng, 1, 1e9):.4g}")
    names = ["p", "q", *(f"b{k}" for k in range(int(rng.integers(2, 8))))]
    for k, name in enumerate(names[2:]):
        deck.add(
            f"R{k} {name} {rng.choice([n for n in ['0', *names] if n != name])} {decades(rng, 1e-1, 1e8):.4g}"
        )
    deck.add(_diode(rng, "dm0"))
    deck.add(_diode(rng, "dm1"))
    for k in range(int(rng.integers(3, 14))):
        a, b = (str(x) for x in rng.choice(["0", *names], 2, replace=False))
        deck.add(f"D{k} {a} {b} dm{rng.integers(2)}")


def breakdown(rng: Generator, deck: Deck) -> None:
    deck.add(f"V1 in 0 {rng.uniform(-30, 30):.5g}\nR1 in a {decades(rng, 1, 1e7):.4g}\nD1 a b dm\n")
    deck.add(f"R2 b 0 {decades(rng, 1, 1e6):.4g}\nD2 b 0 dz" if rng.random() < 0.5 else "D2 0 b dz\nR2 b 0 1e6")
    deck.add(_diode(rng, "dm", bv=bool(rng.random() < 0.5)))
    deck.add(_diode(rng, "dz", bv=True))


def opamp(rng: Generator, deck: Deck) -> None:
    """Amplifiers by E sources of gain 1e2 to 1e9, diodes in and around the loop, one stage to three."""
    deck.add(_diode(rng, "dm"))
    before = "in"
    deck.add(f"V1 in 0 {rng.uniform(-3, 3):.5g}\nV2 ref 0 {rng.uniform(-1.5, 1.5):.5g}")
    for k in range(int(rng.integers(1, 4))):
        gain, r = decades(rng, 1e2, 1e9), decades(rng, 1e2, 1e6)
        m, o, oi = f"m{k}", f"o{k}", f"i{k}"
        plus = str(rng.choice(["0", "ref"]))
        kind = str(rng.choice(["inverting", "log", "limiter", "rectifier", "follower", "diode follower", "clamp"]))
        if kind == "follower":
            deck.add(f"E{k} {oi} 0 {before} {o} {gain:.5g}")
        elif kind == "diode follower":
            deck.add(f"E{k} {oi} 0 {before} {o} {gain:.5g}\nD{k} {oi} {o} dm\nRp{k} {o} 0 {r:.4g}")
        else:
            deck.add(f"R{k} {before} {m} {r:.4g}\nE{k} {oi} 0 {plus} {m} {gain:.5g}")
            back = r * decades(rng, 0.2, 20)
            if kind != "log":
                deck.add(f"Rf{k} {m} {o} {back:.4g}")
            if kind in ("log", "limiter"):
                deck.add(f"D{k} {m} {o} dm")
                if kind == "limiter" or rng.random() < 0.7:
                    deck.add(f"Db{k} {o} {m} dm")
            if kind == "log":
                deck.add(f"Rf{k} {m} {o} {back * 1e3:.4g}")
            if kind == "rectifier":
                deck.add(f"D{k} {oi} {o} dm\nDb{k} {m} {oi} dm\nRl{k} {o} 0 {r:.4g}")
            if kind == "clamp":
                deck.add(f"D{k} {o} c{k} dm\nRc{k} c{k} 0 {r / 3:.4g}")
        if kind not in ("rectifier", "diode follower"):
            deck.add(f"Ro{k} {oi} {o} {decades(rng, 1, 1e3):.4g}")
        deck.add(f"Rx{k} {o} 0 {r * 10:.4g}")
        before = o


def latch(rng: Generator, deck: Deck) -> None:
    """Stages that drive each other, by MOSFETs or by saturating currents: several points, some of them saddles."""
    stages = 2 if rng.random() < 0.8 else int(rng.integers(3, 7))
    even = rng.random() < 0.5  # symmetric circuits have their saddle where Newton starts
    if rng.random() < 0.5:
        vdd = rng.uniform(1.5, 5)
        deck.add(f"Vdd vdd 0 {vdd:.4g}\n.model nm NMOS(level=1 vto={rng.uniform(0.3, 1):.3g} kp=100u)")
        deck.add(f".model pm PMOS(level=1 vto=-{rng.uniform(0.3, 1):.3g} kp=50u)")
        load = rng.random() < 0.4
        r = decades(rng, 2e3, 2e5)
        for k in range(stages):
            w = 10.0 if even else rng.uniform(5, 40)
            here, before = f"x{k}", f"x{(k - 1) % stages}"
            deck.add(f"M{k} {here} {before} 0 0 nm W={w:.4g}u L=1u")
            deck.add(
                f"R{k} vdd {here} {r:.4g}" if load else f"Mp{k} {here} {before} vdd vdd pm W={2 * w:.4g}u L=1u"
            )
            if rng.random() < 0.2:
                deck.add(f"Rl{k} {here} 0 {decades(rng, 1e4, 1e8):.4g}")
    else:
        sign = 1 if stages % 2 else rng.choice([-1, 1])
        gain, slope = rng.uniform(0.5, 5), rng.uniform(0.5, 5)
        for k in range(stages):
            g, s = (gain, slope) if even else (gain * rng.uniform(0.7, 1.4), slope * rng.uniform(0.7, 1.4))
            here, before = f"x{k}", f"x{(k - 1) % stages}"
            deck.add(f"B{k} 0 {here} I={{{sign * g * 1e-4:.5g}*tanh({s:.4g}*V({before}))}}\nR{k} {here} 0 1e4")
        if rng.random() < 0.6:
            deck.add(f"I1 0 x0 {rng.uniform(-1, 1) * 10.0 ** rng.uniform(-9, -4):.4g}")


def ladder(rng: Generator, deck: Deck) -> None:
    """Resistors over 12 decades, with a few diodes, current sources and controlled ones."""
    count, names = int(rng.integers(5, 40)), ["in"]
    deck.add(f"V1 in 0 {rng.uniform(-10, 10):.5g}")
    for k in range(count):
        node = f"a{k}"
        near = names[-1] if rng.random() < 0.7 else str(rng.choice(names))
        deck.add(f"R{k} {near} {node} {decades(rng, 1e-3, 1e9):.4g}")
        if rng.random() < 0.5:
            deck.add(f"Rs{k} {node} 0 {decades(rng, 1e-3, 1e9):.4g}")
        names.append(node)
    deck.add(f"Rz {names[-1]} 0 {decades(rng, 1e-3, 1e9):.4g}")
    if rng.random() < 0.6:
        deck.add(_diode(rng))
        for k in range(int(rng.integers(1, 5))):
            a, b = (str(x) for x in rng.choice(["0", *names[1:]], 2, replace=False))
            deck.add(f"D{k} {a} {b} dm")
    for k in range(int(rng.integers(0, 3))):
        deck.add(f"I{k} 0 {rng.choice(names[1:])} {rng.choice([-1, 1]) * decades(rng, 1e-12, 1e-2):.4g}")


def negative(rng: Generator, deck: Deck) -> None:
    """Negative resistance: G sources on their own terminals, and cubics with a load line of one to three crossings."""
    if rng.random() < 0.4:
        r = decades(rng, 1e2, 1e6)
        share = rng.uniform(0.1, 0.95) if rng.random() < 0.8 else rng.uniform(1.05, 3)
        deck.add(f"V1 in 0 {rng.uniform(-3, 3):.4g}\nR1 in a {r:.5g}\nG1 a 0 a 0 {-share / r:.5g}")
        if rng.random() < 0.5:
            deck.add(f"R2 a b {r:.4g}\nG2 b 0 b 0 {-rng.uniform(0.1, 0.4) / r:.5g}\nR3 b 0 {r * 2:.4g}")
        if rng.random() < 0.5:
            deck.add(f"D1 a 0 dm\nD2 0 a dm\n{_diode(rng)}")
    else:
        r, scale = decades(rng, 1e2, 1e6), rng.uniform(0.1, 2)
        depth = rng.uniform(0.3, 3)
        deck.add(f"V1 in 0 {rng.uniform(-3, 3) * (rng.random() < 0.8):.4g}\nR1 in a {r:.5g}")
        deck.add(f"B1 a 0 I={{{1 / r:.5g}*(V(a)*V(a)*V(a)/{scale * scale:.4g}-{depth:.4g}*V(a))}}")
        if rng.random() < 0.5:
            deck.add(
                f"R2 a b {r:.4g}\nB2 b 0 I={{{1 / r:.5g}*(V(b)*V(b)*V(b)/{scale * scale:.4g}-{depth:.4g}*V(b))}}"
            )


def behavioural(rng: Generator, deck: Deck) -> None:
    """Chains of expressions: sinh and tanh elements in series, sources of sources, exponentials that overflow."""
    kind = str(rng.choice(["series", "series", "sources", "sigmoid", "mesh"]))
    v = rng.uniform(-5, 5)
    deck.add(f"V1 n0 0 {v:.5g}")
    count = int(rng.integers(2, 10))
    if kind in ("series", "mesh"):
        for k in range(count):
            a, b = f"n{k}", f"n{k + 1}"
            d = f"V({a},{b})" if rng.random() < 0.5 else f"(V({a})-V({b}))"
            g, w = decades(rng, 1e-7, 1e-2), rng.uniform(0.1, 1)
            law = str(rng.choice([f"sinh({d}/{w:.3g})", f"{d}*{d}*{d}", f"(tanh({d}/{w:.3g})+0.01*{d})",
                                  f"{d}/(1+abs({d}))", f"atan({d}/{w:.3g})+{d}"]))  # fmt: skip
            deck.add(f"B{k} {a} {b} I={{{g:.4g}*({law})}}")
            if kind == "mesh" and rng.random() < 0.4:
                deck.add(f"Rm{k} {b} 0 {decades(rng, 1e2, 1e8):.4g}")
        if rng.random() < 0.8:
            deck.add(f"R1 n{count} 0 {decades(rng, 10, 1e7):.4g}")
        else:
            deck.add(f"B99 n{count} 0 I={{{decades(rng, 1e-6, 1e-3):.4g}*sinh(V(n{count})/0.3)}}")
    elif kind == "sources":
        for k in range(count):
            a, b = f"n{k}", f"n{k + 1}"
            law = str(rng.choice([f"tanh(3*V({a}))", f"V({a})*V({a})-0.5", f"exp(-V({a})*V({a}))", f"sqrt(abs(V({a}))+0.1)",
                                  f"0.5*V({a})+0.3*tanh(V({b}x))", f"max(V({a}),0.1)", f"1/(1+exp(-20*V({a})))",
                                  f"V({a})^3", f"pow(V({a}),2)", f"V({a})**3", f"ln(abs(V({a}))+1)"]))  # fmt: skip
            deck.add(f"B{k} {b} 0 V={{{law}}}\nR{k} {b} {b}x {decades(rng, 1e2, 1e6):.4g}\nRx{k} {b}x 0 1e4")
    else:
        r = decades(rng, 1e2, 1e5)
        steep = decades(rng, 10, 1e5)
        deck.add(f"R1 n0 a {r:.4g}\nV2 x 0 {rng.uniform(-2, 2):.4g}\nR2 x 0 1k")
        deck.add(f"B1 a 0 I={{V(a)*{0.1 / r:.4g}*(1+99/(1+exp(-{steep:.4g}*(V(x)-{rng.uniform(-1, 1):.3g}))))}}")
        if rng.random() < 0.5:
            deck.add(f"B2 y 0 V={{1/(1+exp(-{steep:.4g}*V(a)))}}\nR3 y 0 1k")


def switches(rng: Generator, deck: Deck) -> None:
    """Switches whose control lies at, beside or far from the threshold, by a source or by themselves."""
    vt, vh = float(f"{rng.uniform(-1, 2):.3g}"), float(f"{rng.uniform(0.05, 0.5) * (rng.random() < 0.5):.3g}")
    beside = float(rng.choice([0.0, 1e-9, -1e-9, 1e-6, -1e-6, 1e-3, -1e-3, 1.0, -1.0]))
    deck.add(f"Vc c 0 {vt + rng.choice([-1, 0, 1]) * vh + beside:.12g}\nRc c 0 1k")
    deck.add(f"V1 in 0 {rng.uniform(-5, 5):.4g}")
    r = decades(rng, 10, 1e5)
    deck.add(f"R1 in a {r:.4g}\nS1 a b c 0 sw\nR2 b 0 {r * decades(rng, 0.1, 10):.4g}")
    if rng.random() < 0.5:
        deck.add(f"R3 b d {r:.4g}\nS2 d 0 b 0 sw\nR4 d 0 {r * 10:.4g}")  # the second follows the first
    if rng.random() < 0.3:
        deck.add(f"R5 in e {r:.4g}\nS3 e 0 e f sw\nR6 e f {r:.4g}\nR7 f 0 {r:.4g}")  # controls itself
    on = f"ron={decades(rng, 1e-2, 10):.3g} roff={decades(rng, 1e6, 1e12):.3g}"
    deck.add(f".model sw SW(vt={vt:g} vh={vh:g} {on})")


def mosfets(rng: Generator, deck: Deck) -> None:
    """Mirrors, differential pairs, stacks and loads of MOSFETs."""
    vdd = rng.uniform(1.5, 10)
    deck.add(f"Vdd vdd 0 {vdd:.4g}")
    body = f"lambda={rng.uniform(0, 0.1):.3g} gamma={rng.uniform(0, 0.8):.3g}"
    deck.add(f".model nm NMOS(level=1 vto={rng.uniform(-0.5, 1):.3g} kp={decades(rng, 1e-5, 1e-3):.3g} {body})")
    deck.add(f".model pm PMOS(level=1 vto={-rng.uniform(-0.5, 1):.3g} kp={decades(rng, 1e-5, 1e-3):.3g} {body})")
    kind = str(rng.choice(["mirror", "pair", "stack", "follower", "mesh"]))
    r = decades(rng, 1e2, 1e6)
    if kind == "mirror":
        deck.add(f"R1 vdd a {r:.4g}\nM1 a a 0 0 nm\nM2 b a 0 0 nm W=300u\nR2 vdd b {r * rng.uniform(0.1, 3):.4g}")
    elif kind == "pair":
        deck.add(
            f"V1 g1 0 {rng.uniform(0, vdd):.4g}\nV2 g2 0 {rng.uniform(0, vdd):.4g}\nR1 vdd d1 {r:.4g}\nR2 vdd d2 {r:.4g}"
        )
        deck.add(f"M1 d1 g1 s 0 nm\nM2 d2 g2 s 0 nm\nR3 s 0 {r * rng.uniform(0.1, 2):.4g}")
    elif kind == "stack":
        count = int(rng.integers(2, 6))
        deck.add(f"R1 vdd a0 {r:.4g}")
        for k in range(count):
            below = f"a{k + 1}" if k < count - 1 else "0"
            deck.add(f"M{k} a{k} {f'a{k}' if rng.random() < 0.7 else 'vdd'} {below} 0 nm")
    elif kind == "follower":
        deck.add(
            f"V1 g 0 {rng.uniform(0, vdd):.4g}\nM1 vdd g s 0 nm\nR1 s 0 {r:.4g}\nM2 0 s t vdd pm\nR2 vdd t {r:.4g}"
        )
    else:
        names = ["0", "vdd", "a", "b", "c"]
        deck.add(f"R1 vdd a {r:.4g}\nR2 a b {r:.4g}\nR3 b c {r:.4g}\nR4 c 0 {r:.4g}")
        for k in range(int(rng.integers(2, 6))):
            d, g, s = (str(x) for x in rng.choice(names, 3))
            if d != s:
                kind = rng.choice(["nm", "pm"])
                deck.add(f"M{k} {d} {g} {s} {'0' if kind == 'nm' else 'vdd'} {kind}")


KINDS: dict[str, Maker] = {
    "diode string": diode_string,
    "diode bridge": diode_bridge,
    "op-amp": opamp,
    "latch": latch,
    "ladder": ladder,
    "negative resistance": negative,
    "behavioural": behavioural,
    "switch": switches,
    "mosfet": mosfets,
    "breakdown": breakdown,
}


def sample(seed: int, number: int, kind: str) -> Deck:
    rng = np.random.default_rng([seed, number])
    deck = Deck(kind)
    KINDS[kind](rng, deck)
    deck.lines = [line for lines in deck.lines for line in lines.split("\n") if line]
    return deck
