"""Misuses of the public surface end in one of our errors; see ``experiments/misuses.py``."""

from __future__ import annotations

from collections import Counter

from scripts import script

misuses = script("misuses.py")


def test_every_public_callable_has_an_example_or_a_reason() -> None:
    _, missing = misuses.callables()
    assert not missing, f"give an example of a good call in experiments/misuses.py, or a reason: {missing}"


def test_misuses_end_in_our_errors() -> None:
    slow = ("overview", "run_figures", "conductance_maps", "FrequencyPropagation.gradient", "save")
    found = misuses.campaign(misuses.FEW, skip=slow)  # the script tries these as well, and many more values
    bad = [f"{how} {place}: {what}" for place, (how, what) in found.items() if how not in ("ours", "accepted")]
    assert not bad, "\n".join(bad)
    assert Counter(how for how, _ in found.values())["ours"] > 3000
