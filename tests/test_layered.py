"""The layered engine against Newton's method, the law of its kernel, and where it declines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DEVICES, decades

from analogep import networks
from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.devices import Capacitor, CurrentSource, Diode, IdealDiode, SinhResistor
from analogep.errors import ConvergenceError, InputError
from analogep.networks import deep_resistive, hopfield, uniform
from analogep.solve import (
    ConductanceNudge,
    CurrentNudge,
    NewtonOptions,
    Nudge,
    Solution,
    operating_point,
)
from analogep.solve.equations.system import System
from analogep.solve.layered import kernels, layered
from analogep.solve.layered.groups import layered_plan

Draw = Callable[[st.SearchStrategy[Any]], Any]

AGREEMENT = 1e-9  # [V], what the package promises between any two of its routes
G_LOW, G_HIGH = 1e-6, 1e-3  # [S], conductances of the random networks


# --- random layered networks ---------------------------------------------------------------------------


@st.composite
def junctions(draw: Draw) -> Diode:
    """Shockley diodes from a Schottky's to a small silicon one's."""
    return Diode(
        saturation_current=draw(decades(1e-16, 1e-7)),
        emission=draw(st.floats(0.9, 2.0)),
        series_resistance=draw(st.sampled_from([0.0, 0.0, 20.0, 1e4])),
        gmin=draw(st.sampled_from([0.0, 1e-15, 1e-10])),
        temperature=draw(st.floats(250.0, 380.0)),
    )


AMPLIFIERS = (None, None, (4.0, 0.25), (2.0, 2.0), (3.0, 1.0), (-2.0, -0.5))


@st.composite
def layered_networks(
    draw: Draw, *, smooth: bool = False, amplifiers: tuple[Any, ...] = AMPLIFIERS, most_nodes: int = 5
) -> Circuit:
    """Deep resistive networks of 1 to 4 layers with all that the builder offers, loads and skip crossbars.

    A skip crossbar starts at the inputs, or at the first hidden layer where no amplifier makes that
    irreversible, so that the energy is convex and there is one operating point.
    """
    depth = draw(st.integers(1, 4))
    layers = [draw(st.integers(1, most_nodes)) for _ in range(depth + 1)]
    amplifier = draw(st.sampled_from(amplifiers))
    ideal = not smooth and draw(st.booleans())
    hidden = draw(st.sampled_from(["split", "pair", "linear"]))
    # Two ideal diodes back to back without any threshold are a short, in which no law divides the current.
    threshold = draw(st.floats(0.01 if hidden == "pair" else 0.0, 0.3))
    circuit = deep_resistive(
        layers,
        hidden=hidden,
        diode=IdealDiode(threshold=threshold) if ideal else draw(junctions()),
        rails=draw(st.sampled_from([(0.0, 0.0), (-0.5, 0.5), (0.2, 0.2), (-0.3, 0.1), (0.4, 1.0)])),
        amplifier=amplifier,
        bias=draw(st.sampled_from(["none", "lines", "current"])),
        bias_voltages=draw(st.sampled_from([(1.0, -1.0), (0.5,), (1.0, 2.0, -0.3)])),
        paired_outputs=draw(st.booleans()),
        initial=uniform(G_LOW, G_HIGH),
        rng=np.random.default_rng(draw(st.integers(0, 2**16))),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    new = {
        block: rng.uniform(-1e-4, 1e-4, value.shape)
        for block, value in circuit.parameters.items()
        if block.endswith("amplitude")
    }
    circuit = circuit.with_parameters(new)
    banks, crossbars = list(circuit.banks), list(circuit.crossbars)
    free = sorted({int(n) for c in circuit.crossbars for n in c.columns})
    loaded = [n for n in free if draw(st.booleans())]
    if loaded:
        pins = np.stack([loaded, np.zeros(len(loaded), int)], axis=1)
        names = [f"load_{n}" for n in loaded]
        banks.append(resistor_bank("load", pins, rng.uniform(G_LOW, G_HIGH, len(loaded)), names, trainable=True))
    if depth > 1 and draw(st.booleans()):
        from_hidden = depth > 2 and amplifier in (None, (2.0, 2.0)) and draw(st.booleans())
        rows = circuit.crossbars[0].columns if from_hidden else circuit.input_nodes
        columns = circuit.crossbars[-1].columns
        g = rng.uniform(G_LOW, G_HIGH, (len(rows), len(columns)))
        crossbars.append(Crossbar("skip", rows, columns, g))
    return Circuit(circuit.nodes, tuple(banks), tuple(crossbars), circuit.input_nodes, circuit.output_pairs)


@st.composite
def every_law(draw: Draw) -> Circuit:
    """Layered networks with sinh resistors and diodes at any node, several at some, and skips between groups."""
    circuit = draw(layered_networks())
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    groups = [c.columns for c in circuit.crossbars if c.name != "skip"]
    free = np.concatenate(groups)
    banks, crossbars = list(circuit.banks), list(circuit.crossbars)
    for k in range(draw(st.integers(0, 3))):
        count = draw(st.integers(1, 6))
        sinh = draw(st.integers(0, 3)) > 0
        to_inputs = sinh and draw(st.booleans())
        others = rng.choice(circuit.input_nodes, count) if to_inputs else np.zeros(count, int)
        pins = np.stack([rng.choice(free, count), others], axis=1)[:, :: draw(st.sampled_from([1, -1]))]
        names = tuple(f"bend{k}_{e}" for e in range(count))
        if sinh:
            # Two inputs may hold 4 V across two of them, which behind amplifiers is 16 V.
            v0 = draw(decades(2.0, 10.0) if to_inputs else decades(0.02, 10.0))
            law = {"conductance": rng.uniform(0.0, G_HIGH, count), "v0": np.full(count, v0)}
            banks.append(Bank(f"bend{k}", SinhResistor, pins, law, names))
        else:
            values = {key: np.full(count, value) for key, value in draw(junctions()).values.items()}
            banks.append(Bank(f"bend{k}", Diode, pins, values, names))
    # Amplifiers other than these would leave a skip between hidden groups without an energy.
    if all(
        b.device.kind != "amplifier" or (b.values["voltage_gain"] == b.values["current_gain"]).all() for b in banks
    ):
        for a, rows in enumerate(groups):
            for columns in groups[a + 2 :]:
                if draw(st.booleans()):
                    g = rng.uniform(G_LOW, G_HIGH, (len(rows), len(columns)))
                    crossbars.append(Crossbar(f"over{len(crossbars)}", rows, columns, g))
    return Circuit(circuit.nodes, tuple(banks), tuple(crossbars), circuit.input_nodes, circuit.output_pairs)


def batch_for(circuit: Circuit, seed: int, size: int, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs (B, I) and targets (B, O) [V]."""
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-scale, scale, (size, len(circuit.input_nodes)))
    return inputs, rng.uniform(-0.5, 0.5, (size, len(circuit.output_pairs)))


