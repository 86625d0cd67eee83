"""The command line: what it does, and that every fault ends in a message and exit code 2, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from analogep.cli import main
from analogep.errors import EngineError
from analogep.spice import find_ngspice

ROOT = Path(__file__).parents[1]
XOR = ROOT / "experiments" / "xor_board.toml"

TINY = """
name = "tiny"
[data]
name = "table"
inputs = [[0.5, 0.1], [0.2, 0.9]]
targets = [[0.1], [0.3]]
tolerance = 0.5
[encoder]
doubled = true
[network]
hidden_layers = [3]
[learning]
beta = 1e-6
[training]
epochs = 2
[training.rates]
"W1.conductance" = 1e-10
"W2.conductance" = 1e-10
"b1.amplitude" = 1e-10
"b2.amplitude" = 1e-10
[training.bounds]
"W1.conductance" = [1e-9, 1e-3]
"W2.conductance" = [1e-9, 1e-3]
"""


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Return a function that runs ``analogep`` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analogep", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def no_ngspice(monkeypatch, tmp_path):
    """Hide ngspice from the program."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("ANALOGEP_NGSPICE", raising=False)
    with pytest.raises(EngineError):
        find_ngspice()


DIVIDER = """divider
V1 a 0 3
R1 a b 1000
R2 b 0 2000
.end
"""


def _changed(old: str, new: str) -> str:
    assert old in TINY
    return TINY.replace(old, new)


FAULTY_CONFIGS = {
    "no such file": (None, "cannot be read"),
    "not TOML": ("name = ", "not valid TOML"),
    "empty": ("", "missing"),
    "unknown section": (TINY + "\n[trainer]\n", "trainer: unknown key"),
    "unknown key": (_changed("epochs = 2", "epochs = 2\nepoch = 3"), "training.epoch: unknown key"),
    "zero epochs": (_changed("epochs = 2", "epochs = 0"), "training.epochs"),
    "text for a number": (_changed("epochs = 2", 'epochs = "many"'), "training.epochs"),
    "negative rate": (_changed('"W1.conductance" = 1e-10', '"W1.conductance" = -1e-10'), "training.rates"),
    "NaN rate": (_changed('"W1.conductance" = 1e-10', '"W1.conductance" = nan'), "training.rates"),
    "rate of an unknown block": (_changed('"W2.conductance" = 1e-10', '"W7.conductance" = 1e-10'), "W7"),
    "block without a rate": (_changed('"b1.amplitude" = 1e-10\n', ""), "b1.amplitude: has no learning rate"),
    "bounds upside down": (_changed("[1e-9, 1e-3]", "[1e-3, 1e-9]"), "low < high"),
    "unknown data": (_changed('name = "table"', 'name = "tables"'), "data.name"),
    "ragged table": (_changed("[0.2, 0.9]", "[0.2]"), "same length"),
    "table without targets": (_changed("targets = [[0.1], [0.3]]", "targets = []"), "targets"),
    "negative capacity": (_changed("hidden_layers = [3]", "hidden_layers = [-3]"), "network.hidden_layers"),
    "unknown nonlinearity": (_changed("hidden_layers = [3]", 'hidden = "relu"'), "network.hidden"),
    "rails upside down": (_changed("hidden_layers = [3]", "rails = [1.0, -1.0]\nhidden_layers = [3]"), "rails"),
    "negative saturation current": (
        _changed("[learning]", "[network.diode]\nsaturation_current = -1e-14\n[learning]"),
        "saturation_current",
    ),
    "negative beta": (_changed("beta = 1e-6", "beta = -1e-6"), "learning.beta"),
    "non-convex beta": (_changed("beta = 1e-6", "beta = 1.0"), "the conductance that holds the outputs"),
    "unknown variant": (_changed("beta = 1e-6", 'beta = 1e-6\nvariant = "both"'), "learning.variant"),
    "unknown engine": (_changed('name = "tiny"', 'name = "tiny"\nengine = "spice"'), "engine"),
    "name with a slash": (_changed('name = "tiny"', 'name = "a/b"'), "name"),
    "negative seed": (_changed('name = "tiny"', 'name = "tiny"\nseed = -1'), "seed"),
    "infinite gain": (_changed("doubled = true", "gain = inf"), "encoder.gain"),
    "initial values of the wrong shape": (
        _changed("[learning]", '[network.initial]\nkind = "values"\nvalues = {W1 = [[1.0]]}\n[learning]'),
        "W1",
    ),
}


