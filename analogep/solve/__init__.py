"""Solvers: operating points, transients and the adjoint, for a batch of inputs at a time."""

from analogep.solve.analyses.dc_sweep import DCSweep, dc_sweep
from analogep.solve.analyses.langevin import LangevinTrajectory, langevin
from analogep.solve.analyses.small_signal import port_conductance, time_constants
from analogep.solve.answers.solution import Solution
from analogep.solve.newton.newton import NewtonOptions
from analogep.solve.nudge import ConductanceNudge, CurrentNudge, Nudge, SineNudge
from analogep.solve.operating import METHODS, Method, operating_point
from analogep.solve.stable_points.spectrum import stability
from analogep.solve.time.transient import Trajectory, TransientOptions, transient

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