def nudge_for(kind: str, circuit: Circuit, beta: float, targets: np.ndarray) -> Nudge | None:
    if kind == "none":
        return None
    if kind == "conductance":
        return ConductanceNudge(beta, targets)
    return CurrentNudge(beta * targets)


def assert_same(a: Solution, b: Solution) -> None:
    """Voltages agree, and branch currents by what ``AGREEMENT`` is behind the nodes' conductance."""
    np.testing.assert_allclose(a.voltages, b.voltages, rtol=0.0, atol=AGREEMENT)
    for key, current in a.branches.items():
        most = sum(c.conductance.sum() for c in a.circuit.crossbars) * 20.0  # 20: the amplifiers' A · B
        np.testing.assert_allclose(current, b.branches[key], rtol=0.0, atol=AGREEMENT * most)


# --- agreement with Newton -----------------------------------------------------------------------------


@given(
    circuit=layered_networks(),
    seed=st.integers(0, 2**16),
    size=st.sampled_from([1, 1, 4]),
    kind=st.sampled_from(["none", "conductance", "current"]),
    # A repelling nudge stays below the least conductance that can hold an output.
    beta=st.sampled_from([1e-4, 1e-6, -1e-8, -5e-7]),
)
def test_layered_agrees_with_newton(circuit: Circuit, seed: int, size: int, kind: str, beta: float) -> None:
    inputs, targets = batch_for(circuit, seed, size)
    nudge = nudge_for(kind, circuit, beta, targets)
    expected = operating_point(circuit, inputs, nudge, method="newton")
    found = operating_point(circuit, inputs, nudge, method="layered")
    assert found.engine.startswith("layered")
    assert found.converged.all()
    assert_same(found, expected)
    residual = System(circuit, inputs, nudge).evaluate(full_unknowns(found)).residual
    most = sum(c.conductance.sum() for c in circuit.crossbars) * 20.0
    assert np.abs(residual[:, : len(layered_unknowns(circuit))]).max(initial=0.0) <= AGREEMENT * most


