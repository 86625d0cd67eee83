"""The first crossbar of compiled epochs: its layout, and its pass against the same sums written out in numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.learning.fused import FusedEpochs, FusedSettings, layout, shape
from analogep.learning.fused.chain import Chain
from analogep.learning.fused.kernels.arrays import Lines
from analogep.learning.fused.kernels.first import line_currents, update_constant, update_first
from analogep.learning.fused.layout import COLUMNS, FirstCrossbar
from analogep.learning.fused.scratch import front_room
from analogep.networks import deep_resistive
from analogep.solve.compiled import CONSTANTS

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]


def network(features: int, columns: int, kinds: int, bias: Any, seed: int) -> Circuit:
    rng, extra = np.random.default_rng(seed), 2 if bias == "lines" else 0
    initial = {
        "W1": rng.uniform(0.05, 1.0, (features * kinds + extra, columns)),
        "W2": rng.uniform(0.05, 1.0, (columns + extra, 2)),
    }
    return deep_resistive([features * kinds, columns, 2], hidden="linear", bias=bias, initial=initial)


def by_samples(numbers: np.ndarray, batch: int, width: int) -> np.ndarray:
    """Return what lies four samples a time, (Q, vectors, 4, vector), as (B, width)."""
    count = 64 // numbers.itemsize
    parts = numbers.reshape(-1, width // count, 4, count).transpose(0, 2, 1, 3)
    return parts.reshape(-1, width)[:batch]


@given(
    features=st.integers(1, 9),
    kinds=st.sampled_from([1, 2]),
    constants=st.integers(0, 3),
    columns=st.integers(1, 70),
    dtype=st.sampled_from(DTYPES),
)
def test_the_layout_has_a_place_of_its_own_for_every_number(
    features: int, kinds: int, constants: int, columns: int, dtype: np.dtype[np.floating]
) -> None:
    plan = FirstCrossbar(features, kinds, constants)
    numbers = plan.empty(columns, dtype)
    assert numbers.ctypes.data % 64 == 0
    edges = [*range(0, columns, 2 * COLUMNS), columns]
    count = (features * kinds + constants) * columns
    lines = 1.0 + np.arange(features * kinds * columns).reshape(kinds, features, columns)
    ends = 1.0 + lines.size + np.arange(constants * columns).reshape(constants, columns)
    for a, b in pairwise(edges):
        plan.put(numbers, a, b, lines[..., a:b], ends[:, a:b])
    assert sorted(numbers[numbers != 0]) == list(range(1, count + 1))
    for a, b in pairwise(edges):
        found = plan.get(numbers, a, b)
        np.testing.assert_array_equal(found[0], lines[..., a:b])
        np.testing.assert_array_equal(found[1], ends[:, a:b])


@given(
    features=st.integers(1, 9),
    columns=st.integers(1, 40),
    kinds=st.sampled_from([1, 2]),
    bias=st.sampled_from(["lines", "none"]),
    batch=st.integers(1, 11),
    more=st.integers(0, 11),
    hi=st.sampled_from([0.5, np.inf]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_a_pass_updates_sums_and_carries_as_the_formulas_say(
    features: int, columns: int, kinds: int, bias: Any, batch: int, more: int, hi: float, dtype: Any, seed: int
) -> None:
    circuit = network(features, columns, kinds, bias, seed)
    chain = Chain(circuit, doubled=kinds == 2, dtype=dtype)
    plan, net, rng = chain.layout, chain.net, np.random.default_rng(seed)
    most, lo = max(batch, more), 0.01
    front = front_room(net, most)
    voltages = np.where(rng.random((2, most, features)) < 0.5, 0.0, rng.normal(size=(2, most, features))).astype(
        dtype
    )
    shift, level = 0.1 * rng.normal(size=(batch, columns)), 0.1 * rng.normal(size=columns)
    start, size, width = plan.tile(0, columns)
    count, vectors = 64 // dtype.itemsize, width // (64 // dtype.itemsize)

    # what training's loop prepares
    front.volts[0, :batch, :features] = voltages[0, :batch]
    front.volts[1, :more, :features] = voltages[1, :more]
    quads = front.volts.reshape(2, -1, 4, plan.blocks, 4)
    front.lit[:] = (quads != 0).any(axis=(2, 4))
    filled = np.zeros((4 * len(front.lit[0]), width), dtype)
    filled[:batch, :columns] = shift
    front.shift[:] = filled.reshape(-1, 4, vectors, count).transpose(0, 2, 1, 3).ravel()
    own = np.zeros(width, dtype)
    own[:columns] = level
    front.base.reshape(vectors, 5, count)[:, 0] = own.reshape(vectors, count)

    before = circuit.crossbars[0].conductance
    lines = size - plan.constants * width
    table, number = net.first[start : start + size], dtype.type
    arguments = (
        number(1),
        kinds,
        features,
        front,
        0,
        batch,
        more,
        width,
        number(lo),
        number(hi),
        int(hi < np.inf),
    )
    update_first(table[:lines], *arguments)
    update_constant(table[lines:], chain.extra, batch, more, front, width, number(lo), number(hi))

    rows = np.concatenate([np.concatenate([v, -v][:kinds], axis=1) for v in voltages[0, :batch, None]])
    constant = np.tile(chain.extra, (batch, 1))
    place = np.concatenate([chain.lines.ravel(), chain.shape.constant])
    u = np.empty((batch, len(before)))
    u[:, place] = np.concatenate([rows, constant], axis=1)
    wanted = np.clip(before - u.T @ shift - level, lo, hi)
    close: dict[str, float] = {"rtol": 0, "atol": 2e-5 if dtype == np.float32 else 1e-12}
    np.testing.assert_allclose(chain.parameters()["W1.conductance"], wanted, **close)
    np.testing.assert_allclose(front.sums[:columns], wanted.sum(axis=0), **close)
    follow = np.empty((more, len(before)))
    follow[:, place] = np.concatenate(
        [*([s * voltages[1, :more] for s in (1, -1)][:kinds]), np.tile(chain.extra, (more, 1))], axis=1
    )
    carried = by_samples(front.fresh, more, width)[:, :columns]
    np.testing.assert_allclose(carried, follow @ wanted, **close)

    # the currents of a batch that no update has prepared are the same to the bit
    into = np.zeros((max(more, 1), columns), dtype)
    line_currents(net, Lines(voltages[1], chain.extra), np.arange(more), front, into)
    np.testing.assert_array_equal(into[:more], carried)


@pytest.mark.parametrize("parts", [2, 3, 9])
def test_a_pass_has_the_same_bits_however_columns_are_cut(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = network(5, 500, 2, "lines", 7)
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    found, tiles = [], []
    for share, count in ((256, 1), (48, parts)):
        monkeypatch.setattr(shape, "SHARE", share)
        chain = Chain(circuit, doubled=True, dtype=DTYPES[0], parts=count)
        into = np.zeros((6, 500), np.float32)
        line_currents(chain.net, Lines(x, chain.extra), np.arange(6), front_room(chain.net, 6), into)
        found.append((into, chain.net.sums[:500]))
        tiles.append(int((chain.net.tiles[:, 0] == 0).sum()))
    assert tiles[0] == 1 < tiles[1]
    for whole, cut in zip(*found, strict=True):
        np.testing.assert_array_equal(cut, whole)


def test_lines_that_are_no_voltages_are_refused_by_name() -> None:
    circuit, chosen = network(5, 8, 2, "none", 0), FusedSettings(0.1)
    x = np.zeros((3, 5))
    run = FusedEpochs(circuit, x, np.zeros((3, 2)), rates={}, bounds={}, batch=2, settings=chosen, doubled=True)
    bad = x.copy()
    bad[1, 4] = np.nan
    with pytest.raises(InputError, match=r"1 voltages are not finite, the first nan V at line 4 of sample 1"):
        run.outputs(bad)
    with pytest.raises(InputError, match=r"shape \(3, 4\); expected \(samples, 5\)"):
        run.outputs(x[:, :4])


def test_kernels_are_compiled_anew_when_the_layout_changes() -> None:
    assert CONSTANTS in Path(layout.__file__).read_bytes()
