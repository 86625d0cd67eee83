"""The worker that holds ngspice's shared library: same answers, steady memory, and a life after every death."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import CELLS, experiments
from test_engine import LOOP, divider
from test_parity import ordinary, resolvable
from test_reference_netlists import CASES, assert_voltages, load

from analogep.devices import Diode
from analogep.errors import EngineError, InputError
from analogep.networks import deep_resistive, uniform
from analogep.solve import operating_point as native
from analogep.spice import PySpiceEngine, operating_point, to_pyspice
from analogep.spice.engines.ngspice import RELAXED, TIGHT
from analogep.spice.engines.pyspice_engine import LIBRARY, shared_engine

pytest.importorskip("PySpice")
pytestmark = [
    pytest.mark.ngspice,  # where the program is, the library is
    pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning"),  # random active circuits
]


@pytest.fixture
def engine() -> Iterator[PySpiceEngine]:
    with PySpiceEngine(timeout=60.0) as made:
        yield made


def solve(engine: PySpiceEngine, volts: float = 1.0) -> None:
    """Solve the divider and compare with the native solution."""
    found = operating_point(divider(), [volts], engine=engine)
    np.testing.assert_allclose(found.voltages, native(divider(), [volts]).voltages, atol=1e-12)


def resident(pid: int) -> int:
    """Return the resident memory of a process [bytes]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("case", CASES)
def test_reference_circuits(case: str) -> None:
    netlist, expected = load(case)
    found = operating_point(netlist.circuit, netlist.inputs, netlist.nudge, engine="pyspice")
    assert_voltages(dict(zip(netlist.circuit.nodes, found.voltages[0], strict=True)), expected)
    batch = operating_point(netlist.circuit, netlist.inputs, netlist.nudge, engine="ngspice")
    np.testing.assert_allclose(found.voltages, batch.voltages, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=5)
@given(data=st.data())
def test_pyspices_own_netlist_is_the_same_circuit(cell: str, data: st.DataObject) -> None:
    """Built element by element by PySpice, and written by PySpice, it has the native solution."""
    circuit, inputs = case = resolvable(data.draw(experiments(("resistor", cell), most_cells=5)))
    assume(ordinary(case))
    text = str(to_pyspice(circuit, inputs)) + "\n.end\n"
    (point,) = shared_engine().run(text, [{}], TIGHT).points
    if point is None:  # a step that rounding keeps above these tolerances
        (point,) = shared_engine().run(text, [{}], RELAXED).points
    assert point is not None
    found = [point[name.lower()] for name in circuit.nodes[1:]]
    np.testing.assert_allclose(found, native(circuit, inputs).voltages[0, 1:], rtol=1e-9, atol=1e-9)


def test_one_process_serves_all_and_goes_with_the_engine() -> None:
    with PySpiceEngine() as engine:
        assert engine.pid is None
        solve(engine)
        pid = engine.pid
        for volts in (2.0, -3.0):
            solve(engine, volts)
        assert engine.pid == pid
        assert engine.restarts == []
        folder = os.readlink(f"/proc/{pid}/cwd")
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(folder).exists()


def test_an_engine_that_nobody_closes_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "from analogep.spice import PySpiceEngine\nfrom analogep.spice.engines.ngspice import TIGHT\n"
        "engine = PySpiceEngine()\n"
        "print(engine.run('* r\\nVa a 0 1\\nRa a 0 1k\\n.end\\n', [{}], TIGHT).points[0]['a'], engine.pid)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    volts, pid = done.stdout.split()
    assert float(volts) == 1.0
    assert not Path(f"/proc/{pid}").exists()
    assert list(tmp_path.iterdir()) == []


def test_200_runs_grow_the_workers_memory_by_less_than_20_MB(engine: PySpiceEngine) -> None:
    """PySpice as it comes keeps every circuit: 13 MB a run at 13,000 elements."""
    circuit = deep_resistive([40, 20, 10], initial=uniform(1e-6, 1e-4), rng=np.random.default_rng(0))
    assert circuit.element_count > 1000
    array = np.random.default_rng(1).uniform(-1, 1, (1, 40))
    text = engine.netlist(circuit, array)
    engine.run(text, [{}], TIGHT)
    pid = engine.pid
    assert pid is not None
    before = resident(pid)
    for _ in range(200):
        (point,) = engine.run(text, [{}], TIGHT).points
    assert engine.pid == pid
    assert resident(pid) - before < 20e6
    expected = native(circuit, array).voltages[0]
    np.testing.assert_allclose([point[n.lower()] for n in circuit.nodes[1:]], expected[1:], atol=1e-9)


def test_killed_between_runs(engine: PySpiceEngine, caplog: pytest.LogCaptureFixture) -> None:
    solve(engine)
    os.kill(engine.pid, signal.SIGKILL)  # type: ignore[arg-type]
    solve(engine, 2.0)
    assert [r for r in engine.restarts if "crashed (signal 9)" in r]
    assert [r for r in caplog.records if r.levelno == logging.WARNING and "crashed" in r.getMessage()]
    solve(engine, 3.0)
    assert len(engine.restarts) == 1


