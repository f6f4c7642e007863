"""How long before one event another came, arm by arm, and how often it came for nothing.

Arms are those that are compared elsewhere; where nothing was varied all members are one arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from afterfit.analysis.lead_times import LeadTimes, false_alarm_rate, lead_times
from afterfit.analysis.results import Quantity

from .arm_comparisons import DRAWS, LEVEL
from .arms import FIRST, Stratum, label_of, last_step, strata_of, times_of, varied
from .curves import Run
from .members import Member


@dataclass(frozen=True)
class ArmLead:
    """The leads of one event in one arm: None where no run of it had the outcome; `alarms` None where all had it.

    `group` gives its colour; None where its members have a colour each.
    """

    group: int | None
    label: str
    n: int
    outcomes: int
    leads: LeadTimes | None
    alarms: Quantity | None


@dataclass(frozen=True)
class EventLeads:
    """How early one event announces another, in the arms of one stratum."""

    event: str
    outcome: str
    stratum: Stratum
    arms: tuple[ArmLead, ...]


def event_leads(run: Run) -> Iterator[EventLeads]:
    """Every event before `generalised` (or before the last that was declared), where runs of both were observed."""
    outcome = FIRST if FIRST in run.events else next(iter(run.events[::-1]), "")
    strata = [(stratum, [*_arms(run, stratum)]) for stratum in strata_of(run)] or _alone(run)
    for event in run.events:
        for stratum, members in strata if event != outcome else ():
            arms = tuple(found for each in members if (found := _arm_lead(run, *each, outcome, event)) is not None)
            if arms:
                yield EventLeads(event, outcome, stratum, arms)


Arm = tuple[int | None, str, Sequence[Member]]


def _arms(run: Run, stratum: Stratum) -> Iterator[Arm]:
    for number in stratum.groups:
        yield number, label_of(run, stratum, number), run.groups[number].members


def _alone(run: Run) -> list[tuple[Stratum, list[Arm]]]:
    """All members as one arm, where they differ in nothing but the seed and two were observed."""
    if varied(run) or sum(member.step is not None for member in run.members) < 2:
        return []
    own = 0 if len(run.groups) == 1 else None
    return [(Stratum(None, "", "", (0,)), [(own, "all runs", run.members)])]


def _arm_lead(
    run: Run, group: int | None, label: str, members: Sequence[Member], outcome: str, event: str
) -> ArmLead | None:
    """Runs are matched by their order: both events are known of the same ones, those that were observed."""
    first, second = (times_of(members, name, last_step(run)) for name in (outcome, event))
    if first is None or second is None or len(first) != len(second):
        return None
    first, second = (type(each)(each.time, each.censored) for each in (first, second))
    leads = lead_times(first, second, quantiles=(), level=LEVEL, draws=DRAWS) if first.events else None
    alarms = false_alarm_rate(first, second, level=LEVEL) if first.events < len(first) else None
    return ArmLead(group, label, len(first), first.events, leads, alarms)