@given(
    circuit=every_law(),
    seed=st.integers(0, 2**16),
    size=st.sampled_from([1, 3]),
    kind=st.sampled_from(["none", "conductance", "current"]),
)
@settings(max_examples=200)
def test_every_node_law_agrees_with_newton(circuit: Circuit, seed: int, size: int, kind: str) -> None:
    inputs, targets = batch_for(circuit, seed, size)
    nudge = nudge_for(kind, circuit, 1e-5, targets)
    found = operating_point(circuit, inputs, nudge, method="layered")
    assert found.engine == "layered"
    assert_same(found, operating_point(circuit, inputs, nudge, method="newton"))
    np.testing.assert_allclose(found.residual, missed(found, inputs, nudge), rtol=0.0, atol=1e-13)


def missed(found: Solution, inputs: np.ndarray, nudge: Nudge | None = None) -> np.ndarray:
    """Return the largest current (B,) [A] by which Kirchhoff's law is missed, from Newton's equations."""
    residual = System(found.circuit, inputs, nudge).evaluate(full_unknowns(found)).residual
    return np.abs(residual[:, : len(layered_unknowns(found.circuit))]).max(axis=1)


@given(circuit=every_law(), seed=st.integers(0, 2**16), sweeps=st.integers(1, 6))
@settings(max_examples=50)
def test_a_fixed_number_of_sweeps_says_what_it_misses(circuit: Circuit, seed: int, sweeps: int) -> None:
    inputs, _ = batch_for(circuit, seed, 3)
    found = operating_point(circuit, inputs, method="layered", sweeps=sweeps)
    assert (found.iterations == sweeps).all()
    np.testing.assert_allclose(found.residual, missed(found, inputs), rtol=1e-9, atol=1e-13)
    most = sum(c.conductance.sum() for c in circuit.crossbars) * 20.0
    away = np.abs(found.voltages - operating_point(circuit, inputs, method="newton").voltages).max(axis=1)
    assert (away[found.converged] <= AGREEMENT).all()
    assert (found.residual[found.converged] <= 1e-9 * most).all()
    # The next sweeps continue where these ended.
    twice = operating_point(circuit, inputs, method="layered", sweeps=sweeps, v0=found)
    whole = operating_point(circuit, inputs, method="layered", sweeps=2 * sweeps)
    np.testing.assert_allclose(twice.voltages, whole.voltages, rtol=0.0, atol=1e-12)


def ladder(*extra: Crossbar) -> Circuit:
    """x – a – b – c – ground, 0.1 mS each, every node a group of its own."""
    nodes = ("0", "x", "a", "b", "c")
    steps = [Crossbar(f"W{k}", np.array([k]), np.array([k + 1]), np.array([[1e-4]])) for k in (1, 2, 3)]
    load = resistor_bank("load", [[4, 0]], [1e-4], ["load"])
    return Circuit(nodes, (load,), (*steps, *extra), np.array([1]), np.array([[4, 0]]))


