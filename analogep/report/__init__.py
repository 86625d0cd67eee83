"""Figures of circuits, training and audits, ready for a paper.

Every figure function returns a :class:`matplotlib.figure.Figure` that belongs to no global state; write it
with :func:`save`. matplotlib is loaded on first use of one of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# No module here carries the name of a function: the import of the module would hide the function.
_WHERE = {
    "audit_figure": "analogep.report.audits",
    "conductance_maps": "analogep.report.maps",
    "confusion_matrix": "analogep.report.confusion",
    "learning_curve": "analogep.report.curves",
    "overview": "analogep.report.composite",
    "phase_voltages": "analogep.report.phases",
    "run_figures": "analogep.report.run",
    "save": "analogep.report.output",
    "schematic": "analogep.report.drawing",
}

__all__ = [
    "audit_figure",
    "conductance_maps",
    "confusion_matrix",
    "learning_curve",
    "overview",
    "phase_voltages",
    "run_figures",
    "save",
    "schematic",
]

if TYPE_CHECKING:
    from analogep.report.audits import audit_figure
    from analogep.report.composite import overview
    from analogep.report.confusion import confusion_matrix
    from analogep.report.curves import learning_curve
    from analogep.report.drawing import schematic
    from analogep.report.maps import conductance_maps
    from analogep.report.output import save
    from analogep.report.phases import phase_voltages
    from analogep.report.run import run_figures


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'analogep.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