@pytest.mark.parametrize("case", FAULTY_CONFIGS)
@pytest.mark.parametrize("name", ["train", "gradcheck"])
def test_faulty_configs_end_in_one_message(command, tmp_path, case, name):
    text, expected = FAULTY_CONFIGS[case]
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    if case == "non-convex beta" and name == "gradcheck":
        return _beta_is_gradchecks_own(command, path)
    before = sorted(tmp_path.rglob("*"))
    code, _, err = command(name, path)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def _beta_is_gradchecks_own(command, path):
    """``gradcheck`` takes its β from the option or suggests one; there a too large one is refused."""
    code, _, err = command("gradcheck", path, "--beta", "1.0")
    assert code == 2
    assert "the conductance that holds the outputs" in err


FAULTY_COMMANDS = {
    "unknown command": (["fly"], "No such command"),
    "missing argument": (["train"], "Missing argument"),
    "unknown option": (["demo", "--fast"], "No such option"),
    "negative seed": (["demo", "--seed", "-1"], "--seed"),
    "zero epochs": (["demo", "--epochs", "0"], "--epochs"),
    "change without a value": (["train", str(XOR), "--set", "seed"], "is not KEY=VALUE"),
    "change of an unknown key": (["train", str(XOR), "--set", "training.speed=3"], "training.speed"),
    "contradicting changes": (["train", str(XOR), "--set", "seed=1", "--set", "seed.x=1"], "contradicts"),
    "solve without a file": (["solve", "nothing.cir"], "cannot read nothing.cir"),
    "solve a binary file": (["solve", "binary.cir"], "not a text file"),
    "solve nonsense": (["solve", "nonsense.cir"], "nonsense.cir"),
    "unknown method": (["solve", "divider.cir", "--method", "guess"], "unknown method"),
    "output of no known kind": (["solve", "divider.cir", "--output", "a.txt"], "must end in .csv or .npz"),
    "output into no folder": (["solve", "divider.cir", "--output", "none/a.csv"], "there is no folder none"),
    "input that is none": (["solve", "divider.cir", "--input", "a=1"], "is not an input"),
    "input without a voltage": (["solve", "divider.cir", "--input", "a"], "NODE=VOLT"),
    "input that is not finite": (["solve", "divider.cir", "--input", "a=nan"], "NODE=VOLT"),
    "export of a folder that is no run": (["export", "."], "is not a run folder"),
    "wrapper and a file": (["export", ".", "--wrapper", "a", "-o", "b"], "give neither --output"),
    "wrapper in another dialect": (["export", ".", "--wrapper", "a", "--dialect", "xyce"], "give neither"),
    "verify of a folder that is no run": (["verify", "."], "is not a run folder"),
    "verify of nothing": (["verify", "nothing"], "cannot read nothing"),
    "samples of a netlist": (["verify", "divider.cir", "--samples", "3"], "a netlist has one"),
    "sweep of no source": (["solve", "sweep.cir"], "sweep.cir:4: .dc: there is no V or I source V9"),
    "resumption of no run": (["train", str(XOR), "--resume", "none"], "error: none is not a run folder"),
    "negative tolerance": (["verify", "divider.cir", "--tolerance", "-1"], "--tolerance"),
    "negative beta": (["gradcheck", str(XOR), "--beta", "-1"], "--beta"),
    "no samples": (["gradcheck", str(XOR), "--samples", "0"], "--samples"),
    "figure of an unknown kind": (["gradcheck", str(XOR), "--figure", "audit.docx"], ".docx"),
    "output folder that is a file": (["train", str(XOR), "--out", "divider.cir"], "cannot write"),
}


