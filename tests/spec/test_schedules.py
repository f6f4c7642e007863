"""Schedules give, from any step, the next one of a list that can be written down beforehand."""

from itertools import accumulate, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.spec import Every, Logarithmic, Paced

FAR = 3_000


def listed(schedule, until: int) -> list[int]:
    """The observed steps up to `until`, one after the other."""
    steps, step = [], 0
    while (step := schedule.after(step)) <= until:
        steps.append(step)
    return steps


def paced(until, every) -> set[int]:
    """Stretch by stretch, an observation at its end too."""
    found, start = set(), 0
    for end, distance in zip((*until, None), every, strict=True):
        stop = FAR if end is None else end
        found |= {*range(start + distance, stop + 1, distance), stop if end else start}
        start = stop
    return {step for step in found if 0 < step <= FAR}


@pytest.mark.parametrize("distance", [1, 7, 100])
def test_every_gives_the_multiples(distance):
    assert listed(Every(steps=distance), FAR) == list(range(distance, FAR + 1, distance))


@pytest.mark.parametrize("per_decade", [1, 2, 3, 7, 20, 500])
def test_logarithmic_gives_the_rounded_powers_of_ten(per_decade):
    powers = {round(10 ** (i / per_decade)) for i in range(4 * per_decade + 1)}
    assert listed(Logarithmic(per_decade=per_decade), 10_000) == sorted(powers)


def test_the_published_paces_are_every_step_then_every_tenth_then_every_666th():
    published = [*range(1, 31), *range(40, 151, 10), *accumulate(repeat(666, 5), initial=150)]
    assert listed(Paced(until=(30, 150), every=(1, 10, 666)), 150 + 5 * 666) == sorted(set(published))


@given(
    st.lists(st.integers(1, 400), max_size=3, unique=True).map(sorted).map(tuple),
    st.lists(st.integers(1, 120), min_size=4, max_size=4),
)
def test_paced_gives_each_stretch_its_own_distance(until, every):
    every = tuple(every[: len(until) + 1])
    assert listed(Paced(until=until, every=every), FAR) == sorted(paced(until, every))


@given(
    st.sampled_from([Every(steps=7), Logarithmic(per_decade=4), Logarithmic(per_decade=60), Paced()]),
    st.integers(0, 10**7),
)
def test_the_next_step_is_the_first_observed_one_from_wherever_one_asks(schedule, step):
    following = schedule.after(step)
    assert following > step
    assert all(schedule.after(between) == following for between in {step, (step + following) // 2, following - 1})
