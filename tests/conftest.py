"""Settings shared by all tests."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; set before numpy is loaded
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from analogep.errors import EngineError
from analogep.spice import find_ngspice

# The default profile tries the same examples in every run, so that a red run is the change's doing. To look
# for new failures, run with HYPOTHESIS_PROFILE=search (and HYPOTHESIS_EXAMPLES, 1000 if
# not given), and keep what it finds as a test of its own.
settings.register_profile(
    "default", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search",
    deadline=None,
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "1000")),
    suppress_health_check=[HealthCheck.too_slow],
)
# hypothesis also draws numbers that it finds in the modules loaded so far. Which these are depends on the order of
# the tests, and with it on how workers share them: without them a run can be repeated.
if hasattr(providers, "_get_local_constants"):
    _none = providers.Constants()
    providers._get_local_constants = lambda: _none  # type: ignore[assignment]
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

REQUIRE = "ANALOGEP_REQUIRE_NGSPICE"


@pytest.fixture(scope="session")
def ngspice() -> str:
    """Path of the ngspice program."""
    try:
        return find_ngspice()
    except EngineError as error:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but {error}")
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _ngspice_where_marked(request: pytest.FixtureRequest) -> None:
    """Tests marked ``ngspice`` use the fixture without naming it."""
    if request.node.get_closest_marker("ngspice"):
        request.getfixturevalue("ngspice")
