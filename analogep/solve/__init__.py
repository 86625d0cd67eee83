"""Solvers: operating points, transients and the adjoint, for a batch of inputs at a time."""

from analogep.solve.dc_sweep import DCSweep, dc_sweep
from analogep.solve.langevin import LangevinTrajectory, langevin
from analogep.solve.newton import NewtonOptions
from analogep.solve.nudge import ConductanceNudge, CurrentNudge, Nudge, SineNudge
from analogep.solve.operating import METHODS, Method, operating_point
from analogep.solve.small_signal import port_conductance, time_constants
from analogep.solve.solution import Solution
from analogep.solve.stability import stability
from analogep.solve.transient import Stored, Trajectory, TransientOptions, transient

__all__ = [
    "METHODS",
    "ConductanceNudge",
    "CurrentNudge",
    "DCSweep",
    "LangevinTrajectory",
    "Method",
    "NewtonOptions",
    "Nudge",
    "SineNudge",
    "Solution",
    "Stored",
    "Trajectory",
    "TransientOptions",
    "dc_sweep",
    "langevin",
    "operating_point",
    "port_conductance",
    "stability",
    "time_constants",
    "transient",
]
