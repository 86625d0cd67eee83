"""Behavioural current sources: exact derivatives, one class per expression, SPICE and back, and ngspice."""

from __future__ import annotations

import gc
import pickle
import weakref

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analogep.circuit import Circuit
from analogep.devices import (
    Behavioural,
    Resistor,
    behavioural,
    behavioural_class,
    behavioural_voltage,
    device_name,
    device_named,
)
from analogep.devices.expressions.expression import parse
from analogep.errors import CircuitError
from analogep.learning import Adjoint, FiniteDifference
from analogep.solve import operating_point
from analogep.spice import from_netlist, to_netlist
from analogep.spice.dialects import DIALECTS
from analogep.spice.engines.ngspice import TIGHT, run_ngspice

EPS = float(np.finfo(float).eps)

EXPRESSIONS = [
    "a*v(p,n)",
    "a*v(p,n)^3 + b*v(p,n)",
    "a*tanh(v(c1)/b) - 2m*v(p)",
    "a*(exp(v(p,n)/(b+1)) - 1)",
    "a*sinh(v(p,n)*b)*cosh(v(c1,n))",
    "sqrt(a+v(p)^2) + ln(1+a+v(c1)**2) + log10(2+b)",
    "sin(a*v(p))*cos(b*v(n)) - tan(v(c1)/10)",
    "atan(v(p,c1))/(a+b) + asinh(v(n)*a)",
    "max(a*v(p),b*v(n)) - min(v(c1),v(p,n)) + abs(v(p)-0.123)",
    "-v(p)^-2*(a-b) + (1+v(n)^2)**(a*v(c1))",
    "pow(v(p),2)*+a/-b",
]


def sample(expression: str) -> Behavioural:
    names = {node.text for node in parse(expression).walk() if node.kind == "name"}
    return behavioural(expression, control=("c1",), **{k: {"a": 0.7, "b": 1.3}[k] for k in names})


every_expression = pytest.mark.parametrize("expression", EXPRESSIONS)
voltages = st.lists(st.floats(0.2, 2.0), min_size=6, max_size=6)


@every_expression
@given(values=voltages)
def test_derivatives_are_exact(expression: str, values: list[float]) -> None:
    device = sample(expression)
    p = {key: np.array([value, value * 1.1]) for key, value in device.values.items()}
    z = np.array(values).reshape(1, 2, 3)
    law = type(device)
    f, jac = law.stamp(z, p)
    assert f.shape == (1, 2, 3)
    assert np.array_equal(f[..., 0], -f[..., 1])
    assert not f[..., 2].any()
    h = 1e-5
    kinks = "max" in expression  # within a step of a kink the difference is no derivative
    moves = [(jac[..., k], z + h * np.eye(3)[k], z - h * np.eye(3)[k], p, p) for k in range(3)]
    gradient = law.stamp_gradient(z, p)
    assert set(gradient) == set(device.values)
    moves += [(gradient[k], z, z, {**p, k: p[k] + h}, {**p, k: p[k] - h}) for k in gradient]
    for exact, above, below, q, r in moves:
        one, two = law.stamp(above, q)[0], law.stamp(below, r)[0]
        size = 1.0 + np.abs(f) + np.abs(exact)
        off = np.abs((one - two) / (2 * h) - exact) > 1e-6 * size**2 * 50
        assert not off.any() or kinks


@every_expression
def test_equal_expressions_share_a_class_that_pickles(expression: str) -> None:
    device = sample(expression)
    law = type(device)
    again = behavioural(expression.replace("c1", "gate").replace(" ", ""), control=("gate",), **device.values)
    assert type(again) is law
    assert behavioural_class(law.expression, 1) is law
    assert device_named(device_name(law)) is law
    assert pickle.loads(pickle.dumps(device)) == device


def circuit_with(device: Behavioural) -> Circuit:
    graph = nx.MultiDiGraph()
    nodes = ("Left", "right.1", "gate")
    for node in nodes:
        graph.add_node(node)
        graph.add_edge(node, 0, device=Resistor(conductance=20.0), name=f"r_{node}")
    graph.add_edge("Left", "in", device=Resistor(conductance=10.0), name="r_in")
    graph.add_edge("gate", "in", device=Resistor(conductance=10.0), name="r_control")
    graph.add_edge("Left", "right.1", device=device, name="b1", trainable=True)
    return Circuit.from_graph(graph, inputs=["in"], outputs=["Left"])


def placed(expression: str) -> Circuit:
    return circuit_with(
        behavioural(expression.replace("c1", "gate"), control=("gate",), **sample(expression).values)
    )


@every_expression
def test_it_comes_back_from_a_netlist_and_a_graph(expression: str) -> None:
    circuit = placed(expression)
    assert from_netlist(to_netlist(circuit)) == circuit
    assert Circuit.from_graph(circuit.to_graph()) == circuit
    other = placed("a*v(p,n) + 0*v(c1)")
    assert other != circuit
    for dialect in DIALECTS:
        if "." in DIALECTS[dialect].limits.separators:
            continue
        (line,) = (li for li in to_netlist(circuit, dialect=dialect).splitlines() if li.startswith("Bb1 "))
        assert " I=" in line
        assert "^" not in line


