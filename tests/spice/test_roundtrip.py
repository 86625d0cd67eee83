"""Every circuit comes back from its netlist as it was, to the last bit."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DEVICES, circuits, experiments

from analogep.circuit import Bank, Circuit, Crossbar
from analogep.devices import REGISTRY, Diode, MultiPort, PiecewiseLinear, Pulse, Resistor, Sine, Waveform
from analogep.errors import InputError, NetlistError
from analogep.solve import ConductanceNudge, CurrentNudge
from analogep.spice import from_netlist, read_netlist, to_netlist


def element(kind: str, values: dict[str, float], name: str = "e1") -> Circuit:
    """A circuit around one element: its nodes clamped, or held by resistors where it fixes them itself."""
    device = REGISTRY[kind]
    pins = np.arange(1, 1 + len(device.pins))[None, :]
    nodes = ("0", "Alpha", "b.2", "_c", "D4")[: 1 + len(device.pins)]
    held = np.array([[k, 0] for k in range(1, len(nodes))])
    leak = Bank("leaks", Resistor, held, {"conductance": np.full(len(held), 1e-3)}, [f"r{k}" for k in held[:, 0]])
    trainable = {key for key, info in device.parameters().items() if info.trainable}
    bank = Bank("bank_1", device, pins, {k: np.array([v]) for k, v in values.items()}, (name,), trainable)
    return Circuit(nodes, (leak, bank), (), np.zeros(0, int), np.array([[1, 0], [2, 1]]))


@pytest.mark.parametrize("kind", REGISTRY)
@given(data=st.data())
def test_every_device_comes_back(kind: str, data: st.DataObject) -> None:
    circuit = element(kind, data.draw(DEVICES[kind]))
    assert from_netlist(to_netlist(circuit)) == circuit


@given(circuits())
def test_random_circuits_come_back(circuit: Circuit) -> None:
    assert from_netlist(to_netlist(circuit)) == circuit


@given(experiments(), st.data())
def test_inputs_and_nudges_come_back(case: tuple[Circuit, np.ndarray], data: st.DataObject) -> None:
    circuit, inputs = case
    numbers = st.floats(-1, 1, allow_subnormal=False)
    shape = (len(inputs), len(circuit.output_pairs))
    values = np.array(data.draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])))
    values = values.reshape(shape)
    nudge = data.draw(st.sampled_from([ConductanceNudge(-1e-6, values), CurrentNudge(values)]))
    sample = len(inputs) - 1
    read = read_netlist(to_netlist(circuit, inputs, nudge=nudge, sample=sample, title="Phase 2"))
    assert read.circuit == circuit
    assert read.title == "Phase 2"
    np.testing.assert_array_equal(read.inputs, inputs[sample : sample + 1] if circuit.inputs else None)
    assert type(read.nudge) is type(nudge)
    for key, value in vars(nudge).items():
        np.testing.assert_array_equal(getattr(read.nudge, key), value[-1:] if np.ndim(value) else value)


def test_zero_volts_are_not_given_inputs() -> None:
    circuit = crossbar_circuit(np.array([[1e-3]]))
    assert read_netlist(to_netlist(circuit)).inputs is None
    np.testing.assert_array_equal(read_netlist(to_netlist(circuit, [0.0])).inputs, [[0.0]])


def crossbar_circuit(g: np.ndarray) -> Circuit:
    rows, columns = g.shape
    nodes = ["0", *(f"x{r}" for r in range(rows)), *(f"y{c}" for c in range(columns))]
    index = np.arange(1, 1 + rows + columns)
    crossbar = Crossbar("W", index[:rows], index[rows:], g)
    leaks = np.stack([index[rows:], 0 * index[rows:]], axis=1)
    bank = Bank(
        "leak", Resistor, leaks, {"conductance": np.full(columns, 1e-3)}, [f"R{c}" for c in range(columns)]
    )
    return Circuit(tuple(nodes), (bank,), (crossbar,), index[:rows], leaks)


def test_conductances_come_back_to_the_last_bit_and_zeros_stay() -> None:
    rng = np.random.default_rng(7)
    g = 10.0 ** rng.uniform(-12, 2, (60, 50))
    g[rng.random(g.shape) < 0.1] = 0.0
    g[1, :2] = 1e-310, 5e-324
    g[0, :3] = np.nextafter(1.0, 0.0), 1.0, np.nextafter(1.0, 2.0)
    usual = g[g > 1e-300]
    assert not np.array_equal(usual, 1 / (1 / usual))  # else this shows nothing
    circuit = crossbar_circuit(g)
    back = from_netlist(to_netlist(circuit))
    assert back == circuit
    bank = Bank(
        "many",
        Resistor,
        np.array([[1, 61]] * g.size),
        {"conductance": g.ravel()},
        [f"m{k}" for k in range(g.size)],
    )
    circuit = Circuit(circuit.nodes, (*circuit.banks, bank), circuit.crossbars, circuit.input_nodes)
    assert from_netlist(to_netlist(circuit)) == circuit


def test_diodes_whose_gmin_differs_come_back_and_share_the_smallest() -> None:
    values = {
        "saturation_current": np.full(3, 1e-14),
        "emission": np.ones(3),
        "series_resistance": np.array([0.0, 0.0, 10.0]),
        "gmin": np.array([1e-15, 1e-12, 1e-11]),
        "temperature": np.array([300.15, 77.0, 123.4]),
    }
    bank = Bank("d", Diode, np.array([[1, 0]] * 3), values, ("a", "b", "c"))
    circuit = Circuit(("0", "x"), (bank,), (), np.array([1]))
    text = to_netlist(circuit, [0.5])
    assert "gmin=1.0000000000000001e-15" in text
    assert "Rb_gmin x 0 " in text
    assert from_netlist(text) == circuit


def test_empty_banks_and_names_that_begin_with_their_letter() -> None:
    base = element("resistor", {"conductance": 1e-3}, "R7")
    empty = Bank("none", Diode, np.zeros((0, 2)), dict.fromkeys(Diode.parameters(), np.zeros(0)), ())
    circuit = Circuit(base.nodes, (*base.banks, empty), (), base.input_nodes, base.output_pairs)
    text = to_netlist(circuit)
    assert "\nR7 " in text
    assert from_netlist(text) == circuit


def test_the_text_is_plain() -> None:
    text = to_netlist(crossbar_circuit(np.array([[2e-3, 0.0]])), [0.25], title="A title")
    assert text.splitlines()[0] == "A title"
    assert text.endswith("\n.end\n")
    assert "\nRW_0_0 x0 y0 500\n" in text
    assert "RW_0_1" not in text
    assert "\nVx0 x0 0 0.25\n" in text


def test_100_000_resistors_come_back() -> None:
    circuit = crossbar_circuit(10.0 ** np.random.default_rng(0).uniform(-6, -3, (784, 130)))
    text = to_netlist(circuit, np.zeros(784))
    assert sum(line.startswith("RW_") for line in text.splitlines()) == 784 * 130
    assert from_netlist(text) == circuit


# --- what cannot be written ----------------------------------------------------------------------------


def faults(circuit: Circuit, **options: object) -> str:
    with pytest.raises(NetlistError) as caught:
        to_netlist(circuit, **options)  # type: ignore[arg-type]
    return str(caught.value)


def line(*names: str) -> Circuit:
    """Resistors in a line from ground through the nodes of these names."""
    nodes = ("0", *names)
    pins = np.array([[k, k - 1] for k in range(1, len(nodes))])
    bank = Bank("r", Resistor, pins, {"conductance": np.full(len(pins), 1e-3)}, [f"q{k}" for k in pins[:, 0]])
    return Circuit(nodes, (bank,), (), np.array([len(names)]))


@pytest.mark.parametrize("name", ["table", "x.Value", "ac", "temper"])
def test_node_names_that_ngspice_takes_for_something_else(name: str) -> None:
    assert name in faults(line("a", name))


def test_names_that_would_collide_are_all_named() -> None:
    bank = Bank("r", Resistor, np.array([[1, 0]] * 3), {"conductance": np.full(3, 1e-3)}, ("a", "Ra", "RRa"))
    circuit = Circuit(("0", "x"), (bank,))
    text = to_netlist(circuit)
    assert all(f"\n{name} x 0 " in text for name in ("R_a", "Ra", "RRa"))
    assert from_netlist(text) == circuit
    other = Bank("s", Resistor, np.array([[1, 0]]), {"conductance": np.full(1, 1e-3)}, ("RA_",))
    third = Bank("t", Resistor, np.array([[1, 0]] * 2), {"conductance": np.full(2, 1e-3)}, ("A_", "z"))
    assert "ra_" in faults(Circuit(("0", "x"), (other, third)))


def test_helper_nodes_that_exist_already() -> None:
    values = {"voltage_gain": np.array([4.0]), "current_gain": np.array([0.25])}
    bank = Bank("amps", REGISTRY["amplifier"], np.array([[1, 2]]), values, ("a1",))
    circuit = Circuit(("0", "in", "out", "OUT_a1_AMP"), (bank,), (), np.array([1, 3]))
    assert "a1" in faults(circuit)


def test_values_that_spice_cannot_hold() -> None:
    diode = element("diode", {**Diode().values, "saturation_current": 1e-29})
    assert "e1" in faults(diode)


def test_wrong_arguments() -> None:
    circuit = line("a", "b")
    for options in ({"dialect": "spice4"}, {"title": ""}, {"title": "two\nlines"}, {"sample": 1}):
        with pytest.raises(InputError):
            to_netlist(circuit, [1.0], **options)  # type: ignore[arg-type]


def test_nudges_without_a_spice_form_are_refused() -> None:
    class Cubic:
        def evaluate(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return outputs**3, 3 * outputs**2

        def select(self, samples: np.ndarray) -> Cubic:
            return self

    assert "Cubic" in faults(element("resistor", {"conductance": 1.0}), nudge=Cubic())


def test_every_multiport_is_covered() -> None:
    assert {k for k, d in REGISTRY.items() if issubclass(d, MultiPort)} <= set(DEVICES)


WAVEFORMS = [
    Pulse(0.0, 1.0, rise=0.0, fall=0.0),
    Pulse(-1.0, 2.5, 1e-6, 1e-9, 2e-9, 1e-6, 3e-6),
    Sine(0.5, 1.0, 1e3, 1e-4, 2.0, 30.0),
    PiecewiseLinear((0.0, 1e-3, 1e-3, 2e-3), (0.0, 1.0, -1.0, 0.3)),
]


@pytest.mark.parametrize("wave", WAVEFORMS, ids=lambda w: w.kind)
@pytest.mark.parametrize("kind", ["voltage_source", "current_source"])
def test_waveforms_come_back_with_jumps_and_infinities(kind: str, wave: Waveform) -> None:
    plain = element(kind, {("voltage" if kind[0] == "v" else "amplitude"): 0.25}, "s1")
    circuit = replace(plain, waveforms={"s1": wave})
    text = to_netlist(circuit)
    assert f"dc 0.25 {wave.spice()[0]}(" in text
    assert from_netlist(text) == circuit
    assert from_netlist(text) != plain
    edited = re.sub(r"(PULSE|SIN|PWL)\(\S+", r"\1(0.125", text)
    with pytest.raises(NetlistError, match="its waveform is not that of the comment"):
        from_netlist(edited)
