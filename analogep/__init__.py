"""analogep: analog circuits that learn by equilibrium propagation.

The public names load on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from analogep.version import __version__

_WHERE = {
    "Circuit": "analogep.circuit",
    "Bank": "analogep.circuit",
    "Crossbar": "analogep.circuit",
    "TransconductanceCrossbar": "analogep.circuit",
    "Solution": "analogep.solve",
    "operating_point": "analogep.solve",
    "transient": "analogep.solve",
    "train": "analogep.training",
}
_MODULES = (
    "constants",
    "devices",
    "errors",
    "learning",
    "networks",
    "report",
    "solve",
    "spice",
    "training",
)

__all__ = [
    "Bank",
    "Circuit",
    "Crossbar",
    "Solution",
    "TransconductanceCrossbar",
    "__version__",
    "constants",
    "devices",
    "errors",
    "learning",
    "networks",
    "operating_point",
    "report",
    "solve",
    "spice",
    "train",
    "training",
    "transient",
]

if TYPE_CHECKING:
    from analogep import constants, devices, errors, learning, networks, report, solve, spice, training
    from analogep.circuit import Bank, Circuit, Crossbar, TransconductanceCrossbar
    from analogep.solve import Solution, operating_point
    from analogep.solve.time.transient import transient
    from analogep.training import train


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"analogep.{name}")
    raise AttributeError(f"module 'analogep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