@pytest.mark.parametrize("case", FAULTY_COMMANDS)
def test_faulty_command_lines_end_in_one_message(command, tmp_path, case):
    (tmp_path / "divider.cir").write_text(DIVIDER)
    (tmp_path / "binary.cir").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "sweep.cir").write_text("title\nV1 a 0 1\nR1 a 0 1k\n.dc V9 0 1 0.1\n.end\n")
    (tmp_path / "nonsense.cir").write_text("title\nQ1 a b c d\n.end\n")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*")}
    arguments, expected = FAULTY_COMMANDS[case]
    if arguments[0] == "train" and "--out" in arguments:
        arguments = [*arguments, "--set", "training.epochs=1"]
    code, _, err = command(*arguments)
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*")} == before


def test_train_writes_a_whole_run_folder_and_names_what_it_skipped(command, tmp_path, no_ngspice):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    code, out, _ = command("train", config, "--set", "training.epochs=3")
    assert code == 0
    folder = tmp_path / "runs" / "tiny-001"
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names >= {
        "config.toml",
        "environment.json",
        "metrics.csv",
        "checkpoint.npz",
        "netlist.cir",
        "figures/learning_curve.png",
        "figures/conductances.png",
        "figures/phases.png",
    }
    assert not any(".partial" in name for name in names)
    assert tomllib.loads((folder / "config.toml").read_text())["training"]["epochs"] == 3
    assert json.loads((folder / "environment.json").read_text())["seeds"] == {"run": 0, "split": 0}
    assert len((folder / "metrics.csv").read_text().splitlines()) == 4
    skipped = [line for line in out.splitlines() if line.startswith("skipped")]
    assert len(skipped) == 1
    assert "apt-get install ngspice" in skipped[0]


def test_train_prints_the_published_result(command, tmp_path, no_ngspice):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY + '[published]\ntest_error = 0.25\nsource = "a paper"\n')
    code, out, _ = command("train", config)
    assert code == 0
    assert "published test error 25.00% (a paper)" in out.splitlines()


def test_training_in_a_missing_ngspice_writes_nothing(command, tmp_path, no_ngspice):
    (tmp_path / "tiny.toml").write_text(TINY)
    code, out, err = command("train", "tiny.toml", "--set", "engine=ngspice")
    assert code == 2
    assert out.strip() == ""
    assert err.startswith("error: ngspice was not found")
    assert "apt-get install ngspice" in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_a_second_run_gets_its_own_folder(command, tmp_path, no_ngspice):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    for _ in range(2):
        assert command("train", config)[0] == 0
    first, second = tmp_path / "runs" / "tiny-001", tmp_path / "runs" / "tiny-002"
    with np.load(first / "checkpoint.npz") as a, np.load(second / "checkpoint.npz") as b:
        assert a.files == b.files
        assert all(np.array_equal(a[key], b[key]) for key in a.files)


def test_export_and_solve_agree_with_the_trained_circuit(command, tmp_path, no_ngspice):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    assert command("train", config)[0] == 0
    assert command("export", "runs/tiny-001", "-o", "out/tiny.cir")[0] == 0
    code, out, _ = command("solve", "out/tiny.cir")
    assert code == 0
    from analogep.training.files.folder import read_run

    problem = read_run(tmp_path / "runs" / "tiny-001").problem
    wanted = problem.solver(problem.circuit, problem.test.inputs(slice(1))).voltage("y0")[0]
    shown = next(line for line in out.splitlines() if " y0 " in line)
    assert float(shown.replace("│", " ").split()[-1]) == pytest.approx(wanted, rel=1e-11)


