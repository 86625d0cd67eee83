"""Devices: one short file each, registered here by name.

To add one: write its file, derive from ``OnePort``, ``MultiPort`` or ``Constraint``, and add it to the list
below. The laws that every member obeys (derivatives, co-content, SPICE parity) are then tested by themselves.
"""

from analogep.devices.amplifier import BidirectionalAmplifier
from analogep.devices.base import Constraint, Device, MultiPort, OnePort, Parameter
from analogep.devices.capacitor import Capacitor
from analogep.devices.controlled import CCCS, CCVS, VCCS, VCVS
from analogep.devices.diode import Diode
from analogep.devices.ideal_diode import IdealDiode
from analogep.devices.inductor import Inductor
from analogep.devices.mosfet import NMOS, PMOS, Mosfet
from analogep.devices.resistor import Resistor
from analogep.devices.sinh_resistor import SinhResistor
from analogep.devices.sources import CurrentSource, VoltageSource
from analogep.devices.switch import Switch
from analogep.devices.waveforms import WAVEFORMS, PiecewiseLinear, Pulse, Sine, Waveform

REGISTRY: dict[str, type[Device]] = {
    device.kind: device
    for device in (
        Resistor,
        Capacitor,
        Inductor,
        VoltageSource,
        CurrentSource,
        Diode,
        IdealDiode,
        SinhResistor,
        VCVS,
        VCCS,
        CCVS,
        CCCS,
        NMOS,
        PMOS,
        Switch,
        BidirectionalAmplifier,
    )
}
"""Every device, by its ``kind``."""

__all__ = [
    "CCCS",
    "CCVS",
    "NMOS",
    "PMOS",
    "REGISTRY",
    "VCCS",
    "VCVS",
    "WAVEFORMS",
    "BidirectionalAmplifier",
    "Capacitor",
    "Constraint",
    "CurrentSource",
    "Device",
    "Diode",
    "IdealDiode",
    "Inductor",
    "Mosfet",
    "MultiPort",
    "OnePort",
    "Parameter",
    "PiecewiseLinear",
    "Pulse",
    "Resistor",
    "Sine",
    "SinhResistor",
    "Switch",
    "VoltageSource",
    "Waveform",
]
