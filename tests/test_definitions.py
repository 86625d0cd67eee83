"""A class without a part that its base demands fails at its definition; wrong shapes fail where they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import analogep as aep
from analogep import devices, learning, solve
from analogep.devices.base import parameter
from analogep.errors import CircuitError

PARTS: dict[type, dict[str, Any]] = {
    learning.Cost: {
        "name": "mine",
        "analytic": True,
        "curvature": lambda self, count: 1.0,
        "target_count": lambda self, outputs: outputs,
        "scores": lambda self, outputs: outputs,
        "value": lambda self, o, y: 0.5 * ((o - y) ** 2).sum(axis=1),
        "gradient": lambda self, o, y: o - y,
        "nudge": lambda self, beta, o, y, form: solve.ConductanceNudge(beta, y),
    },
    learning.Rule: {"name": "mine", "gradient": lambda self, *a, **k: None},
    learning.Schedule: {"factor": lambda self, epoch: 1.0},
    learning.Solver: {"__call__": lambda self, *a, **k: None},
    learning.Optimizer: {"directions": lambda self, gradient, state: (gradient, state)},
    solve.Nudge: {"evaluate": lambda self, o: (o, o), "select": lambda self, samples: self},
    devices.Waveform: {
        "kind": "mine",
        "value": lambda self, t, before=False: t,
        "corners": lambda self, end: np.zeros(0),
        "rest": lambda self: 0.0,
        "spice": lambda self: ("PWL", ()),
    },
    devices.OnePort: {
        "kind": "mine",
        "pins": ("p", "n"),
        "current": staticmethod(lambda v, p: (v, np.ones_like(v))),
        "cocontent": staticmethod(lambda v, p: 0.5 * v**2),
        "spice": classmethod(lambda cls, name, nodes, p: []),
    },
    devices.MultiPort: {
        "kind": "mine",
        "pins": ("a", "b", "c"),
        "stamp": staticmethod(lambda z, p: (z, np.broadcast_to(np.eye(3), (z.shape[-2], 3, 3)))),
        "spice": classmethod(lambda cls, name, nodes, p: []),
    },
    devices.Constraint: {
        "kind": "mine",
        "pins": ("in", "out"),
        "child": 1,
        "law": staticmethod(lambda p: (1.0, 1.0, 0.0)),
        "spice": classmethod(lambda cls, name, nodes, p: []),
    },
}


@pytest.mark.parametrize("base", PARTS, ids=lambda base: base.__name__)
def test_a_whole_class_is_taken(base: type) -> None:
    type("Mine", (base,), dict(PARTS[base]))


@pytest.mark.parametrize(("base", "part"), [(base, part) for base, parts in PARTS.items() for part in parts])
def test_a_class_without_a_part_is_a_type_error_at_its_definition(base: type, part: str) -> None:
    rest = {name: value for name, value in PARTS[base].items() if name != part}
    with pytest.raises(TypeError, match=rf"Mine is no \w+: it lacks {part}; define"):
        type("Mine", (base,), rest)


def test_a_cost_without_nudge_does_not_train_with_zero_gradients() -> None:
    with pytest.raises(TypeError, match="it lacks analytic, curvature, name, nudge, scores, target_count"):

        class Mine(learning.Cost):
            def value(self, outputs: Any, targets: Any) -> Any:
                return ((outputs - targets) ** 2).sum(axis=1)

            def gradient(self, outputs: Any, targets: Any) -> Any:
                return 2.0 * (outputs - targets)


def test_an_object_that_lacks_a_part_is_refused_where_it_is_given() -> None:
    class Half:
        name = "half"

        def value(self, outputs: Any, targets: Any) -> Any:
            return outputs

    circuit = aep.networks.crossbar([[1e-4], [2e-4]])
    with pytest.raises(aep.errors.InputError, match=r"cost = .* is not a Cost, an object with .*nudge"):
        learning.EquilibriumPropagation().gradient(circuit, [[0.1, 0.2]], [[0.1]], Half())  # type: ignore[arg-type]


def test_a_device_with_a_trainable_parameter_needs_its_gradients() -> None:
    with pytest.raises(TypeError, match="it lacks cocontent_gradient, current_gradient"):
        type("Mine", (devices.OnePort,), {**PARTS[devices.OnePort], "g": parameter("S", "", trainable=True)})
    with pytest.raises(TypeError, match="it lacks stamp_gradient"):
        type("Mine", (devices.MultiPort,), {**PARTS[devices.MultiPort], "g": parameter("S", "", trainable=True)})
    with pytest.raises(TypeError, match="it lacks held, next_state"):
        type("Mine", (devices.MultiPort,), {**PARTS[devices.MultiPort], "state": "on"})


@dataclass(frozen=True)
class _Ohmic(devices.OnePort):
    kind: ClassVar[str] = "ohmic"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    g: float = parameter("S", "conductance", low=0.0, trainable=True)

    @staticmethod
    def current(v: Any, p: Any) -> Any:
        return p["g"] * v, p["g"] + 0.0 * v

    @staticmethod
    def cocontent(v: Any, p: Any) -> Any:
        return 0.5 * p["g"] * v**2

    @staticmethod
    def current_gradient(v: Any, p: Any) -> Any:
        return {"g": v}

    @staticmethod
    def cocontent_gradient(v: Any, p: Any) -> Any:
        return {"g": 0.5 * v**2}

    @classmethod
    def spice(cls, name: str, nodes: Any, p: Any) -> Any:
        return []


def _circuit(device: devices.Device) -> aep.Circuit:
    import networkx as nx

    graph = nx.MultiDiGraph()
    graph.add_edge("a", "b", device=device, name="D", trainable=True)
    graph.add_edge("b", "0", device=devices.Resistor(1e-3), name="R")
    return aep.Circuit.from_graph(graph, inputs=["a"], outputs=["b"])


def test_a_device_of_ones_own_is_a_full_member() -> None:
    solution = aep.operating_point(_circuit(_Ohmic(1e-3)), [[1.0]])
    assert solution.outputs[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("current", lambda v, p: p["g"] * v),
        ("current", lambda v, p: (p["g"] * v, p["g"])),
        ("current", lambda v, p: (p["g"] * v, None)),
        ("current", lambda v, p: [].append(v)),
        ("current", lambda v, p: v["x"]),
        ("cocontent", lambda v, p: 0.5 * (p["g"] * v**2).sum()),
        ("current_gradient", lambda v, p: {}),
        ("cocontent_gradient", lambda v, p: {"g": (v**2).sum(axis=0)}),
        ("conducts", lambda p: True),
        ("least_slope", lambda p: None),
        ("capacitance", lambda p: "1 pF"),
    ],
)
def test_a_law_of_wrong_shape_is_refused_by_name(name: str, law: Any) -> None:
    wrong = type("Wrong", (_Ohmic,), {name: staticmethod(law)})
    with pytest.raises(CircuitError, match=rf"device ohmic: its {name} (returns|fails)"):
        _circuit(wrong(1e-3))


class _Fuse(_Ohmic):
    kind: ClassVar[str] = "fuse"

    @staticmethod
    def conducts(p: Any) -> Any:
        return p["g"] > 0.0


def test_an_update_that_opens_a_device_of_ones_own_is_refused_by_name() -> None:
    import networkx as nx

    graph = nx.MultiDiGraph()
    graph.add_edge("a", "b", device=_Fuse(1e-3), name="D", trainable=True)
    graph.add_edge("b", "c", device=devices.Resistor(1e-3), name="R")
    circuit = aep.Circuit.from_graph(graph, inputs=["a"], outputs=["c"])
    bank = next(bank.name for bank in circuit.banks if bank.device is _Fuse)
    with pytest.raises(CircuitError, match=r"no conducting path|float"):
        circuit.with_parameters({f"{bank}.g": [0.0]})
