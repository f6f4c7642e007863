"""A budget is kept, whatever an observation costs, and a dear one is made up for."""

from itertools import pairwise

import pytest

from afterfit.watch.overhead import BLIND_SECONDS, SMALLEST_PROBE, Overhead


def simulated(budget, step_seconds, cost, steps, *, first=None, asked=1, probe=SMALLEST_PROBE):
    """A loop that knows what everything costs: the overhead, and at which steps it observed with which share after."""
    overhead, seen, due, last = Overhead(budget, probe), [], 0, 0
    for step in range(steps):
        if step < due:
            continue
        overhead.trained(step - last, (step - last) * step_seconds)
        took = first if first and not seen else cost(overhead.probe)
        overhead.observed(took)
        overhead.adapt(asked)
        due, last = step + overhead.steps_between(asked), step
        seen.append((step, overhead.share))
    return overhead, seen


@pytest.mark.parametrize("cost", [1e-3, 0.01, 0.3])
@pytest.mark.parametrize("budget", [0.01, 0.03, 0.3])
def test_after_the_second_observation_the_budget_is_kept(budget, cost):
    _, seen = simulated(budget, 1e-3, lambda probe: cost, 200_000)
    assert len(seen) > 3
    assert all(share <= budget * 1.001 for _, share in seen[2:])
    assert seen[-1][1] > 0.5 * budget  # and made use of


def test_where_observations_are_cheap_they_come_as_asked():
    overhead, seen = simulated(0.03, 1e-2, lambda probe: 1e-3, 2_000, asked=200, probe=512)
    assert [step for step, _ in seen] == list(range(0, 2_000, 200))
    assert overhead.probe == 512


def test_a_first_observation_that_compiles_does_not_blind_the_watch():
    _, seen = simulated(0.03, 1e-3, lambda probe: 0.005, 500_000, first=5.0)
    gaps = [1e-3 * (b - a) for (a, _), (b, _) in pairwise(seen)]
    assert BLIND_SECONDS - 1 < max(gaps) <= BLIND_SECONDS + 1e-3
    assert seen[-1][1] <= 0.03 * 1.001  # made up for in the end


def test_fewer_examples_are_looked_at_where_observations_would_become_rare():
    overhead, _ = simulated(0.03, 0.1, lambda probe: probe * 1e-3, 100_000, asked=10, probe=2_048)
    assert overhead.probe == SMALLEST_PROBE


def test_without_a_budget_nothing_changes():
    overhead, seen = simulated(None, 1e-3, lambda probe: 1.0, 100, asked=10, probe=512)
    assert [step for step, _ in seen] == list(range(0, 100, 10))
    assert overhead.probe == 512