def test_sweeps_by_hand() -> None:
    """Each node takes the mean of its two neighbours in turn; a sweep later a misses (b − b before) / 10 kΩ."""
    for sweeps, a, b, c, lacks in ((1, 1 / 2, 1 / 4, 1 / 8, 1 / 4), (2, 5 / 8, 3 / 8, 3 / 16, 1 / 8)):
        found = operating_point(ladder(), [1.0], method="layered", sweeps=sweeps)
        np.testing.assert_allclose(found.voltages[0, 2:], [a, b, c], rtol=1e-15)
        assert found.residual == pytest.approx([lacks * 1e-4], rel=1e-12)
        assert not found.converged.any()
    settled = operating_point(ladder(), [1.0], sweeps=400)
    np.testing.assert_allclose(settled.voltages[0, 2:], [3 / 4, 1 / 2, 1 / 4], rtol=1e-14)
    assert settled.converged.all()


def test_a_tolerance_of_zero_is_no_fixed_number_of_sweeps() -> None:
    """Nothing moves by more than rounding at the end, however many sweeps that takes."""
    found = operating_point(ladder(), [1.0], method="layered", options=NewtonOptions(residual_tolerance=0.0))
    assert 10 < found.iterations[0] < layered.MAX_SWEEPS
    np.testing.assert_allclose(found.voltages[0, 2:], [3 / 4, 1 / 2, 1 / 4], rtol=1e-14)


def test_a_skip_between_groups_by_hand() -> None:
    """a is also tied to c: 3a = 1 + b + c, 2b = a + c, 3c = a + b give (5, 4, 3) / 8 V."""
    skip = Crossbar("skip", np.array([2]), np.array([4]), np.array([[1e-4]]))
    found = operating_point(ladder(skip), [1.0], method="layered")
    np.testing.assert_allclose(found.voltages[0, 2:], [5 / 8, 4 / 8, 3 / 8], rtol=1e-11)


def test_fixed_sweeps_are_refused_where_they_mean_nothing() -> None:
    for method in ("newton", "transient"):
        with pytest.raises(InputError, match=f"sweeps = 4 with method '{method}'"):
            operating_point(ladder(), [1.0], method=method, sweeps=4)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sweeps = -1"):
        operating_point(ladder(), [1.0], sweeps=-1)
    bridged = chain(resistor_bank("r", [[H0, H1]], [1e-4], ["bridge"]))
    with pytest.raises(InputError, match="bridge joins two unsolved nodes"):
        operating_point(bridged, [1.0, 0.5], sweeps=4)
    with pytest.raises(ConvergenceError, match="4 block steps lead nowhere in 1 of 1 samples"):
        operating_point(chain(), [1.0, 0.5], ConductanceNudge(-1.0, np.zeros((1, 1))), sweeps=4)


def test_a_sinh_resistor_by_hand() -> None:
    """1 V drops as v + v0 sinh(v/v0) over equal conductances: chosen v, either way round, gives the input."""
    v0 = 0.1
    for v in (-0.7, -0.01, 0.3, 2.0):
        for pins in ([2, 0], [0, 2]):
            law = {"conductance": np.array([1e-4]), "v0": np.array([v0])}
            bend = Bank("s", SinhResistor, [pins], law, ("s",))
            w = Crossbar("W", np.array([1]), np.array([2]), np.array([[1e-4]]))
            circuit = Circuit(("0", "x", "y"), (bend,), (w,), np.array([1]), np.array([[2, 0]]))
            found = operating_point(circuit, [v + v0 * np.sinh(v / v0)], method="layered")
            assert found.engine == "layered"
            np.testing.assert_allclose(found.outputs, [[v]], rtol=1e-12)


def layered_unknowns(circuit: Circuit) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *layered_plan(circuit).groups])


def full_unknowns(solution: Solution) -> np.ndarray:
    model = System(solution.circuit, solution.voltages[:, solution.circuit.input_nodes]).model
    x = model.reduce_voltages(solution.voltages)
    for b, start in model.plan.branch_start.items():
        flat = solution.branches[b].reshape(len(x), -1)
        x[:, start : start + flat.shape[1]] = flat
    return x


