"""Whole epochs of equilibrium propagation, compiled: chains of crossbars at the speed of the memory bus.

``shape`` says which circuits are chains, ``chain`` lays their values out, ``sums`` counts what follows from them;
``kernels`` holds the compiled loops, ``scratch`` gives them room and addresses, ``epochs`` runs them on all cores.
"""

from analogep.learning.fused.chain import Chain
from analogep.learning.fused.epochs import FusedEpochs, FusedSettings
from analogep.learning.fused.shape import NotAChain, why_not

__all__ = ["Chain", "FusedEpochs", "FusedSettings", "NotAChain", "why_not"]
