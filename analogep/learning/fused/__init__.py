"""Whole epochs of equilibrium propagation, compiled: chains of crossbars at the speed of the memory bus.

``chain`` says which circuits are chains and lays their values out; ``kernels`` holds the compiled loops;
``epochs`` runs them on all cores.
"""

from analogep.learning.fused.chain import Chain, NotAChain, why_not
from analogep.learning.fused.epochs import FusedEpochs, FusedSettings

__all__ = ["Chain", "FusedEpochs", "FusedSettings", "NotAChain", "why_not"]
