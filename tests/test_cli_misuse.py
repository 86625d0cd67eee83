"""A hundred misuses of the command line: one message, exit status 2, no traceback, nothing written or damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import TINY, command  # noqa: F401  (a fixture)

GOOD = "divider\nV1 a 0 3\nR1 a b 1k\nR2 b 0 2k\n.op\n.dc V1 0 3 1\n.end\n"

NETLISTS = {
    "empty": "",
    "blank": "\n\n\n",
    "title only": "only a title\n",
    "end only": "t\n.end\n",
    "one unknown letter": "t\nZ1 a 0 1\n.end\n",
    "missing node": "t\nR1 a\n.end\n",
    "missing value": "t\nR1 a 0\n.end\n",
    "negative resistance": "t\nV1 a 0 1\nR1 a 0 -1\n.end\n",
    "zero resistance": "t\nV1 a 0 1\nR1 a 0 0\n.end\n",
    "infinite value": "t\nV1 a 0 1e999\nR1 a 0 1\n.end\n",
    "not a number": "t\nV1 a 0 nan\nR1 a 0 1\n.end\n",
    "unknown model": "t\nV1 a 0 1\nD1 a 0 dx\n.end\n",
    "unknown subcircuit": "t\nV1 a 0 1\nX1 a 0 nothing\n.end\n",
    "subcircuit in itself": "t\n.subckt s a\nX1 a s\n.ends\nV1 a 0 1\nX1 a s\n.end\n",
    "open subcircuit": "t\n.subckt s a\nR1 a 0 1\nV1 b 0 1\n.end\n",
    "sources in a loop": "t\nV1 a 0 1\nV2 a 0 2\nR1 a 0 1\n.end\n",
    "floating node": "t\nV1 a 0 1\nR1 a 0 1\nC1 x y 1n\n.end\n",
    "unknown parameter": "t\nV1 a 0 {x}\nR1 a 0 1\n.end\n",
    "parameter of itself": "t\n.param x={x+1}\nV1 a 0 {x}\nR1 a 0 1\n.end\n",
    "faulty expression": "t\nV1 a 0 {1+}\nR1 a 0 1\n.end\n",
    "deep expression": "t\nV1 a 0 {" + "(" * 5000 + "1" + ")" * 5000 + "}\nR1 a 0 1\n.end\n",
    "missing include": "t\n.include nothing.inc\nV1 a 0 1\nR1 a 0 1\n.end\n",
    "include of itself": "t\n.include bad.cir\nV1 a 0 1\nR1 a 0 1\n.end\n",
    "include of a folder": "t\n.include .\nV1 a 0 1\nR1 a 0 1\n.end\n",
    "sweep of nothing": "t\nV1 a 0 1\nR1 a 0 1\n.dc\n.end\n",
    "sweep of no source": "t\nV1 a 0 1\nR1 a 0 1\n.dc V7 0 1 1\n.end\n",
    "step of zero": "t\nV1 a 0 1\nR1 a 0 1\n.dc V1 0 1 0\n.end\n",
    "endless sweep": "t\nV1 a 0 1\nR1 a 0 1\n.dc V1 0 1 1e-12\n.end\n",
    "transient backwards": "t\nV1 a 0 1\nR1 a 0 1\n.tran 1u -1\n.end\n",
    "endless transient": "t\nV1 a 0 1\nR1 a 0 1\n.tran 1f 1\n.end\n",
    "ac": "t\nV1 a 0 1\nR1 a 0 1\n.ac dec 10 1 1k\n.end\n",
    "initial of no node": "t\nV1 a 0 1\nR1 a 0 1\n.ic v(x)=1\n.end\n",
    "unknown option": "t\nV1 a 0 1\nR1 a 0 1\n.options nonsense=1\n.end\n",
    "name twice": "t\nV1 a 0 1\nR1 a 0 1\nr1 a 0 2\n.end\n",
    "NUL": "t\nV1 a 0 1\nR1 a\0 0 1\n.end\n",
    "foreign structured comment": "t\n*@ nonsense\nV1 a 0 1\nR1 a 0 1\n.end\n",
    "open control block": "t\nV1 a 0 1\nR1 a 0 1\n.control\nop\n",
    "alter": "t\nV1 a 0 1\nR1 a 0 1\n.control\nalter r1 = 2\n.endc\n.end\n",
}


@pytest.mark.parametrize("case", NETLISTS)
@pytest.mark.parametrize("name", ["solve", "verify", "export"])
def test_faulty_netlists(command, tmp_path, name, case):  # noqa: F811
    if case == "sweep of no source" and name != "solve":
        pytest.skip("neither follows the sweep")
    (tmp_path / "bad.cir").write_text(NETLISTS[case])
    (tmp_path / "old.csv").write_text("precious")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*")}
    more = {"solve": ["--output", "old.csv"], "verify": [], "export": ["-o", "old.csv"]}[name]
    code, out, err = command(name, "bad.cir", *more)
    assert code == 2
    assert err.count("error: ") == 1
    assert "Traceback" not in err + out
    assert {p: p.read_bytes() for p in tmp_path.rglob("*")} == before


COMMANDS = {
    "solve a folder": (["solve", "."], "cannot read ."),
    "solve a name that is too long": (["solve", "x" * 5000], "cannot read"),
    "solve bytes": (["solve", "bytes.cir"], "not a text file"),
    "output is a folder": (["solve", "good.cir", "--output", "folder.csv"], "this is a folder"),
    "output below a file": (["solve", "good.cir", "--output", "good.cir/a.csv"], "there is no folder"),
    "no name before the suffix": (["solve", "good.cir", "--output", ".csv"], "must end in"),
    "input twice wrong": (["solve", "good.cir", "--input", "=1"], "is not an input"),
    "export into a folder": (["export", "good.cir", "-o", "."], "this is a folder"),
    "export below a file": (["export", "good.cir", "-o", "good.cir/a.cir"], "cannot write"),
    "export of nothing": (["export", "nothing"], "is not a run folder"),
    "sample of a netlist": (["export", "good.cir", "--sample", "0"], "for the circuit of a run folder"),
    "wrapper of a netlist": (["export", "good.cir", "--wrapper", "w"], "for the circuit of a run folder"),
    "dialect": (["export", "good.cir", "--dialect", "pspice"], "unknown dialect"),
    "hierarchy": (["export", "good.cir", "--hierarchy", "deep"], "use one of flat, layers"),
    "tolerance of zero": (["verify", "good.cir", "--tolerance", "0"], "--tolerance"),
    "tolerance that is none": (["verify", "good.cir", "--tolerance", "small"], "'--tolerance'"),
    "train a folder": (["train", "."], "cannot be read"),
    "train bytes": (["train", "bytes.cir"], "error"),
    "train below a file": (["train", "tiny.toml", "--out", "good.cir/runs"], "cannot write"),
    "resume a folder that is no run": (["train", "tiny.toml", "--resume", "folder.csv"], "is not a run folder"),
    "data that do not exist": (["data", "nothing.csv"], "nothing.csv"),
    "data of bytes": (["data", "bytes.npz"], "bytes.npz"),
    "data without a name": (["data"], "give either the NAME"),
    "gradcheck without samples": (["gradcheck", "tiny.toml", "--samples", "-1"], "--samples"),
    "gradcheck of an unknown rule": (["gradcheck", "tiny.toml", "--rule", "magic"], "magic"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_faulty_commands(command, tmp_path, case):  # noqa: F811
    (tmp_path / "good.cir").write_text(GOOD)
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "folder.csv").mkdir()
    for name in ("bytes.cir", "bytes.npz"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00\x80")
    before = {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")}
    arguments, expected = COMMANDS[case]
    code, out, err = command(*arguments)
    assert code == 2
    assert expected in " ".join(err.split())
    assert "Traceback" not in err + out
    assert {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")} == before


def _run(arguments: list[str], folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    begin = [sys.executable, "-m", "analogep"]
    return subprocess.run(
        [*begin, *arguments], cwd=folder, text=True, check=False, stderr=subprocess.PIPE, **options  # type: ignore[call-overload]
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "good.cir").write_text(GOOD)
    with open("/dev/full", "w") as full:
        done = _run(["solve", "good.cir"], tmp_path, stdout=full)
    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_analyses_are_saved_or_none(command, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "good.cir").write_text(GOOD)
    assert command("solve", "good.cir", "--output", "out.csv")[0] == 0
    assert (tmp_path / "out-1-op.csv").read_text() == "v(a) [V],v(b) [V]\n3,2\n"
    assert (tmp_path / "out-2-dc.csv").read_text().splitlines()[0] == "V1 [V],v(a) [V],v(b) [V]"
    assert not (tmp_path / "out.csv").exists()
    (tmp_path / "out-1-op.csv").write_text("precious")
    (tmp_path / "out-2-dc.csv").unlink()
    (tmp_path / "out-2-dc.csv").mkdir()  # the second file cannot be written
    code, _, err = command("solve", "good.cir", "--output", "out.csv")
    assert (code, "cannot write" in err) == (2, True)
    assert (tmp_path / "out-1-op.csv").read_text() == "precious"
    assert not list(tmp_path.glob(".partial*"))
