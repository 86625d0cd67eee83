"""Newton's method against an independent nodal analysis and the laws of circuits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from newton_tools import EPS, Experiment, Tangent, graph, known_to, layered_circuit, ohms, solve
from strategies import (
    LINEAR_CELLS,
    RECIPROCAL_CELLS,
    SMOOTH_CELLS,
    bending,
    experiments,
    volts,
)

import analogep.solve.equations.model as model_module
from analogep.circuit import Circuit, Crossbar, resistor_bank
from analogep.devices import (
    BidirectionalAmplifier,
    Constraint,
    Diode,
    MultiPort,
    OnePort,
    VoltageSource,
)
from analogep.solve import ConductanceNudge, CurrentNudge
from analogep.solve.equations.model import model_for
from analogep.solve.equations.system import node_currents
from analogep.solve.linear.systems import DenseSolver, SparseSolver, linear_solver

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

# --- an independent nodal analysis --------------------------------------------------------------------------


def constraint_columns(circuit: Circuit) -> np.ndarray:
    """Currents that leave each node per unit of current of each input, source and amplifier, (N, S)."""
    columns = []
    for node in circuit.input_nodes:
        columns.append({int(node): 1.0})
    for bank in circuit.banks:
        if bank.device is VoltageSource:
            columns += [{int(p): 1.0, int(n): -1.0} for p, n in bank.pins]
        elif bank.device is BidirectionalAmplifier:
            back = bank.values["current_gain"]
            columns += [{int(a): back[e], int(o): -1.0} for e, (a, o) in enumerate(bank.pins)]
        else:
            assert not issubclass(bank.device, Constraint), "teach the nodal analysis this constraint"
    out = np.zeros((len(circuit.nodes), len(columns)))
    for s, column in enumerate(columns):
        for node, value in column.items():
            out[node, s] += value
    return out


def nodal_analysis(circuit: Circuit, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve a linear circuit by textbook modified nodal analysis; return voltages (N,) and their error."""
    count = len(circuit.nodes)
    rows: list[tuple[list[tuple[int, float]], float]] = []  # extra equations: terms and right-hand side
    stamps: list[tuple[int, int, float]] = []
    source = np.zeros(count)
    extra = count

    def branch(leaves: list[tuple[int, float]], terms: list[tuple[int, float]], value: float) -> int:
        nonlocal extra
        stamps.extend((node, extra, sign) for node, sign in leaves)
        rows.append((terms, value))
        extra += 1
        return extra - 1

    def conduct(a: int, b: int, g: float) -> None:
        stamps.extend([(a, a, g), (a, b, -g), (b, b, g), (b, a, -g)])

    for node, value in zip(circuit.input_nodes, inputs, strict=True):
        branch([(int(node), 1.0)], [(int(node), 1.0)], float(value))
    for c in circuit.crossbars:
        for r, row in enumerate(c.rows):
            for k, column in enumerate(c.columns):
                conduct(int(row), int(column), float(c.conductance[r, k]))
    for t in circuit.transconductances:
        for r, row in enumerate(t.rows.tolist()):
            for k, column in enumerate(t.columns.tolist()):
                stamps.append((column, row, -float(t.forward[r, k])))  # what flows in does not leave
                if t.backward is not None:
                    stamps.append((row, column, -float(t.backward[r, k])))
    for bank in circuit.banks:
        for e, pins in enumerate(bank.pins.tolist()):
            p = {key: float(value[e]) for key, value in bank.values.items()}
            a, b = pins[:2]
            ends, across = [(a, 1.0), (b, -1.0)], [(a, 1.0), (b, -1.0)]
            control = [(pins[2], 1.0), (pins[3], -1.0)] if len(pins) == 4 else []
            match bank.device.kind:
                case "resistor":
                    conduct(a, b, p["conductance"])
                case "capacitor":
                    pass
                case "current_source":
                    source[a] -= p["amplitude"]
                    source[b] += p["amplitude"]
                case "inductor":
                    branch(ends, across, 0.0)
                case "voltage_source":
                    branch(ends, across, p["voltage"])
                case "vcvs":
                    branch(ends, across + [(n, -s * p["gain"]) for n, s in control], 0.0)
                case "vccs":
                    gm = p["transconductance"]
                    stamps.extend((n, m, s * t * gm) for n, s in ends for m, t in control)
                case "mutual_transconductance":
                    gm = p["transconductance"]
                    stamps.extend((n, m, s * t * gm) for n, s in ends for m, t in control)
                    stamps.extend((m, n, s * t * gm) for n, s in ends for m, t in control)
                case "ccvs":
                    sensed = branch(control, control, 0.0)
                    branch(ends, [*across, (sensed, -p["transresistance"])], 0.0)
                case "cccs":
                    sensed = branch(control, control, 0.0)
                    stamps.extend((n, sensed, s * p["gain"]) for n, s in ends)
                case "amplifier":
                    leaves = [(a, p["current_gain"]), (b, -1.0)]
                    branch(leaves, [(b, 1.0), (a, -p["voltage_gain"])], 0.0)
                case kind:
                    raise AssertionError(f"teach the nodal analysis the device {kind}")
    matrix, rhs = np.zeros((extra, extra)), np.zeros(extra)
    for i, j, value in stamps:
        matrix[i, j] += value
    rhs[:count] = source
    for k, (terms, value) in enumerate(rows):
        rhs[count + k] = value
        for j, factor in terms:
            matrix[count + k, j] += factor
    matrix, rhs = matrix[1:, 1:], rhs[1:]  # ground
    y = np.linalg.solve(matrix, rhs)
    for _ in range(2):  # refinement makes the error small row by row (Skeel 1980), however the rows are scaled
        y = y + np.linalg.solve(matrix, rhs - matrix @ y)
    error = np.abs(np.linalg.inv(matrix)) @ (64 * EPS * (np.abs(matrix) @ np.abs(y) + np.abs(rhs)))
    return np.concatenate([[0.0], y[: count - 1]]), np.concatenate([[0.0], error[: count - 1]])


