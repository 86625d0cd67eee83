"""SPICE: netlists out and in, ngspice and PySpice as engines, and their agreement with the native solver."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {
    "to_netlist": "analogep.spice.writer",
    "from_netlist": "analogep.spice.reader",
    "read_file": "analogep.spice.reader",
    "read_netlist": "analogep.spice.reader",
    "Netlist": "analogep.spice.reader",
    "operating_point": "analogep.spice.engine",
    "find_ngspice": "analogep.spice.ngspice",
    "NgspiceEngine": "analogep.spice.ngspice",
    "PySpiceEngine": "analogep.spice.pyspice_engine",
    "SpiceSolver": "analogep.spice.solver",
    "SpiceTrajectory": "analogep.spice.time_domain",
    "transient": "analogep.spice.time_domain",
    "compare": "analogep.spice.parity",
    "ParityReport": "analogep.spice.parity",
    "to_pyspice": "analogep.spice.pyspice",
    "write": "analogep.spice.wrapper",
}

__all__ = [
    "Netlist",
    "NgspiceEngine",
    "ParityReport",
    "PySpiceEngine",
    "SpiceSolver",
    "SpiceTrajectory",
    "compare",
    "find_ngspice",
    "from_netlist",
    "operating_point",
    "read_file",
    "read_netlist",
    "to_netlist",
    "to_pyspice",
    "transient",
    "write",
]

if TYPE_CHECKING:
    from analogep.spice.engine import operating_point
    from analogep.spice.ngspice import NgspiceEngine, find_ngspice
    from analogep.spice.parity import ParityReport, compare
    from analogep.spice.pyspice import to_pyspice
    from analogep.spice.pyspice_engine import PySpiceEngine
    from analogep.spice.reader import Netlist, from_netlist, read_file, read_netlist
    from analogep.spice.solver import SpiceSolver
    from analogep.spice.time_domain import SpiceTrajectory, transient
    from analogep.spice.wrapper import write
    from analogep.spice.writer import to_netlist


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'analogep.spice' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