@given(circuit=layered_networks(), seed=st.integers(0, 2**16))
@settings(max_examples=20)
def test_warm_start_changes_the_route_not_the_result(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 3)
    nudge = ConductanceNudge(1e-6, targets)
    cold = operating_point(circuit, inputs, nudge, method="layered")
    free = operating_point(circuit, inputs, method="layered")
    warm = operating_point(circuit, inputs, nudge, method="layered", v0=free)
    assert_same(warm, cold)
    again = operating_point(circuit, inputs, nudge, method="layered", v0=warm)
    assert_same(again, warm)
    # From the solution: one sweep that moves nothing, or four to see how fast what is left shrinks.
    assert (again.iterations <= np.maximum(4, cold.iterations)).all()


@given(circuit=layered_networks(), seed=st.integers(0, 2**16))
@settings(max_examples=15)
def test_stalled_samples_are_handed_to_newton(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 3)
    nudge = ConductanceNudge(1e-5, targets)
    expected = operating_point(circuit, inputs, nudge, method="newton")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layered, "MAX_SWEEPS", 1)
        found = operating_point(circuit, inputs, nudge, method="layered")
    assert found.engine == "layered+newton"
    assert_same(found, expected)


def test_sweeps_in_a_circle_are_given_up() -> None:
    """h = tanh(x - 5 y), y = tanh(5 h): each block step turns the other's sign, and the two never meet."""
    circuit = hopfield([1, 1, 1], activation="tanh", coupling="both", leak=1.0, rng=np.random.default_rng(0))
    weights = {"W1.forward": [[1.0]], "W2.forward": [[5.0]], "W2.backward": [[-5.0]]}
    circuit = circuit.with_parameters({**circuit.parameters, **weights})
    found = operating_point(circuit, [[0.5]])
    assert found.engine == "layered+newton"
    assert found.trace[0].iterations < 300
    h, y = found.voltages[0, -2:]
    assert (h, y) == pytest.approx((np.tanh(0.5 - 5 * y), np.tanh(5 * h)), abs=1e-9)


def test_auto_takes_layered_where_it_can() -> None:
    circuit = deep_resistive([3, 4, 2], bias="none", initial=uniform(G_LOW, G_HIGH))
    inputs = np.array([[0.5, -0.2, 1.0]])
    assert operating_point(circuit, inputs).engine == "layered"
    assert operating_point(circuit, inputs, method="newton").engine == "newton"


@given(seed=st.integers(0, 2**16))
@settings(max_examples=10)
def test_order_of_a_crossbars_nodes_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = deep_resistive([3, 5, 4, 2], initial=uniform(G_LOW, G_HIGH), rng=rng)
    crossbars = []
    for c in circuit.crossbars:
        r, k = rng.permutation(len(c.rows)), rng.permutation(len(c.columns))
        crossbars.append(Crossbar(c.name, c.rows[r], c.columns[k], c.conductance[np.ix_(r, k)]))
    shuffled = Circuit(circuit.nodes, circuit.banks, tuple(crossbars), circuit.input_nodes, circuit.output_pairs)
    inputs, targets = batch_for(circuit, seed, 2)
    nudge = ConductanceNudge(1e-5, targets)
    assert_same(
        operating_point(shuffled, inputs, nudge, method="layered"),
        operating_point(circuit, inputs, nudge, method="layered"),
    )


def test_rows_and_columns_may_change_places() -> None:
    circuit = deep_resistive([3, 4, 2], initial=uniform(G_LOW, G_HIGH))
    turned = Circuit(
        circuit.nodes,
        circuit.banks,
        tuple(Crossbar(c.name, c.columns, c.rows, c.conductance.T) for c in circuit.crossbars),
        circuit.input_nodes,
        circuit.output_pairs,
    )
    inputs, _ = batch_for(circuit, 0, 3)
    assert_same(
        operating_point(turned, inputs, method="layered"), operating_point(circuit, inputs, method="layered")
    )


