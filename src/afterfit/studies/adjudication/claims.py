"""The questions, as claims of our own, with the rules that were fixed before anything was run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from afterfit.analysis import holm, paired_difference
from afterfit.analysis.results import Comparison, Interval, Quantity
from afterfit.studies.adjudication.forecasts import SHARES
from afterfit.studies.adjudication.leads import ALL, arms_that_generalise, row_of
from afterfit.studies.adjudication.rivals import BY_NAME, ELAPSED, ENTROPY, MEASURED, NORM
from afterfit.studies.adjudication.summary import aucs, errors, forecasts_of, leads_of, mean_auc
from afterfit.studies.adjudication.sweeps import LABELS, PUSHED
from afterfit.studies.evidence import Evidence
from afterfit.studies.rules import Ruling, alike, all_of, direction
from afterfit.studies.study import Finding, Measured

if TYPE_CHECKING:
    import pandas as pd

WITH = 0.25  # of the time to generalisation: what counts as "together with"
MARGIN = (0.8, 1.25)  # of a ratio of times: what counts as alike
LEVEL = 0.05
SCOPE = (
    "Leads and forecasts say what goes with what in these runs, not what makes what; pushes are about the pushed task "
    "only. Tasks: " + "; ".join(LABELS.values()) + ". Pushed: " + "; ".join(LABELS[task] for task in PUSHED) + "."
)


def quantity(row: Mapping[str, Any] | None, name: str, n: str = "runs") -> Quantity | None:
    """An estimate with its interval out of a row of a table; None where the table has none."""
    if row is None or name not in row or math.isnan(row[name]):
        return None
    count = int(row[n])
    interval = Interval(float(row[f"{name}_low"]), float(row[f"{name}_high"]))
    return Quantity(float(row[name]), interval, count, count, 0, METHODS.get(name, ""))


METHODS = {
    "lead": "median over runs, order statistics",
    "relative_lead": "median over runs, order statistics",
    "led": "share, Clopper–Pearson",
    "alarms": "share, Clopper–Pearson",
    "later": "paired by seed, percentile-t",
    "times": "paired by seed, percentile-t of the logarithm",
}


def arm_name(task: str, decay: float) -> str:
    """A task and its weight decay."""
    return f"{LABELS[task]}, λ = {decay:g}"


def leads_by_arm(table: pd.DataFrame, measure: str, rule: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The rows of a measure for every arm that generalises."""
    for task, decay in arms_that_generalise(table):
        found = row_of(table, task=task, decay=decay, measure=measure, rule=rule)
        yield arm_name(task, decay), None if found is None else dict(found)


def leading(evidence: Evidence, measure: str) -> tuple[list[Ruling], list[Measured]]:
    """Whether a measure's event comes before generalisation, arm by arm."""
    table, rule = leads_of(evidence), evidence.choices["fall"]
    rulings, measured = [], []
    for arm, row in leads_by_arm(table, measure, rule):
        lead = quantity(row, "lead", "generalised")
        rulings.append(direction(f"lead of {BY_NAME[measure].label} ({arm})", lead))
        measured.append(Measured.of(f"lead, {arm}", lead, unit="steps"))
    if not rulings:
        rulings.append(Ruling("inconclusive", "in no arm half of the runs generalise"))
    return rulings, measured


def alarms_of(evidence: Evidence, measure: str) -> Quantity | None:
    """How often a measure's event comes in runs that never generalise."""
    return quantity(
        row_of(leads_of(evidence), task=ALL, measure=measure, rule=evidence.choices["fall"]), "alarms", "never"
    )


def judge_collapse_leads(evidence: Evidence) -> Finding:
    """X1."""
    measure = evidence.choices["collapse"]
    rulings, measured = leading(evidence, measure)
    alarms = Measured.of("false alarms, of runs that do not generalise", alarms_of(evidence, measure))
    return Finding(*all_of(*rulings), measured=(*measured, alarms), notes=(SCOPE,))


def judge_entropy_leads_and_is_specific(evidence: Evidence) -> Finding:
    """X2."""
    rulings, measured = leading(evidence, ENTROPY)
    alarms = alarms_of(evidence, ENTROPY)
    rulings.append(direction("share of false alarms of the spectral entropy", alarms, above=0.5, sign=-1))
    return Finding(*all_of(*rulings), measured=(*measured, Measured.of("false alarms", alarms)), notes=(SCOPE,))


def judge_flatness_comes_with(evidence: Evidence) -> Finding:
    """X3."""
    table, measure = leads_of(evidence), evidence.choices["flatness"]
    rulings, measured = [], []
    for arm, row in leads_by_arm(table, measure, evidence.choices["fall"]):
        found = quantity(row, "relative_lead", "generalised")
        rulings.append(alike(f"lead of {BY_NAME[measure].label} over T ({arm})", found, (-WITH, WITH)))
        measured.append(Measured.of(f"lead / T, {arm}", found))
    if not rulings:
        rulings.append(Ruling("inconclusive", "in no arm half of the runs generalise"))
    return Finding(*all_of(*rulings), measured=tuple(measured), notes=(SCOPE,))


