"""Misuses of the public surface: every argument of every public callable, given values of wrong kinds.

The callables are found by walking the public names of the package, so that a later addition is covered: one
without an example of a good call in :data:`EXAMPLES`, and without a reason in :data:`EXEMPT`, counts as missing.
Each call is the good one with one argument replaced by one value of :data:`VALUES`. It ends as

ours        one of our errors
accepted    it returned, and the value is of the argument's kind (and in :data:`RIGHT`, if it is a number)
silent      it returned, and the value should have been refused
foreign     any other exception

Run: python experiments/misuses.py [--quick] [--only NAME]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

import analogep as aep
from analogep import devices, learning, networks, report, solve, spice, training
from analogep.errors import AnalogepError
from analogep.kinds import kind_of
from analogep.training.configuration.config import shipped

MODULES = ("analogep", *(f"analogep.{name}" for name in aep._MODULES))


def _itself() -> list[Any]:
    loop: list[Any] = [1.0]
    loop.append(loop)
    return loop


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "text": lambda: "many",
    "number as text": lambda: "1.0",
    "bytes": lambda: b"1",
    "fraction": lambda: 1.5,
    "-1": lambda: -1,
    "0": lambda: 0,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "2**70": lambda: 2**70,
    "10**400": lambda: 10**400,
    "2**40": lambda: 2**40,
    "1j": lambda: 1j,
    "[]": lambda: [],
    "[None]": lambda: [None],
    "['a']": lambda: ["a"],
    "[True]": lambda: [True],
    "[nan]": lambda: [float("nan")],
    "[-1]": lambda: [-1],
    "ragged": lambda: [[1.0, 2.0], [3.0]],
    "list in itself": _itself,
    "{}": dict,
    "{'x': 'y'}": lambda: {"x": "y"},
    "{1: 2}": lambda: {1: 2},
    "{1}": lambda: {1},
    "object": object,
    "class": lambda: int,
    "function": lambda: lambda *a, **k: None,
    "texts": lambda: np.array(["a", "b"]),
    "objects": lambda: np.array([object(), None]),
    "complex array": lambda: np.array([1j, 2.0]),
    "booleans": lambda: np.array([True, False]),
    "empty array": lambda: np.zeros((0, 2)),
    "cube": lambda: np.zeros((2, 2, 2)),
    "masked": lambda: np.ma.masked_array([1.0, 2.0], [False, True]),
    "generator": lambda: (k for k in range(3)),
    "date": lambda: date(2026, 1, 1),
    "error": lambda: ValueError("x"),
}
FEW = ("None", "True", "text", "fraction", "-1", "nan", "2**70", "[]", "['a']", "ragged", "{'x': 'y'}", "object")
"""What the quick run tries, which is a test."""

Call = tuple[Callable[..., Any], dict[str, Any]]


# --- things that good calls need --------------------------------------------------------------------------


@cache
def circuit() -> aep.Circuit:
    """Two inputs, a crossbar, a capacitor and one output: every analysis and rule takes it."""
    graph = nx.MultiDiGraph()
    for k in range(2):
        graph.add_edge(f"x{k}", "y", device=devices.Resistor(1e-4), name=f"R{k}", trainable=True, bank="W")
    graph.add_edge("y", "0", device=devices.Resistor(1e-4), name="L", bank="load")
    graph.add_edge("y", "0", device=devices.Capacitor(1e-9), name="C", bank="memory")
    return aep.Circuit.from_graph(graph, inputs=["x0", "x1"], outputs=["y"])


@cache
def net() -> aep.Circuit:
    return networks.deep_resistive([2, 2, 1], hidden="linear")


@cache
def point() -> solve.Solution:
    return aep.operating_point(circuit(), [[0.1, 0.2]])


@cache
def trajectory() -> solve.Trajectory:
    return aep.transient(circuit(), [[0.1, 0.2]], until=1e-5)


@cache
def config() -> training.TrainConfig:
    return training.TrainConfig.model_validate(
        {
            "name": "misuse",
            "data": {"name": "table", "inputs": [[0.0, 1.0], [1.0, 0.0]], "targets": [[0.1], [0.2]]},
            "network": {"hidden_layers": [2]},
            "training": {"epochs": 1, "rates": {f"{b}{k}": 1e-9 for k in (1, 2) for b in ()} | _rates()},
        }
    )


def _rates() -> dict[str, float]:
    return {f"{block}": 1e-9 for block in ("W1.conductance", "W2.conductance", "b1.amplitude", "b2.amplitude")}


@cache
def problem() -> training.Problem:
    return training.build_problem(config())


@cache
def run() -> training.Run:
    return training.train_problem(problem())


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="analogep-misuses-"))


@cache
def audited() -> learning.Audit:
    return learning.audit(circuit(), X, Y, rules=["EP centered"], fit=False)


@cache
def figure() -> Any:
    return report.learning_curve(run().table())


X, Y = [[0.1, 0.2]], [[0.05]]
BATCH = {"circuit": circuit, "inputs": X}
LEARN = {**BATCH, "targets": Y, "cost": learning.SquaredError, "solver": learning.NativeSolver}
G = 1e-4


def _graph() -> nx.MultiDiGraph:
    return circuit().to_graph()


def _netlist() -> str:
    return spice.to_netlist(circuit(), X)


EXAMPLES: dict[str, dict[str, Any]] = {
    "Bank": {
        "name": "b",
        "device": devices.Resistor,
        "pins": [[1, 0]],
        "values": {"conductance": [G]},
        "names": ("r",),
        "trainable": frozenset({"conductance"}),
    },
    "Circuit": {
        "nodes": ("0", "a"),
        "banks": lambda: (circuit_bank(),),
        "crossbars": (),
        "input_nodes": [1],
        "output_pairs": [[1, 0]],
        "waveforms": {},
        "transconductances": (),
        "checked": False,
    },
    "Circuit.from_graph": {"graph": _graph, "inputs": ["x0", "x1"], "outputs": ["y"]},
    "Circuit.node": {"name": "y"},
    "Circuit.input_array": {"inputs": X},
    "Circuit.with_parameters": {"values": {"W.conductance": [G, G]}},
    "Bank.element": {"e": 0},
    "Crossbar": {"name": "W", "rows": [1], "columns": [2], "conductance": [[G]], "trainable": True},
    "TransconductanceCrossbar": {
        "name": "W",
        "rows": [1],
        "columns": [2],
        "values": {"forward": [[G]]},
        "trainable": True,
    },
    "Solution.voltage": {"node": "y"},
    "Solution.bank_currents": {"name": "W"},
    "Solution.element": {"name": "R0"},
    "Trajectory.voltage": {"node": "y"},
    "Trajectory.current": None,
    "operating_point": {
        **BATCH,
        "nudge": lambda: solve.CurrentNudge(np.array([[1e-9]])),
        "method": "newton",
        "v0": point,
        "options": solve.NewtonOptions,
        "sweeps": 0,
    },
    "transient": {
        **BATCH,
        "until": 1e-6,
        "nudge": None,
        "v0": point,
        "options": solve.TransientOptions,
        "newton_options": solve.NewtonOptions,
        "start": "zero",
        "times": [1e-7, 1e-6],
    },
    "train": {"config": config, "progress": training.Progress},
    "thermal_voltage": {"temperature": 300.0},
    "behavioural": {"expression": "g*v(p,n)", "control": (), "g": 1.0},
    "behavioural_voltage": {"expression": "g*v(c)", "control": ("c",), "g": 1.0},
    "behavioural_class": {"expression": "v(p,n)", "controls": 0, "voltage": False},
    "device_name": {"device": devices.Resistor},
    "device_named": {"name": "resistor"},
    "Parameter": None,
    "Pulse": {"initial": 0.0, "pulsed": 1.0, "delay": 0.0, "rise": 0.0, "fall": 0.0, "width": 1.0, "period": 2.0},
    "Sine": {"offset": 0.0, "amplitude": 1.0, "frequency": 1.0, "delay": 0.0, "damping": 0.0, "phase": 0.0},
    "PiecewiseLinear": {"times": (0.0, 1.0), "values": (0.0, 1.0)},
    "SGD": {"rates": {"W.conductance": 1.0}, "bounds": {"W.conductance": (0.0, 1.0)}, "momentum": 0.5},
    "Adam": {
        "rates": {"W.conductance": 1.0},
        "bounds": {"W.conductance": (0.0, 1.0)},
        "decays": (0.9, 0.99),
        "epsilon": 1e-8,
    },
    "CoupledLearning": {"eta": 0.1, "variant": "positive"},
    "Cosine": {"epochs": 3, "final": 0.1},
    "Exponential": {"decay": 0.5},
    "WarmUp": {"epochs": 1, "then": learning.Constant},
    "CrossEntropy": {"scale": 1.0},
    "Hinge": {"margin": 0.1, "width": 0.01},
    "SoftmaxReadout": {"weights": [[1.0]], "bias": [0.0], "scale": 1.0},
    "EquilibriumPropagation": {
        "beta": 1e-6,
        "variant": "centered",
        "nudge": "error",
        "check": True,
        "rng": None,
    },
    "DoubledStateEP": {"beta": 1e-6, "tolerance": 1e-10},
    "FiniteDifference": {"step": 1e-4, "at": {}},
    "FrequencyPropagation": {
        "beta": 1e-6,
        "lag": 0.03,
        "frequency": None,
        "periods": 1,
        "steps": 16,
        "node_capacitance": 1e-12,
    },
    "HolomorphicEP": {
        "radius": 1e-6,
        "points": 4,
        "nudge": "error",
        "check": True,
        "options": solve.NewtonOptions,
    },
    "NativeSolver": {"method": "auto", "options": solve.NewtonOptions},
    "NonReciprocalEP": {"beta": 1e-6, "variant": "centered", "nudge": "error", "options": solve.NewtonOptions},
    "VectorFieldEP": {"beta": 1e-6, "variant": "centered", "nudge": "error"},
    "TruncatedBackprop": {"steps": 5, "step": None, "node_capacitance": 1e-12},
    "audit": {
        **LEARN,
        "beta": None,
        "rules": ["EP centered"],
        "fit": False,
        "noise": 0.0,
        "averages": 1,
        "rng": lambda: np.random.default_rng(0),
    },
    "Audit.row": {"rule": "EP centered", "block": "W.conductance"},
    "energy_scale": {"circuit": circuit},
    "largest_safe_beta": {"circuit": circuit},
    "suggest_beta": {
        **{key: LEARN[key] for key in ("circuit", "inputs", "targets", "cost")},
        "noise": 0.0,
        "averages": 1,
        "temperature": 300.0,
        "node_capacitance": 1e-12,
    },
    "Optimizer.step": {
        "parameters": {"W.conductance": np.ones(1)},
        "gradient": {"W.conductance": np.ones(1)},
        "state": None,
        "factor": 1.0,
    },
    "Optimizer.check": {"blocks": ["W.conductance"]},
    "SGD.check": {"blocks": ["W.conductance"]},
    "Adam.check": {"blocks": ["W.conductance"]},
    "SoftmaxReadout.with_parameters": {
        "parameters": {"readout.weights": np.ones((1, 1)), "readout.bias": np.ones(1)},
    },
    "crossbar": {"conductance": [[G]], "load": G, "trainable": True},
    "deep_resistive": {
        "layers": [2, 2, 1],
        "hidden": "split",
        "diode": devices.Diode,
        "rails": (0.0, 0.0),
        "amplifier": None,
        "bias": "lines",
        "bias_voltages": (1.0, -1.0),
        "paired_outputs": False,
        "initial": None,
        "rng": lambda: np.random.default_rng(0),
    },
    "lattice": {
        "rows": 3,
        "columns": 3,
        "inputs": 1,
        "outputs": 1,
        "periodic": False,
        "bias_voltages": (1.0,),
        "paired_outputs": False,
        "edge": lambda: devices.Resistor(G),
        "initial": (G, 2 * G),
        "rng": lambda: np.random.default_rng(0),
    },
    "disordered": {
        "nodes": 8,
        "inputs": 1,
        "outputs": 1,
        "bias_voltages": (1.0,),
        "paired_outputs": False,
        "edge": lambda: devices.Resistor(G),
        "initial": (G, 2 * G),
        "rng": lambda: np.random.default_rng(0),
    },
    "hopfield": {
        "layers": [2, 2, 1],
        "activation": "tanh",
        "coupling": "both",
        "leak": G,
        "limit": 1.0,
        "bias": True,
        "linear_outputs": False,
        "initial": None,
        "alike": False,
        "rng": lambda: np.random.default_rng(0),
    },
    "feedforward": {
        "layers": [2, 2, 1],
        "activation": "tanh",
        "leak": G,
        "limit": 1.0,
        "bias": True,
        "initial": None,
        "rng": lambda: np.random.default_rng(0),
    },
    "hopfield_graph": {
        "edges": [[0, 1]],
        "weights": [G],
        "inputs": [0],
        "outputs": [1],
        "activation": "tanh",
        "leak": G,
        "limit": 1.0,
        "bias": True,
    },
    "memristor_hopfield": {
        "layers": [1, 1],
        "weights": {"W1": [[G]]},
        "leak": G,
        "limit": 1.0,
        "lowest": 1e-7,
        "gain": 1e6,
        "capacitance": 1e-12,
    },
    "positive_part": {"scale": G, "gain": 1.0},
    "glorot": {"scale": G, "gain": 1.0},
    "uniform": {"low": G, "high": 2 * G},
    "audit_figure": {"audit": audited},
    "conductance_maps": {"circuit": net, "initial": None, "bounds": None},
    "confusion_matrix": {"labels": [0, 1], "predictions": [0, 1], "class_names": ["a", "b"]},
    "learning_curve": {"metrics": lambda: run().table()},
    "overview": {
        "circuit": net,
        "metrics": lambda: run().table(),
        "free": lambda: aep.operating_point(net(), X),
        "nudged": lambda: {"+β": aep.operating_point(net(), X)},
        "labels": [0, 1],
        "predictions": [0, 1],
        "initial": None,
        "image": None,
        "sample": 0,
        "class_names": None,
    },
    "phase_voltages": {
        "circuit": circuit,
        "free": point,
        "nudged": lambda: {"+β": point()},
        "sample": 0,
    },
    "run_figures": {"run": run, "folder": folder},
    "save": {"figure": figure, "path": lambda: folder() / "x.png"},
    "schematic": {"circuit": net},
    "ConductanceNudge": {"beta": 1e-6, "target": [[0.1]]},
    "CurrentNudge": {"current": [[1e-9]]},
    "SineNudge": {"amplitude": [[1e-9]], "frequency": 1e3},
    "NewtonOptions": {
        "voltage_tolerance": 1e-9,
        "residual_tolerance": 1e-12,
        "current_tolerance": 1e-18,
        "max_iterations": 200,
    },
    "TransientOptions": {
        "absolute": 1e-6,
        "relative": 1e-4,
        "current_absolute": 1e-9,
        "node_capacitance": 1e-12,
        "max_steps": 1000,
        "method": "tr-bdf2",
        "step": None,
        "max_step": None,
    },
    "dc_sweep": {"circuit": circuit, "name": "x0", "values": [0.1, 0.2], "inputs": X, "method": "auto"},
    "DCSweep.voltage": {"node": "y"},
    "DCSweep.bank_currents": {"name": "W"},
    "langevin": {
        **BATCH,
        "duration": 1e-6,
        "step": 1e-7,
        "rng": lambda: np.random.default_rng(0),
        "temperature": 300.0,
        "node_capacitance": 1e-12,
    },
    "LangevinTrajectory.voltage": {"node": "y"},
    "port_conductance": {**BATCH, "ports": ["y"], "method": "auto"},
    "time_constants": {**BATCH, "count": 1, "node_capacitance": 1e-12, "method": "auto"},
    "stability": {"solution": point, "node_capacitance": 1e-12},
    "SpiceSolver": {"engine": "ngspice", "fold_inputs": True, "timeout": 60.0},
    "NgspiceEngine": {"timeout": 60.0},
    "compare": {
        **BATCH,
        "nudges": None,
        "engine": "ngspice",
        "tolerance": 1e-6,
        "timeout": 60.0,
        "fold_inputs": False,
    },
    "from_netlist": {"text": _netlist, "source": "here", "base": None, "inputs": None, "outputs": None},
    "read_netlist": {"text": _netlist, "source": "here", "base": None, "inputs": None, "outputs": None},
    "read_file": {"path": lambda: folder() / "none.cir", "inputs": None, "outputs": None},
    "spice.operating_point": {**BATCH, "nudge": None, "engine": "ngspice", "timeout": 60.0, "fold_inputs": False},
    "spice.transient": {**BATCH, "until": 1e-6, "nudge": None, "v0": None},
    "to_netlist": {
        **BATCH,
        "dialect": "ngspice",
        "nudge": None,
        "title": "t",
        "sample": 0,
        "fold_inputs": False,
        "nodeset": None,
        "hierarchy": "flat",
    },
    "to_pyspice": {**BATCH, "nudge": None, "title": "t", "sample": 0},
    "write": {"folder": lambda: folder() / "w", **BATCH, "nudge": None, "title": "t"},
    "DataSet": {
        "name": "d",
        "train": lambda: part(),
        "test": lambda: part(),
        "classes": 2,
        "image": None,
        "tolerance": 0.0,
        "validation": None,
        "class_names": (),
    },
    "Part": {"features": np.ones((2, 2)), "labels": np.array([0, 1]), "targets": None, "full_scale": 1.0},
    "VoltageEncoder": {
        "gain": 1.0,
        "center": 0.0,
        "doubled": True,
        "bias": (),
        "mean": 0.0,
        "deviation": 1.0,
    },
    "VoltageEncoder.__call__": {"features": np.ones((1, 2))},
    "VoltageEncoder.single": {"features": np.ones((1, 2))},
    "VoltageEncoder.decode": {"volts": np.ones((1, 2))},
    "build_problem": {"config": config, "parameters": None, "circuit": None},
    "load_config": {"path": str(next(iter(shipped())))},
    "predictions": {"scores": [[0.1, 0.2]]},
    "train_problem": {"problem": problem, "progress": training.Progress},
}
"""A good call of each callable: its arguments, made anew where they are functions; ``None``: without arguments."""


def circuit_bank() -> aep.Bank:
    return aep.Bank("r", devices.Resistor, np.array([[1, 0]]), {"conductance": np.array([G])}, ("r1",))


def part() -> training.Part:
    return training.Part(np.ones((2, 2)), np.array([0, 1]))


for _device in devices.REGISTRY.values():
    EXAMPLES[_device.__name__] = {
        key: info.default if info.default is not None else 1e-3 for key, info in _device.parameters().items()
    }
for _rule in ("Adjoint", "EquilibriumPropagation", "ContrastiveLearning", "CoupledLearning", "DoubledStateEP"):
    EXAMPLES[f"{_rule}.gradient"] = LEARN
for _rule in ("FiniteDifference", "FrequencyPropagation", "HolomorphicEP", "NonReciprocalEP", "VectorFieldEP"):
    EXAMPLES[f"{_rule}.gradient"] = LEARN
EXAMPLES["TruncatedBackprop.gradient"] = LEARN

SELF: dict[str, Callable[[], Any]] = {
    "Circuit": circuit,
    "Solution": point,
    "Trajectory": trajectory,
    "DCSweep": lambda: solve.dc_sweep(circuit(), "x0", [0.1], X),
    "LangevinTrajectory": lambda: solve.langevin(circuit(), X, 1e-6, 1e-7, np.random.default_rng(0)),
    "Audit": audited,
    "Optimizer": lambda: learning.SGD({"W.conductance": 1.0}),
    "SGD": lambda: learning.SGD({"W.conductance": 1.0}),
    "Adam": lambda: learning.Adam({"W.conductance": 1.0}),
    "SoftmaxReadout": lambda: learning.SoftmaxReadout(np.ones((1, 1)), np.zeros(1)),
    "Bank": circuit_bank,
    "VoltageEncoder": training.VoltageEncoder,
}
"""What methods are called on, where it is not what the class makes of its example."""

_MADE = "made by the package and read by its users; its arguments are checked where it is made"
_LAW = "called by engines, with arrays that the entries have checked"
_BASE = "a base or a protocol, whose parts are checked at the definition of a subclass"
EXEMPT: dict[str, str] = {
    **dict.fromkeys(("Solution", "Trajectory", "LangevinTrajectory", "DCSweep", "Gradient", "Audit"), _MADE),
    **dict.fromkeys(("AuditRow", "BetaSuggestion", "Run", "EpochMetrics", "ParityReport", "Netlist"), _MADE),
    **dict.fromkeys(("SpiceTrajectory", "Interrupted", "Problem", "Fault", "Parameter", "evaluate"), _MADE),
    **dict.fromkeys(("SpiceTrajectory.voltage", "Trajectory.current"), "as Trajectory.voltage, of another engine"),
    **dict.fromkeys(("Behavioural", "BehaviouralVoltage", "Constraint", "Device", "Mosfet", "MultiPort"), _BASE),
    **dict.fromkeys(("OnePort", "Waveform", "Cost", "Optimizer", "Rule", "Schedule", "Solver", "Nudge"), _BASE),
    "TrainConfig": "checked by its sections; see tests/test_training_config.py",
    "PySpiceEngine": "needs an extra; its argument is NgspiceEngine's",
    "Circuit.reuse": "for engines, which keep with a circuit what they derived from it",
}
OF_ENGINES = {
    *("curvature", "value", "gradient", "nudge", "scores", "target_count", "hessian", "probabilities"),
    *("parameter_gradient", "evaluate", "select", "at", "directions", "clip", "factor", "run", "netlist"),
    *("batch", "epoch", "resumed", "start", "numbers", "take", "element_name", "rule_at", "check_beta", "fitted"),
    *("lines", "singles", "changed"),
}
"""Methods that engines and runners call, or that take what is counted from an array."""


# --- the walk ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Callable_:
    """A public callable with a good call of it."""

    name: str
    function: Callable[..., Any]
    example: dict[str, Any]
    parameters: tuple[str, ...]


def public() -> Iterator[tuple[str, Any]]:
    """Yield the public callables of the package, methods of classes included, by a short name."""
    seen: set[int] = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module_name]
        names = getattr(module, "__all__", own)
        for name in names:
            found = getattr(module, name)
            if not callable(found) or not getattr(found, "__module__", "").startswith("analogep"):
                continue
            if id(found) in seen or "." not in getattr(found, "__module__", ""):
                continue
            seen.add(id(found))
            if isinstance(found, type) and issubclass(found, BaseException):
                continue  # errors and warnings are raised by us
            short = f"spice.{name}" if module_name == "analogep.spice" and f"spice.{name}" in EXAMPLES else name
            yield short, found
            if isinstance(found, type) and not issubclass(found, (devices.Device, devices.Waveform)):
                yield from _methods(short, found)


def _methods(name: str, owner: type) -> Iterator[tuple[str, Any]]:
    for key in dir(owner):
        static = inspect.getattr_static(owner, key)
        inner = static.__func__ if isinstance(static, (staticmethod, classmethod)) else static
        if not inspect.isfunction(inner) or not inner.__module__.startswith("analogep"):
            continue
        if (key.startswith("_") and key != "__call__") or len(inspect.signature(inner).parameters) < 2:
            continue
        home = next((base.__name__ for base in owner.__mro__ if key in vars(base)), name)
        if f"{name}.{key}" in EXAMPLES or home == owner.__name__:
            yield f"{name}.{key}", inner
        elif f"{home}.{key}" in EXAMPLES and home == "Optimizer" and name == "SGD":
            yield f"{home}.{key}", inner


def good(example: dict[str, Any], function: Any) -> dict[str, Any]:
    """Return the arguments of a good call, made where the example gives functions for them."""
    kinds = {"device": type, "function": type}
    out = {}
    for key, value in example.items():
        make = callable(value) and not (isinstance(value, type) and key in kinds)
        out[key] = value() if make else value
    return out


def callables() -> tuple[list[Callable_], list[str]]:
    """Return the callables that have a good call, and the names of those that lack one."""
    found, missing = [], []
    for name, function in public():
        owner, _, method = name.rpartition(".")
        if name in EXEMPT or (owner and name not in EXAMPLES and (method in OF_ENGINES or owner in EXEMPT)):
            continue
        if owner and name not in EXAMPLES and method == "__call__":
            continue  # a solver: its arguments are those of operating_point
        parameters = inspect.signature(function).parameters
        wanted = tuple(n for n in parameters if n not in ("self", "cls", "topology", "control", "waveform"))
        if not wanted:
            continue
        if EXAMPLES.get(name) is None:
            missing.append(name)
            continue
        found.append(Callable_(name, function, EXAMPLES[name], tuple(EXAMPLES[name])))
    return found, missing


def call(of: Callable_, arguments: dict[str, Any]) -> Any:
    """Call a callable, a method on its object."""
    owner, _, method = of.name.rpartition(".")
    if owner and owner != "spice":
        of_object = SELF[owner]() if owner in SELF else getattr(learning, owner)()
        return getattr(of_object, method)(**arguments)
    arguments = dict(arguments)
    first = [
        arguments.pop(n)
        for n, p in inspect.signature(of.function).parameters.items()
        if p.kind is p.POSITIONAL_ONLY and n in arguments
    ]
    return of.function(*first, **arguments)


# --- outcomes ------------------------------------------------------------------------------------------------

NUMBERS = {"-1", "nan", "inf", "[-1]", "[nan]", "empty array", "cube", "[]"}
"""Values of a right kind whose size or shape may be wrong: accepted only where :data:`RIGHT` says so."""

RIGHT: tuple[tuple[str, str, str], ...] = (
    ("Bank", "*", "*"),  # with its circuit, whose nodes it names
    ("Crossbar", "*", "*"),
    ("TransconductanceCrossbar", "*", "*"),
    ("Circuit", "*", "[[]]"),
    ("Circuit", "*", "empty array"),
    ("Circuit.from_graph", "*", "[[]]"),
    ("ConductanceNudge", "*", "*"),  # with the circuit's outputs
    ("CurrentNudge", "*", "*"),
    ("SineNudge", "amplitude", "*"),
    ("thermal_voltage", "temperature", "*"),  # a formula
    ("behavioural*", "control", "*"),
    ("behavioural*", "g", "*"),
    ("*", "targets", "-1"),
    ("*", "targets", "0"),
    ("*", "targets", "[[]-1]"),
    ("*", "bias_voltages", "*"),
    ("*", "bias", "[[]-1]"),
    ("hopfield_graph", "weights", "[[]-1]"),
    ("hopfield_graph", "*puts", "*"),
    ("Circuit.from_graph", "*puts", "empty array"),
    ("DataSet", "class_names", "[[]]"),
    ("TransientOptions", "max_step", "inf"),
    ("dc_sweep", "values", "[[]-1]"),
    ("VoltageEncoder", "*", "[[]-1]"),
    ("VoltageEncoder.*", "*", "empty array"),  # no samples, no voltages
    ("predictions", "scores", "empty array"),
    ("SGD", "*", "*"),  # looked at by check() and step()
    ("Adam", "*", "*"),
    ("Pulse", "*", "*"),  # waveforms look at their own numbers
    ("Sine", "*", "*"),
    ("VoltageEncoder", "*", "-1"),
    ("VoltageEncoder", "bias", "*"),
)
"""Callable, argument and value (patterns) that are rightly accepted, looked at one by one."""


LONG: tuple[tuple[str, str, str], ...] = (
    ("langevin", "duration", "fraction"),  # right, and millions of steps
    ("audit", "rules", "None"),  # every rule there is
    ("spice.transient", "until", "2[*][*]40"),
    ("*", "solver", "function"),  # of the right kind; what it returns is its author's
)
"""Misuses that are none and take long, which are not tried."""


def right(of: Callable_, parameter: str, value_name: str) -> bool:
    """Return whether a number, or an empty list, that was accepted is within what the argument may be."""
    if isinstance(of.function, type) and issubclass(of.function, devices.Device):
        info, value = of.function.parameters()[parameter], VALUES[value_name]()
        return bool(np.isfinite(value)) and info.low <= value <= info.high
    place = (of.name, parameter, value_name)
    return any(all(map(fnmatch, place, pattern)) for pattern in RIGHT)


def kind_accepts(of: Callable_, parameter: str, value: Any) -> bool:
    """Return whether a value is of the kind that the annotation of an argument says."""
    hints = of.function.__init__.__annotations__ if isinstance(of.function, type) else of.function.__annotations__
    hint = hints.get(parameter, Any)
    module = importlib.import_module(of.function.__module__)
    if isinstance(hint, str):
        hint = eval(hint, dict(vars(module)), {"nx": nx})
    return kind_of(hint)[0](value)


def outcome(of: Callable_, parameter: str, value_name: str) -> tuple[str, str]:
    """Return how one misuse ends, and what was said."""
    arguments = good(of.example, of.function)
    arguments[parameter] = VALUES[value_name]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(of, arguments)
    except AnalogepError as error:
        return "ours", str(error)
    except Exception as error:
        return "foreign", f"{type(error).__name__}: {error}"
    fits = kind_accepts(of, parameter, VALUES[value_name]())
    if fits and (value_name not in NUMBERS or right(of, parameter, value_name)):
        return "accepted", ""
    return "silent", "of the right kind, but is it right?" if fits else "of a wrong kind"


def campaign(
    values: tuple[str, ...], only: str = "", skip: tuple[str, ...] = ()
) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Return the outcome of every misuse with these values, by callable, argument and value.

    Parameters
    ----------
    values
        Names of the values to try.
    only
        Try callables whose name holds this.
    skip
        Names of callables not to try.
    """
    found, missing = callables()
    out: dict[tuple[str, str, str], tuple[str, str]] = {
        (name, "", ""): ("missing", "give an example of a good call, or a reason") for name in missing
    }
    for of in found:
        if only not in of.name or of.name in skip:
            continue
        for parameter in of.parameters:
            for value in values:
                place = (of.name, parameter, value)
                if not any(all(map(fnmatch, place, pattern)) for pattern in LONG):
                    out[place] = outcome(of, parameter, value)
    return out


def main() -> None:
    """Print the count of each outcome, and every misuse that did not end well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="try few values, as the test does")
    parser.add_argument("--only", default="", help="callables whose name holds this")
    options = parser.parse_args()
    began = time.perf_counter()
    found = campaign(FEW if options.quick else tuple(VALUES), options.only)
    for (name, parameter, value), (how, what) in found.items():
        if how in ("foreign", "silent", "missing"):
            print(f"{how:8} {name}({parameter} = {value}): {what[:150]}")
    counts = Counter(how for how, _ in found.values())
    print(
        f"{len(found)} misuses in {time.perf_counter() - began:.1f} s: "
        + ", ".join(f"{counts[how]} {how}" for how in ("ours", "accepted", "silent", "foreign", "missing"))
    )


if __name__ == "__main__":
    main()
