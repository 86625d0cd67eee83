"""Devices: one short file each, registered here by name.

To add one: write its file, derive from ``OnePort``, ``MultiPort`` or ``Constraint``, and add it to the list
below. The laws that every member obeys (derivatives, co-content, SPICE parity) are then tested by themselves.
"""

from analogep.devices.amplifier import BidirectionalAmplifier
from analogep.devices.base import Constraint, Device, MultiPort, OnePort, Parameter
from analogep.devices.capacitor import Capacitor
from analogep.devices.expressions.behavioural import (
    Behavioural,
    BehaviouralVoltage,
    behavioural,
    behavioural_class,
    behavioural_voltage,
)
from analogep.devices.inductor import Inductor
from analogep.devices.resistor import Resistor
from analogep.devices.semiconductors.diode import Diode
from analogep.devices.semiconductors.ideal_diode import IdealDiode
from analogep.devices.semiconductors.junction_diode import JunctionDiode
from analogep.devices.semiconductors.mosfet import NMOS, PMOS, Mosfet
from analogep.devices.sinh_resistor import SinhResistor
from analogep.devices.sources.controlled import CCCS, CCVS, VCCS, VCVS
from analogep.devices.sources.independent import CurrentSource, VoltageSource
from analogep.devices.sources.mutual_transconductance import MutualTransconductance
from analogep.devices.sources.waveforms import WAVEFORMS, PiecewiseLinear, Pulse, Sine, Waveform
from analogep.devices.switch import Switch
from analogep.devices.tanh_neuron import TanhNeuron
from analogep.errors import InputError
from analogep.kinds import checked

REGISTRY: dict[str, type[Device]] = {
    device.kind: device
    for device in (
        Resistor,
        Capacitor,
        Inductor,
        VoltageSource,
        CurrentSource,
        Diode,
        JunctionDiode,
        IdealDiode,
        SinhResistor,
        TanhNeuron,
        VCVS,
        VCCS,
        CCVS,
        CCCS,
        MutualTransconductance,
        NMOS,
        PMOS,
        Switch,
        BidirectionalAmplifier,
    )
}
"""Every device, by its ``kind``; behavioural sources, of which there is one class per expression, apart."""


class DeviceNameError(InputError, ValueError):
    """A name that no device has."""


@checked()
def device_name(device: type[Device]) -> str:
    """Return the name, without blanks, under which :func:`device_named` finds a device class."""
    if issubclass(device, Behavioural):
        return f"{device.kind}:{len(device.pins) - 2}:{device.expression}"
    return device.kind


@checked()
def device_named(name: str) -> type[Device]:
    """Return the device class of a name.

    Raises
    ------
    DeviceNameError
        If there is none; the message lists those that exist.
    """
    kind, _, rest = name.partition(":")
    controls, _, expression = rest.partition(":")
    for base in (Behavioural, BehaviouralVoltage):
        if kind == base.kind and controls.isdecimal() and len(controls) < 4:
            return behavioural_class(expression, int(controls), voltage=base is BehaviouralVoltage)
    if name in REGISTRY:
        return REGISTRY[name]
    raise DeviceNameError(
        f"{name!r} is no device; devices: {', '.join(REGISTRY)}, {Behavioural.kind}, {BehaviouralVoltage.kind}"
    )


__all__ = [
    "CCCS",
    "CCVS",
    "NMOS",
    "PMOS",
    "REGISTRY",
    "VCCS",
    "VCVS",
    "WAVEFORMS",
    "Behavioural",
    "BehaviouralVoltage",
    "BidirectionalAmplifier",
    "Capacitor",
    "Constraint",
    "CurrentSource",
    "Device",
    "Diode",
    "IdealDiode",
    "Inductor",
    "JunctionDiode",
    "Mosfet",
    "MultiPort",
    "MutualTransconductance",
    "OnePort",
    "Parameter",
    "PiecewiseLinear",
    "Pulse",
    "Resistor",
    "Sine",
    "SinhResistor",
    "Switch",
    "TanhNeuron",
    "VoltageSource",
    "Waveform",
    "behavioural",
    "behavioural_class",
    "behavioural_voltage",
    "device_name",
    "device_named",
]
