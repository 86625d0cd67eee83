"""The device parameters that D, M and S lines mean by their model, temperature and geometry."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analogep.constants import (
    BOLTZMANN,
    ELEMENTARY_CHARGE,
    NOMINAL_TEMPERATURE,
    thermal_voltage,
)
from analogep.spice.dialects.ngspice import NGSPICE
from analogep.spice.reading.cards import Cards
from analogep.spice.reading.models import KINDS, Model, kelvin
from analogep.spice.text.statements import Statement


def model_of(statement: Statement, cards: Cards) -> Model:
    """Return the model of a D, M or S line.

    Raises
    ------
    ValueError
        If it is not defined, or for another type of element.
    """
    name = statement.reference
    shown = name.rpartition(":")[2]
    model = cards.models.get(name)
    if model is None:
        raise ValueError(f"{statement.name}: model {shown} is not defined")
    if KINDS[model.kind].letter != statement.letter:
        raise ValueError(f"{statement.name}: model {shown} is a {model.kind.upper()}")
    return model


def is_plain_diode(statement: Statement, cards: Cards) -> bool:
    """Return whether a D line's model neither stores charge nor breaks down.

    Raises
    ------
    ValueError
        If the model is not defined.
    """
    card = model_of(statement, cards).values
    return "bv" not in card and card["cjo"] == 0.0 and card["tt"] == 0.0


def series_resistance(statement: Statement, cards: Cards) -> float:
    """Return the series resistance [Ω] of a D line.

    Raises
    ------
    ValueError
        If the model is not defined.
    """
    return model_of(statement, cards).values["rs"] / statement.extras.get("area", 1.0)


def diode_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.Diode` for a D line, in SI units.

    Where the model's ``tnom`` is not the diode's temperature, the saturation current follows SPICE's law
    Is (T/Tnom)^(XTI/N) exp((T/Tnom - 1) Eg/(N kT/q)) (ngspice manual, section "Diode model").

    Raises
    ------
    ValueError
        If the model is not defined or its parameters are illegal.
    """
    card = model_of(statement, cards).values
    shown = statement.reference.rpartition(":")[2]
    hot, nominal = _temperatures(statement, card, cards)
    saturation, n = card["is"], card["n"]
    if not (saturation > 0 and n > 0 and card["rs"] >= 0):
        raise ValueError(f"{statement.name}: model {shown} needs is > 0, n > 0 and rs >= 0")
    if hot != nominal:
        thermal = n * thermal_voltage(hot)
        ratio = hot / nominal
        try:
            saturation *= math.exp((ratio - 1.0) * card["eg"] / thermal) * math.pow(ratio, card["xti"] / n)
        except OverflowError:
            raise ValueError(f"{statement.name}: its saturation current overflows at {hot:g} K") from None
    area = statement.extras.get("area", 1.0)
    if not area > 0:
        raise ValueError(f"{statement.name}: area must be positive")
    least = NGSPICE.limits.smallest_saturation
    if saturation * area < least:
        raise ValueError(
            f"{statement.name}: is = {saturation * area:g} A is below {least:g} A, which ngspice takes instead; "
            "give at least that"
        )
    return {
        "saturation_current": saturation * area,
        "emission": n,
        "series_resistance": card["rs"] / area,
        "gmin": cards.gmin,
        "temperature": hot,
    }