@pytest.mark.ngspice
def test_a_wrapper_and_its_layers_run_in_ngspice(command, tmp_path, ngspice):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    assert command("train", config, "--set", "training.epochs=1")[0] == 0
    arguments = ("export", "runs/tiny-001", "--sample", "1", "--hierarchy")
    code, _, err = command(*arguments, "deep")
    assert (code, "use one of flat, layers" in err) == (2, True)
    code, out, _ = command(*arguments, "layers", "--wrapper", "out")
    assert code == 0
    assert "ngspice -b wrapper.cir" in out
    assert ".subckt W1 " in (tmp_path / "out" / "core.cir").read_text()
    done = subprocess.run([ngspice, "-n", "-b", "wrapper.cir"], cwd=tmp_path / "out", capture_output=True)
    assert done.returncode == 0
    names, values = (tmp_path / "out" / "voltages.txt").read_text().splitlines()
    from analogep.training.files.folder import read_run

    problem = read_run(tmp_path / "runs" / "tiny-001").problem
    wanted = problem.solver(problem.circuit, problem.test.inputs(slice(1, 2))).voltage("y0")[0]
    found = dict(zip(names.split(), values.split(), strict=True))
    assert float(found["y0"]) == pytest.approx(wanted, rel=0, abs=1e-9)


def test_solve_prints_the_divider(command, tmp_path):
    """3 V over 1 kΩ and 2 kΩ leave 2 V (hand calculation)."""
    (tmp_path / "divider.cir").write_text(DIVIDER)
    code, out, _ = command("solve", "divider.cir")
    assert code == 0
    shown = next(line for line in out.splitlines() if " b " in line)
    assert float(shown.replace("│", " ").split()[-1]) == pytest.approx(2.0, abs=1e-12)


def test_solve_does_what_the_netlist_asks_for_and_saves_it(command, tmp_path):
    """A divider by 3 in an included file, swept from 0 V to 3 V: a third of it at each point."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "divider.inc").write_text(".subckt third a b\nR1 a b 2k\nR2 b 0 1k\n.ends\n")
    text = "title\n.include parts/divider.inc\nV1 a 0 1\nX1 a b third\n.dc V1 0 3 1\n.end\n"
    (tmp_path / "sweep.cir").write_text(text)
    code, out, _ = command("solve", "sweep.cir", "--output", "sweep.csv")
    assert code == 0
    assert "DC sweep of V1" in out
    table = np.genfromtxt(tmp_path / "sweep.csv", delimiter=",", skip_header=1)
    np.testing.assert_allclose(table, [[v, v, v / 3] for v in range(4)], atol=1e-12)
    code, out, _ = command("solve", "sweep.cir", "--output", "sweep.npz")
    assert code == 0
    with np.load(tmp_path / "sweep.npz") as saved:
        np.testing.assert_allclose(saved["v(b) [V]"], np.arange(4) / 3, atol=1e-12)


def test_verify_without_ngspice_says_how_to_get_it(command, tmp_path, no_ngspice):
    (tmp_path / "divider.cir").write_text(DIVIDER)
    code, _, err = command("verify", "divider.cir")
    assert code == 2
    assert "ngspice" in err
    assert "install" in err


def test_gradcheck_passes_on_the_board_and_draws(command, tmp_path):
    code, out, _ = command("gradcheck", XOR, "--figure", "audit.png")
    assert code == 0
    assert "EP centered agrees with the adjoint" in out
    assert "DISAGREES" not in out
    # a pair of two nodes of 1 pF, and two phases: √(4 kT/C)
    assert "noise 0.000129 V" in " ".join(out.split())
    assert (tmp_path / "audit.png").stat().st_size > 10_000


def test_gradcheck_warns_of_a_nudge_below_the_noise(command):
    code, out, _ = command("gradcheck", XOR, "--noise", "0.1", "--rule", "EP centered")
    assert code == 0
    assert "less than the noise" in " ".join(out.split())
    assert "contrastive" not in out


def test_devices_lists_every_device(command):
    from analogep.devices import REGISTRY, Behavioural, BehaviouralVoltage

    code, out, _ = command("devices")
    assert code == 0
    assert all(kind in out for kind in (*REGISTRY, Behavioural.kind, BehaviouralVoltage.kind))


def test_help_loads_neither_solver_nor_figures():
    code = (
        "import sys; sys.argv = ['analogep', '--help']\n"
        "from analogep.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numba', 'scipy', 'matplotlib', 'sklearn', 'pydantic', 'networkx'} & set(sys.modules)\n"
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gradcheck" in done.stdout
