"""Laws of the encoders, and the report of voltages against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_training_config import TABLE, faulty

from analogep.training import Part, VoltageEncoder, build_problem
from analogep.training.configuration.config import parse_config
from analogep.training.configuration.data import EncoderConfig
from analogep.training.encoders import CHUNK, statistics
from analogep.training.voltages import report_voltages

FEATURES = arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(1, 6)),
    elements=st.floats(-100, 100).map(lambda x: round(x, 3)),
)
CONFIGS = st.builds(
    EncoderConfig,
    gain=st.floats(0.01, 100),
    center=st.floats(-2, 2),
    standardise=st.sampled_from(["none", "feature", "overall"]),
    bias_lines=st.lists(st.floats(-5, 5), max_size=2).map(tuple),
    doubled=st.booleans(),
)


@given(FEATURES, CONFIGS)
def test_lines_round_trip_and_sum_to_zero_when_doubled(x: np.ndarray, config: EncoderConfig) -> None:
    encoder = VoltageEncoder.fitted(config, Part(x))
    volts = encoder(x)
    count = x.shape[1] + len(config.bias_lines)
    assert volts.shape == (len(x), encoder.lines(x.shape[1])) == (len(x), count * (1 + config.doubled))
    np.testing.assert_array_equal(volts[:, x.shape[1] : count], np.tile(config.bias_lines, (len(x), 1)))
    if config.doubled:
        np.testing.assert_array_equal(volts[:, :count] + volts[:, count:], 0.0)
        np.testing.assert_array_equal(volts.sum(axis=1).round(9), 0.0)
    np.testing.assert_allclose(encoder.decode(volts), x, rtol=0, atol=1e-9)


@given(FEATURES)
def test_each_feature_is_standardised_over_the_training_part(x: np.ndarray) -> None:
    v = VoltageEncoder.fitted(EncoderConfig(standardise="feature", doubled=False), Part(x))(x)
    steady = np.ptp(x, axis=0) == 0
    np.testing.assert_allclose(v.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(v.var(axis=0)[~steady], 1.0, rtol=1e-6)
    np.testing.assert_array_equal(v[:, steady], 0.0)


@given(FEATURES)
def test_all_features_are_standardised_as_one(x: np.ndarray) -> None:
    v = VoltageEncoder.fitted(EncoderConfig(standardise="overall", doubled=False), Part(x))(x)
    assert v.mean() == pytest.approx(0.0, abs=1e-9)
    if np.ptp(x) > 0:
        assert v.var() == pytest.approx(1.0, rel=1e-6)


def test_gain_and_center_act_after_standardising() -> None:
    # by hand: mean 2, deviation 1; (1 − 2)/1 = −1, 5·(−1 − 0.5) = −7.5 and 5·(1 − 0.5) = 2.5
    part = Part(np.array([[1.0], [3.0]]))
    config = EncoderConfig(gain=5.0, center=0.5, standardise="feature", bias_lines=(2.0,))
    volts = VoltageEncoder.fitted(config, part)(part.numbers())
    np.testing.assert_array_equal(volts, [[-7.5, 2.0, 7.5, -2.0], [2.5, 2.0, -2.5, -2.0]])


def test_statistics_over_several_chunks_of_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 17, 5), dtype=np.uint8)
    part = Part(pixels, full_scale=255.0)
    mean, deviation = statistics(part, overall=False)
    np.testing.assert_allclose(mean, (pixels / 255.0).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, (pixels / 255.0).std(axis=0), rtol=1e-12)
    assert statistics(part, overall=True) == pytest.approx(((pixels / 255.0).mean(), (pixels / 255.0).std()))


def test_statistics_come_from_the_training_part_only() -> None:
    config = parse_config(
        faulty(
            {
                "data": {"name": "digits", "validation_fraction": 0.25},
                "encoder": {"standardise": "overall", "gain": 2.0},
                "network": {"hidden_layers": []},
                "training/rates": {"W1.conductance": 1e-9, "b1.amplitude": 1e-9},
            }
        ),
        "digits",
    )
    problem = build_problem(config)
    assert problem.validation is not None
    train = problem.train.part.features
    for volts in (problem.train, problem.validation, problem.test):
        wanted = 2.0 * (volts.part.features - train.mean()) / train.std()
        np.testing.assert_allclose(volts.inputs()[:, :64], wanted, rtol=1e-9, atol=1e-12)


def test_volts_are_encoded_by_batch_and_in_single_precision() -> None:
    changes = {"encoder": {"gain": 3.0, "bias_lines": [0.25]}}
    volts = build_problem(parse_config(faulty(changes), "table")).train
    np.testing.assert_array_equal(volts.inputs(np.array([1])), volts.inputs()[1:])
    single = volts.single()
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, [[0.0, 3.0, 0.25], [3.0, 0.0, 0.25]])
    np.testing.assert_array_equal(volts.single(np.array([1, 0])), single[::-1])


def test_a_bias_line_is_an_input_of_the_circuit() -> None:
    plain = build_problem(parse_config(TABLE, "table")).circuit
    biased = build_problem(parse_config(faulty({"encoder": {"bias_lines": [1.0, 2.0]}}), "table")).circuit
    assert len(biased.input_nodes) == len(plain.input_nodes) + 4


@given(FEATURES, CONFIGS, st.floats(0.1, 50))
def test_report_of_voltages_is_numpys(x: np.ndarray, config: EncoderConfig, limit: float) -> None:
    part = Part(x)
    encoder = VoltageEncoder.fitted(config, part)
    volts, found = encoder(x), report_voltages(encoder, part, limit)
    assert (found.minimum, found.maximum) == (volts.min(), volts.max())
    assert found.mean == pytest.approx(volts.mean(), abs=1e-9)
    assert found.rms == pytest.approx(np.sqrt((volts**2).mean()), rel=1e-9)
    assert found.zero == (volts == 0).mean()
    assert found.idle == (volts == 0).all(axis=0).sum()
    assert found.positive + found.negative + found.bias == volts.shape[1]
    assert found.beyond == (np.abs(volts) > limit).any(axis=1).mean()
    assert abs(volts[found.worst_sample, found.worst_line]) == np.abs(volts).max() == found.peak
    assert (found.warning() is None) == (np.abs(volts) <= limit).all()


def test_report_over_several_chunks() -> None:
    x = np.zeros((CHUNK + 3, 2), np.float32)
    x[CHUNK + 1, 1] = -4.0
    found = report_voltages(VoltageEncoder(gain=2.0, doubled=False), Part(x), limit=5.0)
    assert (found.minimum, found.maximum, found.worst_sample, found.worst_line) == (-8.0, 0.0, CHUNK + 1, 1)
    assert (found.idle, found.beyond) == (1, 1 / (CHUNK + 3))
    assert found.warning() == (
        "line 1 reaches 8 V in sample 4097, beyond 5 V, as do 0.02% of the samples; "
        "multiply the gain by 0.625 or less"
    )
