"""Training configurations: every fault by its dotted key, and TOML there and back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from analogep.errors import CircuitError, ConfigError, InputError
from analogep.training import build_problem, load_config, train
from analogep.training.configuration.config import TrainConfig, parse_config, shipped

NAN, INF = float("nan"), float("inf")

TABLE: dict[str, Any] = {
    "name": "table",
    "data": {"name": "table", "inputs": [[0.0, 1.0], [1.0, 0.0]], "targets": [[0.1], [0.2]]},
    "network": {"hidden_layers": [2], "initial": {"kind": "uniform"}},
    "training": {
        "epochs": 1,
        "rates": {
            "W1.conductance": 1e-9,
            "W2.conductance": 1e-9,
            "b1.amplitude": 1e-9,
            "b2.amplitude": 1e-9,
        },
    },
}

DELETE = object()


def faulty(changes: dict[str, Any], base: dict[str, Any] = TABLE) -> dict[str, Any]:
    """Return ``base`` with entries replaced by a path of keys, separated by '/'."""
    out = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = path.split("/")
        place = out
        for key in parents:
            place = place.setdefault(key, {})
        if value is DELETE:
            del place[last]
        else:
            place[last] = value
    return out


def test_the_table_itself_is_sound() -> None:
    assert len(train(parse_config(TABLE, "table")).metrics) == 1


# What is wrong, and the key that the message must name.
READING = {
    "missing section": ({"training": DELETE}, "training: missing"),
    "missing key": ({"training/epochs": DELETE}, "training.epochs: missing"),
    "missing name": ({"name": DELETE}, "name: missing"),
    "missing rates": ({"training/rates": DELETE}, "training.rates: missing"),
    "unknown section": ({"trainer": {}}, "trainer: unknown key"),
    "unknown key": ({"training/speed": 1}, "training.speed: unknown key"),
    "unknown key deep down": ({"network/diode": {"is": 1e-9}}, "network.diode.is: unknown key"),
    "section that is a word": ({"training": "fast"}, "training: "),
    "section that is a list": ({"data": [1]}, "data: "),
    "epochs a word": ({"training/epochs": "ten"}, "training.epochs: .*got 'ten'"),
    "epochs a fraction": ({"training/epochs": 1.5}, "training.epochs: "),
    "epochs zero": ({"training/epochs": 0}, "training.epochs: .*greater than 0"),
    "batch zero": ({"training/batch": 0}, "training.batch: "),
    "rate negative": ({"training/rates/W1.conductance": -1.0}, "training.rates.W1.conductance: "),
    "rate NaN": ({"training/rates/W1.conductance": NAN}, "training.rates.W1.conductance: "),
    "rate infinite": ({"training/rates/W1.conductance": INF}, "training.rates.W1.conductance: "),
    "rates a number": ({"training/rates": 1e-9}, "training.rates: "),
    "decay zero": ({"training/decay": 0.0}, "training.decay: "),
    "decay above one": ({"training/decay": 1.1}, "training.decay: "),
    "bounds with one end": ({"training/bounds": {"W1.conductance": [0.0]}}, "training.bounds.W1.conductance"),
    "bounds infinite": ({"training/bounds": {"b1.amplitude": [0.0, INF]}}, "training.bounds.b1.amplitude.1"),
    "stop_loss negative": ({"training/stop_loss": -1.0}, "training.stop_loss: "),
    "beta negative": ({"learning/beta": -1e-3}, "learning.beta: "),
    "beta zero": ({"learning/beta": 0.0}, "learning.beta: "),
    "beta NaN": ({"learning/beta": NAN}, "learning.beta: "),
    "beta a word": ({"learning/beta": "large"}, "learning.beta: .*or input should be 'auto'"),
    "variant": ({"learning/variant": "both"}, "learning.variant: "),
    "nudge": ({"learning/nudge": "soft"}, "learning.nudge: "),
    "target NaN": ({"learning/target_high": NAN}, "learning.target_high: "),
    "engine": (
        {"engine": "spice"},
        "engine: .*'auto', 'fused', 'newton', 'layered', 'transient', 'ngspice' or 'pyspice'",
    ),
    "seed negative": ({"seed": -1}, "seed: "),
    "published error in percent": (
        {"published": {"test_error": 3.46, "source": "paper"}},
        "published.test_error: .*less than or equal to 1",
    ),
    "published by nobody": ({"published": {"test_error": 0.03}}, "published.source: missing"),
    "name with a slash": ({"name": "a/b"}, "name: "),
    "name empty": ({"name": ""}, "name: "),
    "data set": ({"data/name": "letters"}, "data.name: "),
    "split seed negative": ({"data/split_seed": -1}, "data.split_seed: "),
    "split seed too large": ({"data/split_seed": 2**32}, "data.split_seed: "),
    "test fraction": ({"data/test_fraction": 1.0}, "data.test_fraction: "),
    "input NaN": ({"data/inputs": [[0.0, NAN], [1.0, 0.0]]}, "data.inputs.0.1: .*finite"),
    "input a word": ({"data/inputs": [[0.0, "one"], [1.0, 0.0]]}, "data.inputs.0.1: "),
    "rows of different length": ({"data/inputs": [[0.0, 1.0], [1.0]]}, "data: .*same length"),
    "more inputs than targets": ({"data/targets": [[0.1]]}, "data: .*as many rows"),
    "empty table": ({"data/inputs": [], "data/targets": []}, "data: .*at least one"),
    "empty rows": ({"data/targets": [[], []]}, "data: "),
    "a table that reconstructs": ({"data/reconstruct": True}, "data: reconstruct belongs to name = .digits. or"),
    "tolerance of classes": (
        {"data": {"name": "digits", "tolerance": 0.1}},
        "data: tolerance belongs to name = .* or to reconstruct = true",
    ),
    "tolerance negative": ({"data/tolerance": -1.0}, "data.tolerance: "),
    "layer of no nodes": ({"network/hidden_layers": [3, 0]}, "network.hidden_layers.1: "),
    "layers a word": ({"network/hidden_layers": "3"}, "network.hidden_layers: "),
    "hidden kind": ({"network/hidden": "both"}, "network.hidden: "),
    "network kind": ({"network/kind": "perceptron"}, "network.kind: use one of deep_resistive, hopfield"),
    "amplifier NaN": ({"network/amplifier": [NAN, 1.0]}, "network.amplifier.0: "),
    "amplifier of three": ({"network/amplifier": [1.0, 1.0, 1.0]}, "network.amplifier: "),
    "rails of one": ({"network/rails": [0.0]}, "network.rails"),
    "rail infinite": ({"network/rails": [0.0, INF]}, "network.rails.1: "),
    "diode current": ({"network/diode": {"saturation_current": 0.0}}, "network.diode.saturation_current: "),
    "diode temperature": ({"network/diode": {"temperature": -3.0}}, "network.diode.temperature: "),
    "diode kind": ({"network/diode": {"kind": "led"}}, "network.diode.kind: "),
    "initial scale": ({"network/initial": {"scale": 0.0}}, "network.initial.scale: "),
    "uniform upside down": ({"network/initial/low": 1e-3}, "network.initial: low = 0.001 S exceeds"),
    "values of no kind": ({"network/initial": {"kind": "values"}}, "network.initial: .*belong together"),
    "values ragged": (
        {"network/initial": {"kind": "values", "values": {"W1": [[1e-4], [1e-4, 1e-4]]}}},
        "network.initial: the rows of W1",
    ),
    "value negative": (
        {"network/initial": {"kind": "values", "values": {"W1": [[-1e-4]]}}},
        "network.initial.values.W1.0.0: ",
    ),
    "encoder gain": ({"encoder": {"gain": 0.0}}, "encoder.gain: "),
    "doubled a number": ({"encoder": {"doubled": 3}}, "encoder.doubled: "),
    "verify samples": ({"verify": {"samples": 0}}, "verify.samples: "),
}


@pytest.mark.parametrize(("changes", "message"), READING.values(), ids=READING.keys())
def test_faults_that_reading_finds(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(faulty(changes), "table")


VALUES_1 = {"W1": [[1e-4] * 2] * 4, "W2": [[1e-4]] * 2}

# What only shows when the parts are put together; the message names the block, option or element.
BUILDING = {
    "no rates": ({"training/rates": {}}, "W1.conductance: has no learning rate"),
    "rate of an unknown block": ({"training/rates/W9.conductance": 1e-9}, "W9.conductance: .*unknown block"),
    "bounds of an unknown block": (
        {"training/bounds": {"W9.conductance": [0.0, 1.0]}},
        "W9.conductance: .*unknown block",
    ),
    "bounds upside down": ({"training/bounds": {"W1.conductance": [1e-3, 1e-4]}}, "W1.conductance: .*low < high"),
    "bounds of negative conductances": (
        {"training/bounds": {"W1.conductance": [-2e-3, -1e-3]}},
        "W1_0_0: conductance = -0.001 S",
    ),
    "rails upside down": ({"network/rails": [1.0, -1.0]}, "rails"),
    "no bias lines": ({"network/bias": "lines", "network/bias_voltages": []}, "bias_voltages"),
    "values of the wrong shape": (
        {"network/initial": {"kind": "values", "values": {**VALUES_1, "W1": [[1e-4]]}}},
        r"W1: initial conductances have shape \(1, 1\), expected \(4, 2\)",
    ),
    "values missing": (
        {"network/initial": {"kind": "values", "values": {"W1": VALUES_1["W1"]}}},
        "W2: initial conductances are missing",
    ),
    "values of an unknown crossbar": (
        {"network/initial": {"kind": "values", "values": {**VALUES_1, "W3": [[1e-4]]}}},
        "W3: no such crossbar",
    ),
    "values that leave a node alone": (
        {"network/initial": {"kind": "values", "values": {**VALUES_1, "W2": [[0.0], [0.0]]}}},
        "node y0",
    ),
    "amplifier without gain": ({"network/amplifier": [0.0, 1.0]}, "network.amplifier: .*gain of zero"),
    "amplifier without back gain": ({"network/amplifier": [4.0, 0.0]}, "network.amplifier: .*gain of zero"),
    "beta beyond the limit": ({"learning/beta": 1.0}, "learning.beta: 1 S is not below"),
    "targets that are met": (
        {
            "data/inputs": [[0.0, 0.0]],
            "data/targets": [[0.0]],
            "network/bias": "none",
            "training/rates": {"W1.conductance": 1e-9, "W2.conductance": 1e-9},
        },
        "meet the targets",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BUILDING.values(), ids=BUILDING.keys())
def test_faults_that_building_or_training_finds(changes: dict[str, Any], message: str) -> None:
    config = parse_config(faulty(changes), "table")
    with pytest.raises((ConfigError, CircuitError, InputError), match=message):
        train(config)


@pytest.mark.parametrize("fraction", [0.001, 0.9999])
def test_a_split_too_small_for_the_classes(fraction: float) -> None:
    config = load_config("digits").changed(data={"test_fraction": fraction})
    with pytest.raises(ConfigError, match=r"data.test_fraction"):
        build_problem(config)


def test_table_entries_belong_to_tables() -> None:
    with pytest.raises(ConfigError, match='data: inputs belong to name = "table"'):
        load_config("digits").changed(data={"inputs": [[1.0]]})


def test_all_faults_at_once_each_once() -> None:
    changes = {
        "seed": -1,
        "speed": 3,
        "training/epochs": 0,
        "training/rates/W1.conductance": -1.0,
        "learning/beta": "large",
        "network/hidden": "both",
        "data/targets": [[0.1]],
    }
    with pytest.raises(ConfigError) as caught:
        parse_config(faulty(changes), "my file")
    assert sorted(f.where for f in caught.value.faults) == sorted(
        [
            "seed",
            "speed",
            "training.epochs",
            "training.rates.W1.conductance",
            "learning.beta",
            "network.hidden",
            "data",
        ]
    )
    assert str(caught.value).startswith("my file has 7 faults:")


# --- files ---------------------------------------------------------------------------------------------


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.toml.*\n.*cannot be read.*shipped configurations: .*digits"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "x\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 1"):
        load_config(broken)
    broken.write_bytes(b'name = "\xff"\n')
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(broken)
    broken.write_text("seed = 1\nname = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken.toml has"):
        load_config(broken)
    broken.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="data: missing"):
        load_config(broken)


def test_shipped_configurations_load_by_name_and_path() -> None:
    assert "digits" in shipped()
    for name, path in shipped().items():
        config = load_config(name)
        assert config == load_config(path)
        assert config.name == name


def test_a_file_goes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits").write_text(parse_config(TABLE, "t").to_toml(), encoding="utf-8")
    assert load_config("digits").name == "table"


def toml_configs() -> list[Path]:
    experiments = Path(__file__).resolve().parent.parent / "experiments"
    return [*shipped().values(), *sorted(experiments.rglob("*.toml"))]


@pytest.mark.parametrize("path", toml_configs(), ids=lambda p: p.stem)
def test_toml_there_and_back(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    copy_ = tmp_path / "copy.toml"
    copy_.write_text(config.to_toml(), encoding="utf-8")
    again = load_config(copy_)
    assert again == config
    assert again.to_toml() == config.to_toml()


def test_toml_keeps_every_bit_and_every_default() -> None:
    changes = {
        "learning/beta": 0.1 + 0.2,
        "network/amplifier": [4.0, 1 / 3],
        "network/initial/high": 1e-4 / 3,
        "training/bounds": {"W1.conductance": [1e-300, 5e-324 + 1e-3]},
        "published": {"test_error": 0.1 + 0.2, "source": "a paper"},  # the one section that has no default
    }
    import tomllib

    config = parse_config(faulty(changes), "table")
    data = tomllib.loads(config.to_toml())
    assert parse_config(data, "again") == config
    assert data["learning"]["beta"] == 0.1 + 0.2
    assert data["learning"]["variant"] == "centered"
    assert set(data) == set(TrainConfig.model_fields)


# --- changes -------------------------------------------------------------------------------------------


def test_changed_merges_nested_entries_and_leaves_the_original() -> None:
    config = parse_config(TABLE, "table")
    other = config.changed(seed=5, training={"epochs": 7, "rates": {"W1.conductance": 2e-9}})
    assert (other.seed, other.training.epochs) == (5, 7)
    assert other.training.rates == {**TABLE["training"]["rates"], "W1.conductance": 2e-9}
    assert other.data == config.data
    assert config.seed == 0
    assert config.changed() == config


def test_changed_is_checked() -> None:
    config = parse_config(TABLE, "table")
    with pytest.raises(ConfigError, match=r"(?s)changed configuration has 2 faults.*seed.*training.epochs"):
        config.changed(seed=-1, training={"epochs": 0})
    with pytest.raises(ConfigError, match="unknown key"):
        config.changed(speed=1)


def test_a_configuration_cannot_be_changed_in_place() -> None:
    config = parse_config(TABLE, "table")
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