# --- the kernel's diode --------------------------------------------------------------------------------


@given(values=DEVICES["diode"], v=st.floats(-50.0, 50.0, allow_subnormal=False))
@settings(max_examples=300)
def test_kernel_diode_is_the_device(values: dict[str, float], v: float) -> None:
    device = Diode(**values)
    p = {key: np.array([value]) for key, value in values.items()}
    nvt = float(device.thermal_scale(p)[0])
    if device.series_resistance == 0.0 and v / nvt > 600.0:
        v = 600.0 * nvt  # beyond, currents of 1e242 A
    i, g = Diode.current(np.array([v]), p)
    i_kernel, g_kernel = kernels._diode(v, device.saturation_current, nvt, device.gmin, device.series_resistance)
    # The junction voltage is known to 1e-15 (|w| + nV_T), which the exponential turns into (1 + |w|/nV_T) of
    # that; expm1 is within a few rounding errors on top.
    relative = 1e-14 * (2.0 + min(abs(v) / nvt, 700.0))
    least = relative * device.saturation_current  # where i crosses zero
    assert i_kernel == pytest.approx(i[0], rel=relative, abs=least)
    assert g_kernel == pytest.approx(g[0], rel=relative)


@given(values=DEVICES["sinh_resistor"], x=st.floats(-700.0, 700.0, allow_subnormal=False))
def test_kernel_sinh_is_the_device(values: dict[str, float], x: float) -> None:
    p = {key: np.array([value]) for key, value in values.items()}
    v = x * values["v0"]
    expected = np.concatenate(SinhResistor.current(np.array([v]), p))
    np.testing.assert_allclose(kernels._sinh(v, values["conductance"], values["v0"]), expected, rtol=1e-12)


def test_kernel_diode_in_reverse_with_a_large_drop_over_its_resistance() -> None:
    """Newton's start left of the root overshot by Rs · Is, here 100 V, and needed hundreds of steps."""
    resistance, saturation = 1e8, 1e-6
    for v in (-1e-3, -0.5, -50.0, -200.0):
        device = Diode(saturation_current=saturation, series_resistance=resistance)
        i, g = device.current(np.array([v]), {k: np.array([x]) for k, x in device.values.items()})
        nvt = device.thermal_scale({k: np.array([x]) for k, x in device.values.items()})[0]
        assert kernels._diode(v, saturation, nvt, device.gmin, resistance) == pytest.approx(
            (i[0], g[0]), rel=1e-10
        )


@given(
    law=st.one_of(
        DEVICES["diode"].map(
            lambda p: [p["saturation_current"], 0.0257 * p["emission"], p["gmin"], p["series_resistance"], 0.0]
        ),
        DEVICES["sinh_resistor"].map(lambda p: [p["conductance"], p["v0"], 0.0, 0.0, 1.0]),
    ),
    x=st.floats(-30.0, 30.0),
    more=decades(1e-12, 1.0),
)
def test_where_an_element_draws_so_much_more_lies_no_further(law: list[float], x: float, more: float) -> None:
    """A Newton step that ends there cannot end short of the root."""
    table = np.array([1.0, 1.0, 1.0, *law])

    def current(u: float) -> float:
        if law[4]:
            return float(kernels._sinh(u, law[0], law[1])[0])
        return float(kernels._diode(u, *law[:4])[0])

    u = x * law[1]
    reach = kernels._reach(table, u, more)
    wanted = current(u) + more
    assert current(reach) >= wanted - 1e-9 * (abs(current(u)) + more)
    if law[4] or (law[2] == 0.0 and current(u) >= 0.0):  # and for these it lies there
        assert current(reach) == pytest.approx(wanted, rel=1e-9, abs=1e-9 * (abs(current(u)) + more))


# --- where it declines ---------------------------------------------------------------------------------