def test_killed_during_a_run(engine: PySpiceEngine) -> None:
    """Stopped first, so that it is certain to die with the request in its hands."""
    solve(engine)
    pid = engine.pid
    os.kill(pid, signal.SIGSTOP)  # type: ignore[arg-type]
    killer = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL))
    killer.start()
    solve(engine, 2.0)
    killer.join()
    assert engine.pid != pid
    assert len(engine.restarts) == 1


def test_a_hanging_worker_is_replaced_and_the_run_goes_on(engine: PySpiceEngine) -> None:
    solve(engine)
    pid = engine.pid
    os.kill(pid, signal.SIGSTOP)  # type: ignore[arg-type]
    text = engine.netlist(divider(), [2.0])
    (point,) = engine.run(text, [{}], TIGHT, timeout=3.0).points
    assert point == pytest.approx({**point, "b": native(divider(), [2.0]).voltage("b")[0]}, rel=1e-9)
    assert engine.restarts == ["it took longer than 3 s"]
    assert not Path(f"/proc/{pid}").exists()
    solve(engine, 3.0)


def test_a_request_larger_than_the_pipe_does_not_block_on_a_hanging_worker(engine: PySpiceEngine) -> None:
    solve(engine)
    os.kill(engine.pid, signal.SIGSTOP)  # type: ignore[arg-type]
    lines = "\n".join(f"Rx{k} a 0 1e3" for k in range(20_000))
    (point,) = engine.run(f"* many\nVa a 0 1\n{lines}\n.end\n", [{}], TIGHT, timeout=2.0).points
    assert point is not None
    assert point["a"] == 1.0


@pytest.mark.parametrize(
    "netlist",
    [
        "* undefined parameter\nVa a 0 1\nRa a b {nothing}\nRb b 0 1k\n.end\n",
        "* unknown model\nVa a 0 1\nDa a 0 nothing\n.end\n",
        "* unknown subcircuit\nVa a 0 1\nXa a 0 nothing\n.end\n",
    ],
)
def test_a_netlist_that_leaves_the_library_dead(engine: PySpiceEngine, netlist: str) -> None:
    solve(engine)
    with pytest.raises(EngineError, match="failed twice on 1 samples"):
        engine.run(netlist, [{}], TIGHT)
    assert len(engine.restarts) == 2
    solve(engine, 2.0)
    assert len(engine.restarts) == 2


@pytest.mark.parametrize(("netlist", "said"), [(LOOP, "singular matrix"), ("* empty\n.end\n", "no vectors")])
def test_a_sample_without_a_point_never_gets_an_older_ones(engine: PySpiceEngine, netlist: str, said: str) -> None:
    solve(engine)
    outcome = engine.run(netlist, [{}, {}], TIGHT)
    assert outcome.points == [None, None]
    assert said in outcome.log
    assert len(engine.restarts) == 1
    solve(engine, 2.0)


def test_two_hangs_in_a_row_are_an_error(engine: PySpiceEngine) -> None:
    started = time.monotonic()
    with pytest.raises(EngineError, match=r"failed twice.*longer than 0\.001 s"):
        engine.run(engine.netlist(divider(), [1.0]), [{}], TIGHT, timeout=1e-3)
    assert time.monotonic() - started < 30.0  # it did not wait for the engine's own 60 s


def test_a_library_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "libngspice.so"
    path.write_text("not a library")
    monkeypatch.setenv(LIBRARY, str(path))
    with PySpiceEngine() as engine, pytest.raises(EngineError, match=f"could not load {path}"):
        solve(engine)


def test_a_forked_child_starts_a_worker_of_its_own(engine: PySpiceEngine) -> None:
    """On the same pipes, parent and child would read each other's answers."""
    solve(engine)
    pid = engine.pid
    child = os.fork()
    if child == 0:
        try:
            solve(engine, 2.0)
            fine = engine.pid != pid
            engine.close()
            os._exit(0 if fine else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    solve(engine, 3.0)
    assert engine.pid == pid
    assert engine.restarts == []


def test_threads_take_turns(engine: PySpiceEngine) -> None:
    circuit = divider({k: np.array([v]) for k, v in Diode().values.items()})
    found: dict[float, np.ndarray] = {}

    def one(volts: float) -> None:
        found[volts] = operating_point(circuit, [volts], engine=engine).voltages

    threads = [threading.Thread(target=one, args=(v,)) for v in np.linspace(-2, 2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for volts, voltages in found.items():
        np.testing.assert_allclose(voltages, native(circuit, [volts]).voltages, atol=1e-12)


def test_wrong_timeout() -> None:
    with pytest.raises(InputError, match="timeout = 0"):
        PySpiceEngine(timeout=0.0)
