"""Rules by which a number becomes a verdict. Each says in a sentence what decided.

A claim of a direction is reproduced when the whole interval lies on the claimed side, and not reproduced when the whole
of it lies on the other. A claim of a size is reproduced when the estimate lies in a band fixed before running and the
interval is at most twice as long as the band, and not reproduced when the interval misses the band. A claim that two
things are alike is reproduced when the whole interval of their difference lies within a margin fixed before running,
and not reproduced when it misses the margin. A claim about all runs is reproduced when at least nine of ten runs show
it and the interval of the share lies above one half, and not reproduced when the interval lies below nine tenths.
Everything else is inconclusive.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from afterfit.analysis.proportions import share
from afterfit.analysis.results import Comparison, Quantity
from afterfit.studies.study import Verdict

LEAST_SHARE = 0.9  # of the runs, for a claim about all of them
UNDETERMINED = "the runs do not determine it"


class Ruling(NamedTuple):
    """A verdict and the sentence that says why."""

    verdict: Verdict
    because: str


def direction(what: str, found: Quantity | Comparison | None, *, above: float = 0.0, sign: int = 1) -> Ruling:
    """A claim that a number lies above a bound (below it, with `sign` −1)."""
    if found is None or found.interval is None or math.isnan(found.estimate):
        return Ruling("inconclusive", f"{what}: {UNDETERMINED}")
    low, high = (sign * (end - above) for end in found.interval)
    low, high = min(low, high), max(low, high)
    side = "above" if sign > 0 else "below"
    said = f"{what} is {_said(found)}, claimed {side} {brief(above)}"
    return Ruling("reproduced" if low > 0 else "not reproduced" if high < 0 else "inconclusive", said)


def size(what: str, found: Quantity | Comparison | None, band: tuple[float, float]) -> Ruling:
    """A claim that a number has a certain size: that it lies in a band."""
    if found is None or found.interval is None or math.isnan(found.estimate):
        return Ruling("inconclusive", f"{what}: {UNDETERMINED}")
    low, high = found.interval
    said = f"{what} is {_said(found)}, claimed {brief(band[0])} to {brief(band[1])}"
    if high < band[0] or low > band[1]:
        return Ruling("not reproduced", said)
    short = high - low <= 2 * (band[1] - band[0])
    return Ruling("reproduced" if short and band[0] <= found.estimate <= band[1] else "inconclusive", said)


def alike(what: str, found: Quantity | Comparison | None, margin: tuple[float, float]) -> Ruling:
    """A claim that two things are alike: that their difference lies within a margin, with its whole interval."""
    if found is None or found.interval is None or math.isnan(found.estimate):
        return Ruling("inconclusive", f"{what}: {UNDETERMINED}")
    low, high = found.interval
    said = f"{what} is {_said(found)}, claimed within {brief(margin[0])} to {brief(margin[1])}"
    if high < margin[0] or low > margin[1]:
        return Ruling("not reproduced", said)
    return Ruling("reproduced" if low >= margin[0] and high <= margin[1] else "inconclusive", said)


def all_runs(what: str, count: int, n: int) -> Ruling:
    """A claim that something holds in all runs, of which it was seen in `count` of `n`."""
    if not n:
        return Ruling("inconclusive", f"{what}: no run to tell from")
    low, high = share(count, n).interval
    said = f"{what} in {count} of {n} runs (95 % interval {low:.2f} to {high:.2f}), claimed in all"
    if high < LEAST_SHARE:
        return Ruling("not reproduced", said)
    return Ruling("reproduced" if count / n >= LEAST_SHARE and low > 0.5 else "inconclusive", said)


def all_of(*rulings: Ruling) -> Ruling:
    """A claim of several parts: not reproduced if one part is not, reproduced if all are."""
    verdicts = [ruling.verdict for ruling in rulings]
    said = "; ".join(ruling.because for ruling in rulings)
    for verdict in ("not reproduced", "inconclusive", "not comparable"):
        if verdict in verdicts:
            return Ruling(verdict, said)
    return Ruling("reproduced", said)


def brief(value: float) -> str:
    """A number in three digits, or whole: all of them stand in the table beside the sentence."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 else f"{value:.3g}"
    return text.replace("-", "−")


def _said(found: Quantity | Comparison) -> str:
    assert found.interval
    return f"{brief(found.estimate)} [{brief(found.interval.low)}, {brief(found.interval.high)}]"
