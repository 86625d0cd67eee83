"""Settings shared by all tests."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The default profile tries the same examples in every run, so that a red run is the change's doing. To look
# for new failures, run with HYPOTHESIS_PROFILE=search (and HYPOTHESIS_EXAMPLES, 1000 if
# not given), and keep what it finds as a test of its own.
settings.register_profile(
    "default", deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search",
    deadline=None,
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "1000")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