def chain(*extra: Bank, crossbars: tuple[Crossbar, ...] = ()) -> Circuit:
    """Two inputs, two hidden nodes, one output, and what a test adds."""
    base = deep_resistive([2, 2, 1], bias="none", hidden="linear", initial=uniform(G_LOW, G_HIGH))
    return Circuit(base.nodes, base.banks + extra, base.crossbars + crossbars, base.input_nodes, base.output_pairs)


H0, H1, Y = 3, 4, 5


def test_reasons_name_the_element() -> None:
    from analogep.devices import VCCS

    resistor = resistor_bank("r", [[H0, H1]], [1e-4], ["bridge"])
    assert layered_plan(chain(resistor)).reason == "resistor bridge joins two unsolved nodes"
    diode = Bank("d", Diode, [[H0, Y]], {k: np.array([v]) for k, v in Diode().values.items()}, ("clamp",))
    assert layered_plan(chain(diode)).reason == "diode clamp joins two unsolved nodes"
    source = Bank("g", VCCS, [[H0, 0, H1, 0]], {"transconductance": np.array([1e-5])}, ("gm1",))
    assert layered_plan(chain(source)).reason == "element gm1 is a vccs, of class VCCS"
    within = Crossbar("inner", np.array([H0]), np.array([H1]), np.array([[1e-4]]))
    assert layered_plan(chain(crossbars=(within,))).reason == "crossbar inner joins nodes of one group"


def test_method_layered_explains_itself_and_auto_goes_on() -> None:
    circuit = chain(resistor_bank("r", [[H0, H1]], [1e-4], ["bridge"]))
    with pytest.raises(InputError, match="bridge joins two unsolved nodes; use newton"):
        operating_point(circuit, [1.0, 0.5], method="layered")
    assert operating_point(circuit, [1.0, 0.5]).engine == "newton"


def test_nothing_to_solve() -> None:
    circuit = Circuit(
        ("0", "x"), (resistor_bank("r", [[1, 0]], [1e-3], ["r1"]),), (), np.array([1]), np.array([[1, 0]])
    )
    assert layered_plan(circuit).reason == "every node is fixed by inputs and sources"
    assert operating_point(circuit, [0.7]).outputs == 0.7


