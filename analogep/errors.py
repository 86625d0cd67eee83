"""Every error analogep raises on purpose: what is wrong, where, and the remedy.

The command line turns each :class:`AnalogepError` into a message and exit code 2; anything else is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_FAULTS = 30
"""Faults that one message spells out; all of them are in ``FaultsError.faults``."""


class AnalogepError(Exception):
    """Base of all errors that a user can cause and mend."""


@dataclass(frozen=True)
class Fault:
    """One fault of an input: the element (or key, or node) that has it, what is wrong, and the remedy."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class FaultsError(AnalogepError):
    """An input with one or more faults, all reported at once.

    Parameters
    ----------
    subject
        What was being checked, for the first line of the message.
    faults
        Every fault found, in the order of the input; the message spells out the first ``SHOWN_FAULTS``.
    """

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = [f"{subject} has {count}:", *(f"  - {fault}" for fault in self.faults[:SHOWN_FAULTS])]
        if len(self.faults) > SHOWN_FAULTS:
            lines.append(f"  - and {len(self.faults) - SHOWN_FAULTS} more")
        super().__init__("\n".join(lines))


class CircuitError(FaultsError):
    """A circuit that cannot be built or solved as described."""


class ConfigError(FaultsError):
    """A configuration file or mapping with unknown, missing or impossible entries."""


class DataError(FaultsError):
    """A data set that cannot be had: no network, a damaged file, arrays or tables that do not fit together."""


class NetlistError(FaultsError):
    """A netlist that cannot be read, or a circuit that a dialect cannot express."""


class InputError(AnalogepError):
    """Arguments (inputs, targets, β, file names) that do not fit the circuit or the command."""


class ConvergenceError(AnalogepError):
    """No operating point was found; the message names the worst node and the remedy."""


class RuleError(AnalogepError):
    """A learning rule was asked for what it cannot do on this circuit; names the element and another rule."""


class EngineError(AnalogepError):
    """An external simulator is missing, failed, or gave a result that does not satisfy Kirchhoff's laws."""


class AnalogepWarning(UserWarning):
    """Base of all warnings: what the answer does not say, or what was asked for and has no effect."""


class OptionWarning(AnalogepWarning):
    """Options of a netlist that have no effect on the native solver."""


class ScriptWarning(AnalogepWarning):
    """Commands of a netlist's script whose results are not shown."""


class StartWarning(AnalogepWarning):
    """Nodes of ``.ic`` that a transient does not start at: the charges of capacitors add up to others."""


class GradientWarning(AnalogepWarning):
    """An estimate of a gradient is less than it seems: lost in rounding, or zero because outputs cannot move."""


class LooselyHeldWarning(AnalogepWarning):
    """Voltages that rounding leaves unknown, since next to nothing holds their node; it names it."""


class UnstableWarning(AnalogepWarning):
    """An operating point at which the circuit does not stay: names the sample, the node and the rate."""


class VoltageWarning(AnalogepWarning):
    """Input voltages far beyond what a feature of 1 stands for: data that nothing scales."""