def judge_early_and_specific(evidence: Evidence) -> Finding:
    """X4."""
    table, rule = leads_of(evidence), evidence.choices["fall"]
    said, measured, clear, good = [], [], True, []
    for rival in MEASURED:
        row = row_of(table, task=ALL, measure=rival.name, rule=rule)
        led, alarms = quantity(row, "led", "generalised"), quantity(row, "alarms", "never")
        measured += [
            Measured.of(f"{rival.label}: led", led),
            Measured.of(f"{rival.label}: false alarms", alarms),
        ]
        if led is None or alarms is None:
            clear = False
            continue
        if led.interval.low > 0.5 and alarms.interval.high < 0.5:
            good.append(rival.label)
        clear &= led.interval.high < 0.5 or alarms.interval.low > 0.5
        said.append(f"{rival.label} {led.estimate:.2f} and {alarms.estimate:.2f}")
    because = "share that led and share of false alarms: " + ("; ".join(said) or "none could be told")
    verdict = "not reproduced" if good else "reproduced" if clear else "inconclusive"
    return Finding(verdict, because, tuple(measured), (SCOPE,))


def judge_no_better_than_baselines(evidence: Evidence) -> Finding:
    """X5."""
    table, setting = forecasts_of(evidence), evidence.choices["forecast"]
    rivals = [rival for rival in MEASURED if rival.family != "baseline"]
    found = {
        (rival.name, baseline): ratio_of_errors(table, rival.name, baseline, setting)
        for rival in rivals
        for baseline in (ELAPSED, NORM)
    }
    told = {key: each for key, each in found.items() if each is not None}
    if len(told) < len(found):
        return Finding("inconclusive", "the held-out runs do not determine every comparison", notes=(SCOPE,))
    adjusted = holm({key: each.p for key, each in told.items()}, level=LEVEL)
    ratios = {key: ratio(each) for key, each in told.items()}
    better = [
        rival.label
        for rival in rivals
        if all(
            adjusted.rejected[rival.name, base] and ratios[rival.name, base].estimate < 1 for base in (ELAPSED, NORM)
        )
    ]
    clear = all(max(ratios[rival.name, base].interval.low for base in (ELAPSED, NORM)) > MARGIN[0] for rival in rivals)
    measured = tuple(
        Measured.of(f"error of {BY_NAME[name].label} / error of {BY_NAME[base].label}", each)
        for (name, base), each in ratios.items()
    )
    verdict = "not reproduced" if better else "reproduced" if clear else "inconclusive"
    because = "less error than both baselines, all comparisons together at 5 %: " + (", ".join(better) or "no measure")
    return Finding(verdict, because, measured, (SCOPE, RUNS_OF_A_TASK))


RUNS_OF_A_TASK = (
    "Held-out runs of one task share the fitted model: over runs of further tasks the intervals would be wider."
)


def ratio_of_errors(table: pd.DataFrame, measure: str, baseline: str, setting: str) -> Comparison | None:
    """The difference of log errors of the same held-out runs; None of fewer than two that both could be told of.

    An error above 10 (a forecast of "never" has an infinite one) counts as 10, so that one such run is not everything.
    """
    both = [errors(table, name, setting) for name in (measure, baseline)]
    common = both[0].index.intersection(both[1].index)
    logs = [each.loc[common].clip(1e-3, 10.0).map(math.log).to_numpy() for each in both]
    return None if len(common) < 2 else paired_difference(*logs)


def ratio(found: Comparison) -> Quantity:
    """A difference of logarithms as a quotient."""
    assert found.interval
    low, high = (math.exp(min(end, 700.0)) for end in found.interval)
    return Quantity(math.exp(found.estimate), Interval(low, high), found.n[0], found.n[0], 0, found.method)


def judge_tells_more_than_elapsed(evidence: Evidence) -> Finding:
    """X6."""
    table, setting, share = forecasts_of(evidence), evidence.choices["forecast"], evidence.choices["window"]
    share = share if setting == "failure times" else SHARES[0]  # other settings have one window only
    elapsed = aucs(table, ELAPSED, setting, share)
    rulings, measured = [], [Measured.of("area, steps elapsed alone", mean_auc(table, ELAPSED, setting, share))]
    for measure in (evidence.choices["collapse"], evidence.choices["flatness"], ENTROPY):
        found = aucs(table, measure, setting, share)
        common = found.index.intersection(elapsed.index)
        more = None
        if len(common) >= 2:
            more = within_one(paired_difference(found.loc[common].to_numpy(), elapsed.loc[common].to_numpy()))
        label = BY_NAME[measure].label
        rulings.append(direction(f"area of {label} less that of the steps elapsed", more))
        measured.append(Measured.of(f"area, {label}", mean_auc(table, measure, setting, share)))
        measured.append(Measured.of(f"area, {label} less steps elapsed", more))
    return Finding(*all_of(*rulings), measured=tuple(measured), notes=(SCOPE, TASKS_AS_SAMPLE))


def within_one(found: Comparison) -> Comparison:
    """A difference of two areas, which lies between −1 and 1 whatever the interval of few tasks says."""
    assert found.interval
    low, high = found.interval
    return replace(found, interval=Interval(max(low, -1.0), min(high, 1.0)))


TASKS_AS_SAMPLE = "Intervals are over tasks, as if these were drawn from all tasks that one might ask about."