@given(experiment=experiments(LINEAR_CELLS))
def test_linear_circuits_agree_with_textbook_nodal_analysis(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    own_error = known_to(solution, inputs)
    for b, row in enumerate(inputs):
        expected, error = nodal_analysis(circuit, row)
        assert np.all(np.abs(solution.voltages[b] - expected) <= error + own_error[b])


# --- Kirchhoff and Tellegen --------------------------------------------------------------------------------


@given(experiment=experiments())
def test_kirchhoffs_current_law_holds_at_every_unknown(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    tangent = Tangent(solution, inputs)
    nodes = len(tangent.model.plan.nodes)
    currents = node_currents(circuit, solution.voltages, solution.branches)
    rows = tangent.model.reduce_currents(currents)[:, :nodes]
    # The same sum in another order differs by its rounding, which the bound exceeds by 1e-11 / EPS.
    assert np.all(np.abs(rows) <= 2 * tangent.bound[:, :nodes])
    assert np.all(solution.residual <= tangent.bound[:, :nodes].max(axis=1, initial=0.0))
    assert solution.converged.all()
    assert solution.engine == "newton"


@given(experiment=experiments())
def test_branch_equations_and_sources_hold(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    v = solution.voltages
    assert np.all(v[:, 0] == 0.0)
    assert np.array_equal(v[:, circuit.input_nodes], inputs)
    scale = 1.0 + np.abs(Tangent(solution, inputs).x).max(axis=1, initial=0.0)
    for b, bank in enumerate(circuit.banks):
        if issubclass(bank.device, Constraint):
            ratio, _, offset = bank.device.law(bank.values)
            child, parent = v[:, bank.pins[:, bank.device.child]], v[:, bank.pins[:, 1 - bank.device.child]]
            size = np.abs(v).max(axis=1) + np.abs(offset).max()
            assert np.all(np.abs(child - ratio * parent - offset) <= 16 * EPS * size[:, None])
        elif issubclass(bank.device, MultiPort):
            z = np.concatenate([v[:, bank.pins], solution.branches[b]], axis=-1)
            f = bank.device.stamp(z, bank.values)[0][..., len(bank.device.pins) :]
            assert np.all(np.abs(f) <= 1e-12 * scale[:, None, None])


@given(experiment=experiments())
def test_tellegens_theorem(experiment: Experiment) -> None:
    """The powers of all elements, sources included, add up to nothing."""
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    v = solution.voltages
    leaving = node_currents(circuit, v, solution.branches)
    columns = constraint_columns(circuit)
    # Currents of inputs, sources and amplifiers follow from Kirchhoff's law at every node but ground. The
    # solver's own equations are sums of these rows, so what is left over is its residual and rounding.
    currents = -np.linalg.lstsq(columns[1:], leaving[:, 1:].T, rcond=None)[0].T if columns.size else inputs[:, :0]
    left = leaving[:, 1:] + currents @ columns[1:].T
    tangent = Tangent(solution, inputs)
    nodes = len(tangent.model.plan.nodes)
    condition = np.linalg.cond(columns[1:]) if columns.size else 1.0
    size = np.abs(leaving).sum(axis=1) + np.abs(currents).sum(axis=1)
    allowed = np.linalg.norm(tangent.bound[:, :nodes], axis=1) + 64 * EPS * condition * size
    assert np.all(np.linalg.norm(left, axis=1) <= allowed)

    total, gross = np.zeros(len(v)), np.zeros(len(v))

    def add(power: np.ndarray) -> None:
        nonlocal total, gross
        axes = tuple(range(1, power.ndim))
        total, gross = total + power.sum(axis=axes), gross + np.abs(power).sum(axis=axes)

    for b, bank in enumerate(circuit.banks):
        across = v[:, bank.pins]
        if issubclass(bank.device, OnePort):
            u = across[..., 0] - across[..., 1]
            add(u * bank.device.current(u, bank.values)[0])
        elif issubclass(bank.device, MultiPort):
            z = np.concatenate([across, solution.branches[b]], axis=-1)
            add(across * bank.device.stamp(z, bank.values)[0][..., : across.shape[-1]])
    for c in circuit.crossbars:
        u = v[:, c.rows, None] - v[:, None, c.columns]
        add(c.conductance * u * u)
    for t in circuit.transconductances:  # currents from ground into a node deliver power
        products = v[:, t.rows, None] * v[:, None, t.columns]
        add(-t.forward * products)
        if t.backward is not None:
            add(-t.backward * products)
    add((v @ columns) * currents)
    assert np.all(np.abs(total) <= np.linalg.norm(v, axis=1) * allowed + 64 * EPS * gross)


ACTIVE_OR_IDLE = ("current_source", "mutual_transconductance", "capacitor")
PASSIVE_CELLS = tuple(cell for cell in RECIPROCAL_CELLS if cell not in ACTIVE_OR_IDLE)


@given(experiment=experiments(PASSIVE_CELLS))
def test_power_is_what_the_sources_deliver(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    columns = constraint_columns(circuit)
    leaving = node_currents(circuit, solution.voltages, solution.branches)
    currents = -np.linalg.lstsq(columns[1:], leaving[:, 1:].T, rcond=None)[0].T if columns.size else inputs[:, :0]
    delivered = -((solution.voltages @ columns) * currents).sum(axis=1)
    tangent = Tangent(solution, inputs)
    nodes = len(tangent.model.plan.nodes)
    v = np.linalg.norm(solution.voltages, axis=1)
    size = np.abs(leaving).sum(axis=1) + np.abs(currents).sum(axis=1)
    condition = np.linalg.cond(columns[1:]) if columns.size else 1.0
    allowed = v * (np.linalg.norm(tangent.bound[:, :nodes], axis=1) + 256 * EPS * condition * size)
    # Crossbars sum g (r² + c² - 2 r c), whose terms are larger than the sum: rounding of the terms.
    terms = sum(
        ((solution.voltages[:, c.rows] ** 2) @ c.conductance.sum(axis=1) for c in circuit.crossbars),
        np.zeros(len(inputs)),
    )
    terms = terms + sum(
        ((solution.voltages[:, c.columns] ** 2) @ c.conductance.sum(axis=0) for c in circuit.crossbars),
        np.zeros(len(inputs)),
    )
    # An ideal diode's power is threshold times current, all of it counted; a solved branch may miss by 1e-12.
    assert np.all(np.abs(solution.power - delivered) <= allowed + 64 * EPS * terms + 1e-12 * (1 + v) * size)


# --- derivatives and symmetries ----------------------------------------------------------------------------


@given(experiment=experiments(SMOOTH_CELLS), data=st.data())
def test_the_jacobian_of_the_whole_circuit_is_the_derivative_of_its_residual(
    experiment: Experiment, data: st.DataObject
) -> None:
    circuit, inputs = experiment
    target = np.full((len(inputs), len(circuit.output_pairs)), 0.3)
    nudge = ConductanceNudge(data.draw(st.sampled_from([1e-3, -1e-5])), target)
    free = solve(circuit, inputs)
    tangent = Tangent(free, inputs, nudge)
    system, x = tangent.system, tangent.x
    # Steps of 1e-4 of the smallest nV_T, 0.5 · 17 mV at 200 K: truncation h²/6 f'''/f' < 1e-7 as for a device.
    h = 1e-4 * 0.0086
    # Close to its saturation a tanh neuron is steep: there h²/6 f'''/f' is h²/3 over the square of the distance.
    for bank in circuit.banks:
        if bank.device.kind == "tanh_neuron":
            voltage = free.voltages[:, bank.pins[:, 0]] - free.voltages[:, bank.pins[:, 1]]
            assume(np.all(bank.values["saturation_voltage"] - np.abs(voltage) > 1e3 * h))
    bend = sum(float(bending(bank.device, bank.values).sum()) for bank in circuit.banks)  # of MOSFETs at rest
    for j in range(x.shape[1]):
        dx = h * np.eye(x.shape[1])[j]
        above, below = system.evaluate(x + dx), system.evaluate(x - dx)
        difference = (above.residual - below.residual) / (2 * h)
        column = tangent.jacobian[:, :, j]
        # Each row's rounding, and the truncation of any diode in it, relative to the row's own slopes.
        slopes = np.abs(tangent.jacobian).sum(axis=2)
        rounding = 64 * EPS / h / 1e-11 * tangent.bound
        assert np.all(np.abs(difference - column) <= 1e-6 * slopes + rounding + h * bend)


@given(experiment=experiments(RECIPROCAL_CELLS))
def test_the_jacobian_of_a_reciprocal_circuit_is_symmetric(experiment: Experiment) -> None:
    circuit, inputs = experiment
    tangent = Tangent(solve(circuit, inputs), inputs)
    nodes = len(tangent.model.plan.nodes)
    block = tangent.jacobian[:, :nodes, :nodes]
    size = np.abs(block).max(initial=0.0)
    assert np.all(np.abs(block - block.swapaxes(1, 2)) <= 8 * EPS * size)


@given(experiment=experiments(tuple(c for c in RECIPROCAL_CELLS if c in LINEAR_CELLS)))
def test_transfer_resistances_of_a_linear_reciprocal_circuit_are_symmetric(experiment: Experiment) -> None:
    """A current into one output moves another output as the reverse does."""
    circuit, inputs = experiment
    inputs = inputs[:1]
    count = len(circuit.output_pairs)
    free = solve(circuit, inputs)
    size = 1e-6
    moved, error = np.zeros((count, count)), np.zeros((count, count))
    pairs = circuit.output_pairs
    for k in range(count):
        nudge = CurrentNudge(-size * np.eye(count)[[k]])
        nudged = solve(circuit, inputs, nudge)
        doubt = known_to(nudged, inputs, nudge)[0] + known_to(free, inputs)[0]
        moved[k] = (nudged.outputs - free.outputs)[0]
        error[k] = doubt[pairs[:, 0]] + doubt[pairs[:, 1]]
    assert np.all(np.abs(moved - moved.T) <= error + error.T)


@settings(max_examples=15)
@given(experiment=experiments(), data=st.data())
def test_the_order_of_nodes_and_elements_does_not_matter(experiment: Experiment, data: st.DataObject) -> None:
    circuit, inputs = experiment
    order = [0, *data.draw(st.permutations(range(1, len(circuit.nodes))))]
    place = np.argsort(order)
    banks = []
    for bank in reversed(circuit.banks):
        e = np.array(data.draw(st.permutations(range(bank.size))))
        values = {key: value[e] for key, value in bank.values.items()}
        names = tuple(bank.names[k] for k in e)
        banks.append(replace(bank, pins=place[bank.pins[e]], values=values, names=names))
    crossbars, couplings = (
        tuple(replace(c, rows=place[c.rows], columns=place[c.columns]) for c in kind)
        for kind in (circuit.crossbars, circuit.transconductances)
    )
    other = Circuit(
        tuple(circuit.nodes[i] for i in order),
        tuple(banks),
        crossbars,
        place[circuit.input_nodes],
        place[circuit.output_pairs],
        transconductances=couplings,
    )
    first, second = solve(circuit, inputs), solve(other, inputs)
    doubt = known_to(first, inputs) + known_to(second, inputs)[:, place]
    assert np.all(np.abs(first.voltages - second.voltages[:, place]) <= doubt)


@given(experiment=experiments(most_samples=4))
def test_a_batch_is_its_samples(experiment: Experiment) -> None:
    circuit, inputs = experiment
    together = solve(circuit, inputs)
    for b in range(len(inputs)):
        alone = solve(circuit, inputs[b])
        doubt = known_to(alone, inputs[b : b + 1]) + known_to(together, inputs)[b]
        assert np.all(np.abs(alone.voltages[0] - together.voltages[b]) <= doubt)


@given(data=st.data())
def test_a_batch_is_its_samples_to_picovolts_in_a_well_scaled_circuit(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    circuit = layered_circuit(rng)
    inputs = rng.uniform(-1.0, 1.0, (6, 4))
    together = solve(circuit, inputs)
    alone = np.concatenate([solve(circuit, row).voltages for row in inputs])
    # Diagonally dominant by a load as large as a weight: the condition number is below 1e3, times EPS is 2e-13.
    assert np.abs(together.voltages - alone).max() <= 1e-12


@given(experiment=experiments(), offset=volts())
def test_the_start_does_not_change_the_answer(experiment: Experiment, offset: float) -> None:
    circuit, inputs = experiment
    cold = solve(circuit, inputs)
    warm = solve(circuit, inputs, v0=cold)
    far = solve(circuit, inputs, v0=cold.voltages + offset)
    doubt = known_to(cold, inputs)
    assert np.all(np.abs(warm.voltages - cold.voltages) <= doubt + known_to(warm, inputs))
    assert np.all(np.abs(far.voltages - cold.voltages) <= doubt + known_to(far, inputs))


@given(experiment=experiments(SMOOTH_CELLS))
def test_a_warm_start_at_the_solution_takes_no_longer(experiment: Experiment) -> None:
    circuit, inputs = experiment
    cold = solve(circuit, inputs)
    assert np.all(solve(circuit, inputs, v0=cold).iterations <= np.maximum(cold.iterations, 2))


def test_a_warm_start_at_hard_conduction_is_kept() -> None:
    # Starting points are limited only where there is no guess: 0.8 V across a diode is one.
    circuit = graph(ohms("in", "a", 10.0), ("a", "0", Diode()), inputs=("in",))
    cold = solve(circuit, [3.0])
    assert solve(circuit, [3.0], v0=cold).iterations[0] <= 2 < cold.iterations[0]


# --- dense and sparse --------------------------------------------------------------------------------------


@given(experiment=experiments())
def test_the_dense_and_the_sparse_solver_agree(experiment: Experiment) -> None:
    circuit, inputs = experiment
    count = len(circuit.output_pairs)
    nudge = ConductanceNudge(1e-4, np.full((len(inputs), count), 0.5))
    dense = solve(circuit, inputs, nudge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_module, "DENSE_LIMIT", -1)
        other = circuit.with_parameters({})
        sparse = solve(other, inputs, nudge)
        assert isinstance(linear_solver(model_for(other)), SparseSolver)
        doubt = known_to(sparse, inputs, nudge)
    assert isinstance(linear_solver(model_for(circuit)), DenseSolver)
    assert np.all(np.abs(dense.voltages - sparse.voltages) <= doubt + known_to(dense, inputs, nudge))


@pytest.mark.parametrize("limit", [-1, 10**6], ids=["sparse", "dense"])
@pytest.mark.parametrize("transpose", [False, True])
@given(experiment=experiments())
def test_linear_solvers_solve_the_tangent_and_its_transpose(
    limit: int, transpose: bool, experiment: Experiment
) -> None:
    circuit, inputs = experiment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_module, "DENSE_LIMIT", limit)
        circuit = circuit.with_parameters({})
        tangent = Tangent(solve(circuit, inputs), inputs)
        model = tangent.model
        entries = model.slots.values(tangent.system.evaluate(tangent.x).slopes)
        rhs = 1e-4 * np.cos(np.arange(tangent.x.size, dtype=float)).reshape(tangent.x.shape)
        y = linear_solver(model).solve(entries, rhs, transpose=transpose)
    matrix = tangent.jacobian.swapaxes(1, 2) if transpose else tangent.jacobian
    # Normwise backward stability (Higham 2002, theorem 9.5): what is left over is of the size of n EPS |J| |y|,
    # times the growth of the pivots. Partial pivoting keeps that below 8 here; eliminating the independent
    # unknowns without it adds |row| |column| / pivot.
    growth = 8.0
    if limit > 0 and len(alone := model.plan.independent):
        pivot = np.abs(matrix[:, alone, alone])
        row, column = np.abs(matrix[:, alone]).max(axis=2), np.abs(matrix[:, :, alone]).max(axis=1)
        eliminated = pivot.all(axis=1)  # with a zero among the pivots, the whole matrix has partial pivoting
        size = (row * column / np.where(pivot > 0.0, pivot, 1.0))[eliminated]
        growth += float(size.max(initial=0.0) / np.abs(matrix).max())
    size = np.abs(matrix).sum(axis=2).max(axis=1, initial=0.0) * np.abs(y).max(axis=1, initial=0.0)
    left = np.abs((matrix @ y[..., None])[..., 0] - rhs).max(axis=1, initial=0.0)
    bound = size + np.abs(rhs).max(axis=1, initial=0.0)
    assert np.all(left <= growth * model.plan.size * EPS * bound)


def test_a_zero_conductance_in_a_sparse_crossbar_leaves_the_rest_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A stored zero was looked up outside the pattern, landed on its first entry and erased it.
    nodes = ("0", "x", "a", "b", "c", "d")
    g = np.array([[0.0, 1e-3], [1e-3, 0.0]])
    load = resistor_bank(
        "L", [[1, 2], [2, 0], [3, 0], [4, 0], [5, 0]], [2e-3, 1e-3, 1e-3, 1e-3, 1e-3], list("pqrst")
    )
    circuit = Circuit(nodes, (load,), (Crossbar("W", np.array([2, 3]), np.array([4, 5]), g),), np.array([1]))
    monkeypatch.setattr(model_module, "DENSE_LIMIT", -1)
    # a: 2 (x - a) = a + (a - d), d = a/2: 3.5 a = 2 x; b and c are at rest.
    assert solve(circuit, [1.0]).voltages[0] == pytest.approx([0, 1, 4 / 7, 0, 0, 2 / 7], abs=1e-15)