def test_a_nudge_of_another_kind_goes_to_newton() -> None:
    class Cubic:
        """i = k o³: a nudge whose slope depends on the output."""

        def evaluate(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return 1e-4 * outputs**3, 3e-4 * outputs**2

        def select(self, samples: np.ndarray) -> Cubic:
            return self

    circuit = chain()
    assert operating_point(circuit, [1.0, 0.5], Cubic()).engine == "newton"
    with pytest.raises(InputError, match="Cubic"):
        operating_point(circuit, [1.0, 0.5], Cubic(), method="layered")


def test_two_pairs_that_share_a_node_go_to_newton_when_nudged() -> None:
    """A block step knows one partner per node; it used to drop the other one and return a wrong solution."""
    base = networks.crossbar(np.random.default_rng(0).uniform(G_LOW, G_HIGH, (3, 3)), 1e-5)
    y = [base.node(name) for name in ("y0", "y1", "y2")]
    circuit = Circuit(
        base.nodes, base.banks, base.crossbars, base.input_nodes, np.array([[y[0], y[1]], [y[0], y[2]]])
    )
    nudge = ConductanceNudge(1e-4, np.array([[0.1, -0.3]]))
    assert operating_point(circuit, [1.0, 0.5, -1.0], nudge).engine == "newton"
    with pytest.raises(InputError, match="node y0 belongs to two nudged output pairs"):
        operating_point(circuit, [1.0, 0.5, -1.0], nudge, method="layered")
    assert operating_point(circuit, [1.0, 0.5, -1.0]).engine == "layered"
    frozen = CurrentNudge(np.array([[1e-5, 2e-5]]))
    assert_same(
        operating_point(circuit, [1.0, 0.5, -1.0], frozen, method="layered"),
        operating_point(circuit, [1.0, 0.5, -1.0], frozen, method="newton"),
    )


def test_capacitors_and_bias_currents_are_no_obstacle() -> None:
    capacitor = Bank("c", Capacitor, [[H0, H1]], {"value": np.array([1e-9])}, ("c1",))
    bias = Bank("i", CurrentSource, [[H0, H1]], {"amplitude": np.array([1e-5])}, ("i1",))
    circuit = chain(capacitor, bias)
    assert_same(
        operating_point(circuit, [1.0, 0.5], method="layered"),
        operating_point(circuit, [1.0, 0.5], method="newton"),
    )


# --- past bugs -----------------------------------------------------------------------------------------


def test_ideal_diodes_that_contradict_each_other_are_no_solution() -> None:
    """Clipping to an empty interval used to pass for an operating point."""
    circuit = deep_resistive(
        [2, 2, 1],
        hidden="pair",
        diode=IdealDiode(threshold=-0.1),
        bias="none",
        initial=uniform(G_LOW, G_HIGH),
    )
    for method in ("layered", "newton", "auto"):
        with pytest.raises(ConvergenceError, match="h1_0"):
            operating_point(circuit, [1.0, 0.5], method=method)


def test_small_moves_of_a_slow_mode_are_not_convergence() -> None:
    """Hidden and output nodes tied together and barely held creep to their place in 1e6 sweeps.

    Starting near, each sweep moves them by less than the tolerance, which used to pass for the end.
    """
    rng = np.random.default_rng(1)
    weights = {"W1": rng.uniform(1e-10, 2e-10, (2, 3)), "W2": rng.uniform(1e-4, 2e-4, (3, 2))}
    circuit = deep_resistive([2, 3, 2], hidden="linear", bias="none", initial=weights)
    free = operating_point(circuit, [1.0, 0.5], method="newton")
    for beta in (1e-13, 1e-14, 1e-15, 1e-16):
        nudge = ConductanceNudge(beta, np.array([[0.0, 1.0]]))
        expected = operating_point(circuit, [1.0, 0.5], nudge, method="newton")
        found = operating_point(circuit, [1.0, 0.5], nudge, method="layered", v0=free)
        moved = np.abs(expected.voltages - free.voltages).max()
        assert np.abs(found.voltages - expected.voltages).max() <= max(AGREEMENT, 1e-3 * moved)


def test_a_repelling_nudge_beyond_the_nodes_conductance_is_not_solved_by_block_steps() -> None:
    """With a negative conductance a node's bound is where an ideal diode would have to conduct backwards."""
    g = np.array([[1e-4]])
    base = networks.crossbar(g, 1e-5)
    y = base.node("y0")
    diode = Bank("d", IdealDiode, [[y, 0]], {"threshold": np.array([0.1])}, ("top",))
    circuit = Circuit(base.nodes, (*base.banks, diode), base.crossbars, base.input_nodes, base.output_pairs)
    nudge = ConductanceNudge(-2e-4, np.array([[0.5]]))
    try:
        found = operating_point(circuit, [1.0], nudge)
    except ConvergenceError:
        return
    assert (found.branches[1] >= 0.0).all()
    assert np.abs(System(circuit, np.array([[1.0]]), nudge).evaluate(full_unknowns(found)).residual).max() < 1e-12


def test_a_nudge_towards_an_input_knows_its_voltage() -> None:
    """x = 1 V, 1 mS to y, 1 mS to ground, output (y, x) nudged by 1 mS towards 0 V.

    By hand: (y − 1) + y + (y − 1) = 0 in mA, y = 2/3 V. The clamped partner once counted as 0 V.
    """
    pins = np.array([[1, 2], [2, 0]])
    bank = resistor_bank("r", pins, [1e-3, 1e-3], ["r1", "r2"])
    circuit = Circuit(("0", "x", "y"), (bank,), (), np.array([1]), np.array([[2, 1]]))
    for method in ("layered", "newton"):
        found = operating_point(circuit, [[1.0]], ConductanceNudge(1e-3, np.zeros((1, 1))), method=method)
        np.testing.assert_allclose(found.voltage("y"), [2.0 / 3.0], rtol=1e-12)
