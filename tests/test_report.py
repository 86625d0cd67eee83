"""Figures: what they show equals what they were given, axes carry units, and drawing warns of nothing."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from numpy.typing import NDArray

from analogep import report
from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.learning import EquilibriumPropagation
from analogep.learning.audit import Audit, AuditRow
from analogep.networks import crossbar, deep_resistive
from analogep.report.composite import mosaic, receptive_fields
from analogep.report.layers import layers_of
from analogep.report.style import spread
from analogep.report.units import MINUS, axis_label, fitting, prefix, quantity
from analogep.solve import Solution

SYMBOLS = {s: 10.0 ** (3 * k) for k, s in enumerate("qryzafpnµm kMGTPEZYRQ", start=-10) if s != " "} | {"": 1.0}


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def xdata(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_xdata(), dtype=float)


def ydata(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_ydata(), dtype=float)


def axis_with(figure: Figure, label: str) -> Axes:
    (found,) = [a for a in figure.axes if label in (a.get_xlabel(), a.get_ylabel())]
    return found


def unit_factor(label: str, unit: str) -> float:
    match = re.search(rf"\((.?){unit}\)", label)
    assert match is not None, label
    return SYMBOLS[match[1]]


def phases(circuit: Circuit, batch: int = 2) -> tuple[Solution, dict[str, Solution]]:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(batch, len(circuit.input_nodes)))
    targets = rng.normal(size=(batch, len(circuit.output_pairs)))
    found = EquilibriumPropagation(1e-7).gradient(circuit, inputs, targets)
    low, high = found.info["phases"]
    return found.free, {"+β": high, "-β": low}


@pytest.fixture(scope="module")
def network() -> Circuit:
    return deep_resistive([18, 6, 3])


# --- units -----------------------------------------------------------------------------------------------


@given(st.floats(1e-29, 9e32))
def test_a_prefix_leaves_one_to_three_integer_digits(value: float) -> None:
    factor, symbol = prefix(value)
    assert SYMBOLS[symbol] == pytest.approx(factor)
    assert 1 - 1e-12 <= value / factor < 1000 * (1 + 1e-12)


@given(st.floats(1e-60, 1e60))
def test_a_prefix_of_a_squared_unit_is_squared(value: float) -> None:
    factor, symbol = prefix(value, power=2)
    assert SYMBOLS[symbol] ** 2 == pytest.approx(factor)
    if 1e-60 < value < 1e60:
        assert 1e-3 * (1 - 1e-9) <= value / factor < 1e3 * (1 + 1e-9)


@pytest.mark.parametrize(("exponent", "symbol"), [(-9, "n"), (-6, "µ"), (-3, "m"), (0, ""), (3, "k"), (6, "M")])
def test_powers_of_a_thousand_have_their_own_prefix(exponent: int, symbol: str) -> None:
    assert prefix(10.0**exponent).symbol == symbol


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_prefix_needs_a_finite_magnitude(value: float) -> None:
    with pytest.raises(InputError, match="finite"):
        prefix(value)


@given(st.floats(-1e307, 1e307), st.integers(3, 8))
def test_a_quantity_reads_back(value: float, digits: int) -> None:
    number, unit = quantity(value, "S", digits).replace(MINUS, "-").split(" ")
    back = float(number) * SYMBOLS[unit.removesuffix("S")]
    assert back == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits), abs=0)
    if 1e-29 < abs(value) < 1e32:
        assert 1 <= abs(float(number)) < 1000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.34e-6, "12.3 µS"),
        (999.96e-6, "1.00 mS"),
        (0.0, "0 S"),
        (-2e-9, f"{MINUS}2.00 nS"),
        (470.0, "470 S"),
    ],
)
def test_quantities_read_well(value: float, text: str) -> None:
    assert quantity(value, "S") == text


def test_labels_and_prefixes_of_arrays() -> None:
    assert axis_label("Conductance", "S", "µ") == "Conductance (µS)"
    assert axis_label("Epoch", "") == "Epoch"
    assert fitting(np.array([1e-6, np.nan]), np.array([[-5e-3]])).symbol == "m"
    assert fitting(np.array([np.nan])).symbol == ""


@given(st.lists(st.floats(0, 1), max_size=6))
def test_labels_are_spread_without_changing_their_order(positions: list[float]) -> None:
    moved = spread(positions, 0.1, 0.0, 1.0)
    order = np.argsort(positions, kind="stable")
    assert np.all(np.diff(np.array(moved)[order]) >= 0.1 - 1e-9)


# --- curves ----------------------------------------------------------------------------------------------


def metrics(epochs: int) -> dict[str, list[float]]:
    fall = np.exp(-np.arange(epochs) / 5.0)
    return {
        "epoch": list(range(1, epochs + 1)),
        "train_loss": list(0.2 * fall + 1e-4),
        "train_error": list(0.5 * fall),
        "test_error": list(0.6 * fall),
        "wall_time": list(range(epochs)),
    }


@pytest.mark.parametrize("epochs", [1, 20, 2000])
def test_learning_curve_shows_loss_and_errors(epochs: int) -> None:
    given_metrics = metrics(epochs)
    figure = report.learning_curve(given_metrics)
    loss, error = axis_with(figure, "Training loss (V²)"), axis_with(figure, "Error (%)")
    assert len(figure.axes) == 2
    np.testing.assert_allclose(ydata(loss.lines[0]), np.array(given_metrics["train_loss"]))
    assert loss.get_yscale() == ("log" if epochs > 1 else "linear")
    for line, name in zip(error.lines, ("train_error", "test_error"), strict=True):
        np.testing.assert_allclose(ydata(line), 100 * np.array(given_metrics[name]))
    last = 100 * given_metrics["test_error"][-1]
    assert any(t.startswith("test") and f"{last:.1f}"[:2] in t for t in texts(figure))
    figure.draw_without_rendering()


def test_a_column_of_nan_has_no_curve_and_a_regression_only_its_loss() -> None:
    some = {**metrics(5), "test_error": [math.nan] * 5}
    assert len(axis_with(report.learning_curve(some), "Error (%)").lines) == 1
    alone = report.learning_curve({"epoch": [1, 2], "train_loss": [3e-7, 2e-7]})
    (axes,) = alone.axes
    assert axes.get_ylabel() == "Training loss (mV²)"
    np.testing.assert_allclose(ydata(axes.lines[0]), [0.3, 0.2])


def test_a_test_loss_is_drawn_beside_the_training_loss() -> None:
    figure = report.learning_curve({**metrics(3), "test_loss": [0.3, 0.2, 0.1]})
    np.testing.assert_allclose(ydata(axis_with(figure, "Loss (V²)").lines[1]), [0.3, 0.2, 0.1])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"train_loss": [1.0]}, "epoch has 3 rows"), ({"epoch": None}, "no column 'epoch'")],
)
def test_learning_curve_refuses_columns_that_do_not_fit(
    change: dict[str, list[float] | None], message: str
) -> None:
    wrong = {k: v for k, v in {**metrics(3), **change}.items() if v is not None}
    with pytest.raises(InputError, match=message):
        report.learning_curve(wrong)
    with pytest.raises(InputError, match="no epoch"):
        report.learning_curve({"epoch": [], "train_loss": []})


# --- conductances ----------------------------------------------------------------------------------------


def shown_matrix(figure: Figure, bar: int) -> NDArray[np.float64]:
    """Return the images above the colour bar number ``bar``, put together, in siemens."""
    bars = [a for a in figure.axes if a.get_label() == "<colorbar>"]
    stacks: list[list[NDArray[np.float64]]] = [[] for _ in bars]
    for axes in figure.axes:
        if axes.images:
            owner = sum(1 for a in bars if figure.axes.index(a) < figure.axes.index(axes))
            stacks[owner].append(np.asarray(axes.images[0].get_array()))
    return np.concatenate(stacks[bar]) * unit_factor(bars[bar].get_ylabel(), "S")


@pytest.mark.parametrize("shape", [(6, 2), (130, 128), (1568, 100)])
def test_conductance_map_shows_the_conductances(shape: tuple[int, int]) -> None:
    circuit = crossbar(np.random.default_rng(0).uniform(0, 1e-5, shape))
    figure = report.conductance_maps(circuit)
    np.testing.assert_allclose(shown_matrix(figure, 0), circuit.crossbars[0].conductance)
    assert f"W1 ({shape[0]} \N{MULTIPLICATION SIGN} {shape[1]})" in texts(figure)
    figure.draw_without_rendering()


def test_bias_rows_have_a_strip_and_banks_a_panel_of_their_own() -> None:
    lines = report.conductance_maps(deep_resistive([20, 8, 3]))
    assert texts(lines).count("2 bias") == 2
    circuit = deep_resistive([20, 80, 3], bias="current")
    np.testing.assert_allclose(shown_matrix(report.conductance_maps(circuit), 1), circuit.crossbars[1].conductance)
    figure = report.conductance_maps(circuit, circuit.parameters)
    assert {"b1", "b2", "Amplitude (A)", "b2_0"} <= set(texts(figure))
    figure.draw_without_rendering()


def test_histograms_count_every_conductance_before_and_after(network: Circuit) -> None:
    initial = {k: np.full_like(v, 1e-6) for k, v in network.parameters.items()}
    figure = report.conductance_maps(network, initial, bounds=(0.0, 3e-5))
    before, after = (p.get_data()[0] for p in list(figure.findobj(StepPatch))[:2])
    assert before.sum() == after.sum() == 20 * 6
    assert (before > 0).sum() == 1
    assert {"initial", "trained", "limits"} <= set(texts(figure))


@pytest.mark.parametrize("value", [0.0, 2e-5])
def test_equal_conductances_are_no_special_case(value: float) -> None:
    circuit = crossbar(np.full((6, 2), value))
    report.conductance_maps(circuit, circuit.parameters).draw_without_rendering()


def test_conductance_maps_refuse_what_does_not_fit(network: Circuit) -> None:
    with pytest.raises(InputError, match="unknown block 'W9'"):
        report.conductance_maps(network, {"W9": np.zeros(3)})
    with pytest.raises(InputError, match=r"shape \(3,\), expected \(20, 6\)"):
        report.conductance_maps(network, {"W1.conductance": np.zeros(3)})
    with pytest.raises(InputError, match="neither crossbars nor trainable"):
        report.conductance_maps(Circuit(("0",)))


# --- phases ----------------------------------------------------------------------------------------------


def test_layers_leave_out_what_sources_hold() -> None:
    circuit = deep_resistive([4, 6, 5, 2], rails=(0.0, 1.0), amplifier=(4.0, 0.25), paired_outputs=True)
    layers = layers_of(circuit)
    assert [(layer.kind, layer.size) for layer in layers] == [
        ("input", 4),
        ("hidden", 6),
        ("amplified", 6),
        ("hidden", 5),
        ("amplified", 5),
        ("output", 4),
    ]
    assert not {"bias0", "rail_high", "0"} & {name for layer in layers for name in layer.names}


def test_phase_voltages_show_voltages_and_shifts(network: Circuit) -> None:
    free, nudged = phases(network)
    figure = report.phase_voltages(network, free, nudged, sample=1)
    assert len(figure.axes) == 6
    assert {"Inputs (18)", "Hidden 1 (6)", "Outputs (3)", "clamped", "y2", "+β"} <= set(texts(figure))
    upper, lower = figure.axes[2], figure.axes[5]
    nodes = [network.node(f"y{k}") for k in range(3)]
    voltages = ydata(upper.lines[0]) * unit_factor(upper.get_ylabel(), "V")
    np.testing.assert_allclose(voltages, free.voltages[1, nodes])
    for line, solution in zip(lower.lines, nudged.values(), strict=False):
        shift = ydata(line) * unit_factor(lower.get_ylabel(), "V")
        np.testing.assert_allclose(shift, solution.voltages[1, nodes] - free.voltages[1, nodes])
    figure.draw_without_rendering()


def test_phase_voltages_refuse_what_does_not_fit(network: Circuit) -> None:
    free, nudged = phases(network)
    with pytest.raises(InputError, match="samples 0 to 1"):
        report.phase_voltages(network, free, nudged, sample=2)
    with pytest.raises(InputError, match="no nudged phase"):
        report.phase_voltages(network, free, {})
    with pytest.raises(InputError, match="the free phase has voltages"):
        report.phase_voltages(deep_resistive([2, 2, 1]), free, nudged)
    with pytest.raises(InputError, match="5 samples, the free phase 2"):
        report.phase_voltages(network, free, phases(network, 5)[1])


# --- confusion -------------------------------------------------------------------------------------------


def test_confusion_matrix_counts_and_states_the_accuracy() -> None:
    figure = report.confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], ["a", "b", "c"])
    (axes,) = figure.axes
    cells = {t.get_position(): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "1", (1, 0): "1", (1, 1): "1", (2, 2): "2", (0, 2): "1"}
    assert axes.get_title() == "Accuracy 66.7 % (n = 6)"
    assert {"a", "b", "c", "True class", "Predicted class"} <= set(texts(figure))


def test_an_accuracy_is_100_percent_only_without_errors() -> None:
    right = np.zeros(30000, int)
    wrong = right.copy()
    wrong[0] = 1
    assert "100.0 %" in report.confusion_matrix(right, right).axes[0].get_title()
    assert "99.99 %" in report.confusion_matrix(right, wrong).axes[0].get_title()


@pytest.mark.parametrize(
    ("labels", "predictions", "names", "message"),
    [
        ([0, 1], [0], None, "2 labels but 1"),
        ([0, -1], [0, 0], None, "class numbers"),
        ([0.5], [0], None, "class numbers"),
        ([], [], None, "no labels"),
        ([0, 2], [0, 1], ["a", "b"], "name at least 3"),
    ],
)
def test_confusion_matrix_refuses(
    labels: list[float], predictions: list[float], names: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        report.confusion_matrix(labels, predictions, names)


# --- audit -----------------------------------------------------------------------------------------------


def an_audit(fit: bool = True) -> Audit:
    rows = tuple(
        AuditRow(rule, block, 1.0 - tiny, 1.001, 1e-3, raw, 10)
        for rule, tiny in (("EP centered", 1e-9), ("EP positive", 1e-5), ("finite difference", -2e-16))
        for block, raw in (("W1.conductance", 0.1), ("W2.conductance", 1.001))
    )
    betas = 1e-6 * np.array([0.25, 0.5, 1.0, 2.0])
    errors = {"EP positive": betas * 1e3, "EP centered": (betas * 1e3) ** 2} if fit else {}
    return Audit(rows, 1e-6, None, {"EP positive": 1.0, "EP centered": 2.0} if fit else {}, betas, errors)


def test_audit_figure_shows_cosines_scales_and_errors() -> None:
    audit = an_audit()
    figure = report.audit_figure(audit)
    cosine, _, error = figure.axes
    assert cosine.get_xscale() == error.get_yscale() == "log"
    np.testing.assert_allclose(xdata(cosine.lines[0]), [1e-9, 1e-9], rtol=1e-6)
    assert np.all(xdata(cosine.lines[2]) == 1e-16)  # a cosine above 1 by rounding
    assert error.get_xlabel() == "β (µS)"
    np.testing.assert_allclose(xdata(error.lines[0]), [0.25, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(ydata(error.lines[0]), audit.errors["EP positive"])
    assert {"a", "b", "c", "W1.conductance", "EP centered", "1.00", "2.00", "∝ β²"} <= set(texts(figure))
    figure.draw_without_rendering()


def test_audit_figure_without_a_fit_and_without_rows() -> None:
    assert len(report.audit_figure(an_audit(fit=False)).axes) == 2
    with pytest.raises(InputError, match="no rule"):
        report.audit_figure(Audit((), 1e-6, None, {}, np.zeros(0), {}))


# --- overview and schematic ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: deep_resistive([128, 32, 10]), {"128 inputs", "32 hidden nodes", "10 outputs", "$x_{127}$"}),
        (
            lambda: deep_resistive([2, 2, 1], paired_outputs=True, hidden="pair"),
            {"2 inputs", "1 output", "$y_{0}^{+}$", "$y_{0}^{-}$"},
        ),
        (lambda: crossbar(np.full((6, 2), 1e-5)), {"6 inputs", "2 outputs"}),
        (
            lambda: deep_resistive([9, 8, 7, 6, 5], amplifier=(4, 0.25), bias="none", rails=(0.0, 1.0)),
            {"8, 7, 6 hidden nodes", "W4: 6 \N{MULTIPLICATION SIGN} 5"},
        ),
    ],
)
def test_schematic_states_the_true_sizes(build: Callable[[], Circuit], expected: set[str]) -> None:
    figure = report.schematic(build())
    assert expected <= set(texts(figure))
    figure.draw_without_rendering()


def test_receptive_fields_are_the_net_conductances(network: Circuit) -> None:
    g = network.crossbars[0].conductance
    fields = receptive_fields(network, (3, 3))
    np.testing.assert_array_equal(fields[4], (g[:9, 4] - g[9:18, 4]).reshape(3, 3))
    np.testing.assert_array_equal(receptive_fields(network, (6, 3))[1], g[:18, 1].reshape(6, 3))
    with pytest.raises(InputError, match="neither once nor twice"):
        receptive_fields(network, (2, 2))
    tiled = mosaic(fields)
    assert np.nansum(tiled) == pytest.approx(fields.sum())
    assert np.isfinite(tiled).sum() == fields.size


@pytest.mark.parametrize("image", [None, (3, 3)])
def test_overview_has_a_letter_for_every_panel(network: Circuit, image: tuple[int, int] | None) -> None:
    free, nudged = phases(network)
    figure = report.overview(
        network, metrics(5), free, nudged, [0, 1, 2], [0, 1, 1], network.parameters, image=image
    )
    shown = set(texts(figure))
    assert set("abcdef") <= shown
    assert {"Error (%)", "Epoch", "Hidden 1 (6)", "Accuracy 66.7 % (n = 3)"} <= shown
    assert any(re.fullmatch(r"(Net c|C)onductance.* \(µS\)", t) for t in shown)
    figure.draw_without_rendering()


def test_overview_of_a_regression_on_one_crossbar() -> None:
    circuit = crossbar(np.full((6, 2), 2e-5))
    free, nudged = phases(circuit)
    figure = report.overview(circuit, {"epoch": [1], "train_loss": [0.1]}, free, nudged, None, None)
    assert not {"Accuracy", "e", "f"} & set(texts(figure))
    figure.draw_without_rendering()
    with pytest.raises(InputError, match="no crossbar"):
        report.schematic(Circuit(("0",)))


# --- files and state -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_save_writes_by_suffix_and_the_same_bytes_twice(tmp_path: Path, suffix: str, start: bytes) -> None:
    written = [
        report.save(report.learning_curve(metrics(3)), tmp_path / f"{name}.{suffix}").read_bytes()
        for name in ("one", "two")
    ]
    assert written[0].startswith(start)
    assert written[0] == written[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"one.{suffix}", f"two.{suffix}"]


def test_save_refuses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figure = report.learning_curve(metrics(3))
    with pytest.raises(InputError, match="use one of the suffixes"):
        report.save(figure, tmp_path / "curve.xyz")
    with pytest.raises(InputError, match="does not exist"):
        report.save(figure, tmp_path / "missing" / "curve.png")
    old = tmp_path / "curve.png"
    old.write_text("old")

    class Broken(Figure):
        def savefig(self, *args: object, **kwargs: object) -> None:
            raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        report.save(Broken(), old)
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


def test_figures_leave_no_global_state() -> None:
    before = dict(matplotlib.rcParams)
    report.learning_curve(metrics(3))
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, analogep.report as r; early = 'matplotlib' in sys.modules; r.overview; r.save;"
        "print(early, 'matplotlib.pyplot' in sys.modules, callable(r.overview))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


def test_every_public_name_is_a_function() -> None:
    assert all(callable(getattr(report, name)) for name in report.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        report.nonsense  # noqa: B018 (the access is the test)
