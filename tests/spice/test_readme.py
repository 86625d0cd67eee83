"""The README's examples run as printed."""

from __future__ import annotations

import contextlib
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from analogep.cli import main

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.ngspice
def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert " agree: " in capsys.readouterr().out
    right, wrong = (
        [row.cosine for row in names["report"].rows if row.rule.startswith(start)]
        for start in ("non-rec", "vector")
    )
    assert min(right) > 0.9999
    assert min(wrong) < 0.99
    final = [names["run"], names["aep"].spice.transient(names["stepped"], until=5e-4)]
    for trajectory in final:  # four time constants after the step
        assert trajectory.voltage("b")[-1, 0] == pytest.approx(1 - math.exp(-4), rel=1e-3)


def test_the_netlists_that_are_shown_are_solved(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = re.findall(r"^analogep (solve netlists/.*)$", README.read_text(encoding="utf-8"), flags=re.M)
    assert len(shown) == 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netlists").symlink_to(README.parent / "netlists")
    for line in shown:
        monkeypatch.setattr(sys, "argv", ["analogep", *line.split()])
        with contextlib.suppress(SystemExit):
            main()
        out = capsys.readouterr()
        assert "largest Kirchhoff residual" in out.out, out.err
    assert (tmp_path / "neuron.csv").exists()