def junction_diode_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.JunctionDiode` for a D line, in SI units.

    Where the model's ``tnom`` is not the diode's temperature, junction capacitance and potential follow SPICE's
    laws, and the saturation current that of :func:`diode_values`.

    Raises
    ------
    ValueError
        If the model is not defined or its parameters are illegal.
    """
    card = model_of(statement, cards).values
    values = diode_values(statement, cards)
    del values["series_resistance"]
    hot, nominal = _temperatures(statement, card, cards)
    if "bv" in card and not card["bv"] > 0.0:
        raise ValueError(f"{statement.name}: bv = {card['bv']:g} V must be positive")
    potential, share = card["vj"], 1.0
    if hot != nominal and potential > 0.0:
        potential, share = _warmed(potential, card["m"], hot, nominal)
    return {
        **values,
        "junction_capacitance": card["cjo"] * share * statement.extras.get("area", 1.0),
        "junction_potential": potential,
        "grading": card["m"],
        "forward_coefficient": card["fc"],
        "transit_time": card["tt"],
        "breakdown_voltage": card.get("bv", 0.0),
        "breakdown_current": card["ibv"],
        "breakdown_emission": card.get("nbv", card["n"]),
    }


def _temperatures(statement: Statement, card: Mapping[str, float], cards: Cards) -> tuple[float, float]:
    """Return the temperature [K] of an element and that at which its model's values hold."""
    hot = kelvin(statement.extras["temp"]) if "temp" in statement.extras else cards.temperature
    return hot, kelvin(card["tnom"]) if "tnom" in card else cards.nominal


def _warmed(potential: float, grading: float, hot: float, nominal: float) -> tuple[float, float]:
    """Return a junction's potential [V] at ``hot`` from that at ``nominal`` [K], and by what its C0 grows.

    Source: SPICE3's temperature laws (``diotemp.c``), with silicon's band gap.
    """

    def shift(temperature: float) -> float:
        gap = 1.16 - 7.02e-4 * temperature**2 / (temperature + 1108.0)
        arg = 1.1150877 / (2.0 * BOLTZMANN * NOMINAL_TEMPERATURE) - gap / (2.0 * BOLTZMANN * temperature)
        ratio = temperature / NOMINAL_TEMPERATURE
        return -2.0 * thermal_voltage(temperature) * (1.5 * math.log(ratio) + ELEMENTARY_CHARGE * arg)

    def growth(temperature: float, own: float) -> float:
        return 1.0 + grading * (4e-4 * (temperature - NOMINAL_TEMPERATURE) - (own - base) / base)

    base = (potential - shift(nominal)) * NOMINAL_TEMPERATURE / nominal
    warm = shift(hot) + hot / NOMINAL_TEMPERATURE * base
    return warm, growth(hot, warm) / growth(nominal, potential)


def mosfet_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.NMOS` or ``PMOS`` for an M line, in SI units.

    Raises
    ------
    ValueError
        If the model is not defined, or holds at another temperature than the transistor has.
    """
    card = model_of(statement, cards).values
    extras = statement.extras
    hot, nominal = _temperatures(statement, card, cards)
    if abs(hot - nominal) > 1e-9:
        raise ValueError(
            f"{statement.name}: its model holds at {nominal:g} K and it is at {hot:g} K; no temperature law of "
            "MOSFETs is known here: write the model for that temperature, with tnom"
        )
    return {
        "threshold": card["vto"],
        "transconductance": card["kp"],
        "width": extras.get("w", 1e-4),
        "length": extras.get("l", 1e-4),
        "body_effect": card["gamma"],
        "surface_potential": card["phi"],
        "channel_modulation": card["lambda"],
        "saturation_current": _bulk_current(statement, card),
        "gmin": cards.gmin,
        "temperature": hot,
        "gate_voltage": 0.0,
        "source_overlap": card["cgso"],
        "drain_overlap": card["cgdo"],
        "bulk_overlap": card["cgbo"],
        "drain_capacitance": card["cbd"] if "cbd" in card else card["cj"] * extras.get("ad", 0.0),
        "source_capacitance": card["cbs"] if "cbs" in card else card["cj"] * extras.get("as", 0.0),
        "drain_sidewall": card["cjsw"] * extras.get("pd", 0.0),
        "source_sidewall": card["cjsw"] * extras.get("ps", 0.0),
        "bulk_potential": card["pb"],
        "bottom_grading": card["mj"],
        "sidewall_grading": card["mjsw"],
        "forward_coefficient": card["fc"],
        "oxide_thickness": card["tox"],
    }


def _bulk_current(statement: Statement, card: Mapping[str, float]) -> float:
    """Return the saturation current [A] of a transistor's bulk junctions: js per area, else is, as in MOS1."""
    drain, source = (statement.extras.get(key, 0.0) for key in ("ad", "as"))
    if card["js"] == 0.0 or drain == 0.0 or source == 0.0:
        return card["is"]
    if drain != source:
        raise ValueError(
            f"{statement.name}: js with ad = {drain:g} and as = {source:g} m² gives its two junctions different "
            "currents, which no device here has; make the areas equal, or give is instead of js"
        )
    return card["js"] * drain


def switch_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.Switch` for an S line, in SI units.

    Raises
    ------
    ValueError
        If the model is not defined.
    """
    card = model_of(statement, cards).values
    return {
        "threshold": card["vt"],
        "hysteresis": card["vh"],
        "on_resistance": card["ron"],
        "off_resistance": card["roff"],
        "closed": statement.extras.get("closed", 0.0),
    }
