"""ngspice for the tests that need it: skipped without it, unless the environment demands it."""

from __future__ import annotations

import os

import pytest

from analogep.errors import EngineError
from analogep.spice import find_ngspice

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