@every_expression
def test_ngspice_agrees(ngspice: str, expression: str) -> None:
    circuit = placed(expression)
    ours = operating_point(circuit, [1.0])
    (point,) = run_ngspice(to_netlist(circuit, [1.0]), [{}], TIGHT, timeout=30.0).points
    assert point is not None
    for node in ("Left", "right.1", "gate"):
        assert point[node.lower()] == pytest.approx(float(ours.voltage(node)[0]), rel=1e-9, abs=1e-10)


def test_the_adjoint_gradient_is_a_derivative() -> None:
    circuit = placed("a*tanh(v(p,n)/b) + a*v(c1)^2")
    adjoint = Adjoint().gradient(circuit, [[1.0]], [[0.3]])
    difference = FiniteDifference().gradient(circuit, [[1.0]], [[0.3]])
    for block in ("behavioural_current.a", "behavioural_current.b"):
        assert adjoint[block] == pytest.approx(difference[block], rel=1e-6)


def test_a_steep_exponential_converges_from_far_away() -> None:
    # 1e-14 (e^(v/25 mV) - 1) behind 1 Ω at 20 V, by hand: v + i = 20 with v = 25 mV · ln(1 + i/1e-14) near 0.88 V
    graph = nx.MultiDiGraph()
    graph.add_edge("in", "a", device=Resistor(conductance=1.0), name="r")
    graph.add_edge("a", 0, device=behavioural("i0*(exp(v(p,n)/25m)-1)", i0=1e-14), name="d")
    found = operating_point(Circuit.from_graph(graph, inputs=["in"]), [20.0])
    v = float(found.voltage("a")[0])
    assert v == pytest.approx(0.025 * np.log1p((20.0 - v) / 1e-14), rel=1e-9)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("v(q)", r"v\(q\): add node q to control"),
        ("sgn(v(p))", "function 'sgn' .* is not one of abs, asinh"),
        ("v(p)+", "is incomplete"),
        ("v(p)*k", "k: the expression uses it; give its value"),
        ("2^3^v(p)", "chained powers"),
        ("v(p)^20", "power 20 .* use 1 to 16"),
        ("v(p) # 2", "unexpected"),
        ("min(v(p))", "min takes 2 arguments, not 1"),
        ("3q*v(p)", "'3q' is not a number"),
        ("(" * 200 + "v(p)" + ")" * 200, "nested too deeply"),
    ],
)
def test_a_wrong_expression_is_refused(expression: str, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        behavioural(expression)


def test_names_and_controls_are_checked() -> None:
    with pytest.raises(CircuitError, match="kind: a parameter cannot have this name"):
        behavioural("kind*v(p)", kind=1.0)
    with pytest.raises(CircuitError, match="b: the expression does not use it"):
        behavioural("v(p)", b=1.0)
    with pytest.raises(CircuitError, match="give other nodes than p, n and ground"):
        behavioural("v(p)", control=("p",))


@every_expression
def test_a_voltage_obeys_its_law_and_comes_back(expression: str) -> None:
    """v(p) − v(n) is the expression, with the derivatives of the current of the same expression."""
    current = sample(expression)
    source = behavioural_voltage(current.expression, control=("c1",), **current.values)
    assert pickle.loads(pickle.dumps(source)) == source
    assert device_named(device_name(type(source))) is type(source)
    z = np.array([[1.2, 0.4, 0.7, 0.3]])
    p = {key: np.array([value]) for key, value in current.values.items()}
    f, jac = type(source).stamp(z, p)
    law, slopes = type(current).stamp(z[:, :3], p)
    np.testing.assert_allclose(f, [[0.3, -0.3, 0.0, 0.8 - law[0, 0]]])
    np.testing.assert_allclose(jac[0, 3, :3], np.array([1.0, -1.0, 0.0]) - slopes[0, 0])
    np.testing.assert_allclose(jac[0, :3, 3], [1.0, -1.0, 0.0])
    gradient = type(source).stamp_gradient(z, p)
    for key, found in type(current).stamp_gradient(z[:, :3], p).items():
        np.testing.assert_allclose(gradient[key], [[0.0, 0.0, 0.0, -found[0, 0]]])


def test_the_adjoint_gradient_of_a_voltage_is_a_derivative() -> None:
    circuit = circuit_with(behavioural_voltage("a*tanh(v(gate)/b)", control=("gate",), a=0.4, b=1.3))
    adjoint = Adjoint().gradient(circuit, [[1.0]], [[0.3]])
    difference = FiniteDifference().gradient(circuit, [[1.0]], [[0.3]])
    assert from_netlist(to_netlist(circuit)) == circuit
    assert Circuit.from_graph(circuit.to_graph()) == circuit
    for block in ("behavioural_voltage.a", "behavioural_voltage.b"):
        assert adjoint[block] == pytest.approx(difference[block], rel=1e-6)


@pytest.mark.parametrize("name", ["expression", "tree", "pins", "class", "limit"])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(CircuitError, match=f"{name}: a parameter cannot have this name"):
        behavioural(f"{name}*v(p,n)", **{name: 1.0})


def test_classes_of_expressions_go_when_nobody_uses_them() -> None:
    made = behavioural_class("tanh(v(p,n))*0.5+0.123456", 0)
    assert behavioural_class("0.123456+tanh(v(p,n))*0.5", 0) is not made
    assert behavioural_class("tanh(v(p,n))*0.5+0.123456", 0) is made
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None
