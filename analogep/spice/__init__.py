"""SPICE: netlists out and in, ngspice and PySpice as engines, and their agreement with the native solver."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {
    "to_netlist": "analogep.spice.writing.writer",
    "from_netlist": "analogep.spice.reading.reader",
    "read_file": "analogep.spice.reading.reader",
    "read_netlist": "analogep.spice.reading.reader",
    "Netlist": "analogep.spice.reading.reader",
    "operating_point": "analogep.spice.engines.operating_point",
    "find_ngspice": "analogep.spice.engines.ngspice",
    "NgspiceEngine": "analogep.spice.engines.ngspice",
    "PySpiceEngine": "analogep.spice.engines.pyspice_engine",
    "SpiceSolver": "analogep.spice.engines.solver",
    "SpiceTrajectory": "analogep.spice.engines.time_domain",
    "transient": "analogep.spice.engines.time_domain",
    "compare": "analogep.spice.parity",
    "ParityReport": "analogep.spice.parity",
    "to_pyspice": "analogep.spice.engines.pyspice",
    "write": "analogep.spice.writing.wrapper",
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
    from analogep.spice.engines.ngspice import NgspiceEngine, find_ngspice
    from analogep.spice.engines.operating_point import operating_point
    from analogep.spice.engines.pyspice import to_pyspice
    from analogep.spice.engines.pyspice_engine import PySpiceEngine
    from analogep.spice.engines.solver import SpiceSolver
    from analogep.spice.engines.time_domain import SpiceTrajectory, transient
    from analogep.spice.parity import ParityReport, compare
    from analogep.spice.reading.reader import Netlist, from_netlist, read_file, read_netlist
    from analogep.spice.writing.wrapper import write
    from analogep.spice.writing.writer import to_netlist


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'analogep.spice' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
