"""Lead times as the page shows them: of each event and set of arms a figure and a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import wording
from .arm_drawings import interval_text, leads
from .arm_leads import ArmLead, event_leads
from .arm_tables import panel_of, shares
from .curves import Run


def lead_section(run: Run) -> list[dict[str, Any]]:
    """What the page says of how early events announce the outcome; empty where there is nothing to say."""
    return [*_leads(run)]


def _leads(run: Run) -> Iterator[dict[str, Any]]:
    for number, found in enumerate(event_leads(run)):
        drawing = leads(found)
        caption = (
            f"Steps from {found.event} to {found.outcome}, one mark a run that had both, and the median with its 95 % "
            f"interval; a run with “{found.outcome}” but without “{found.event}” counts as −∞ in it."
        )
        yield {
            "event": found.event,
            "outcome": found.outcome,
            "fixed": found.stratum.fixed,
            "field": found.stratum.label,
            "rows": [_row(arm) for arm in found.arms],
            "panel": None if drawing is None else panel_of(f"leads-{number}", drawing, caption),
        }


def _row(arm: ArmLead) -> dict[str, Any]:
    cells = [f"{arm.n}", f"{arm.outcomes}", led(arm), median(arm), mean(arm), alarms(arm)]
    return {"label": arm.label, "group": arm.group, "cells": cells}


def led(arm: ArmLead) -> str:
    """In how many of the runs with the outcome the event came at an earlier observation."""
    if arm.leads is None:
        return wording.NOTHING
    return f"{round(arm.leads.led.estimate * arm.leads.led.n)} of {arm.outcomes}"


def median(arm: ArmLead) -> str:
    """The median lead with its interval."""
    if arm.leads is None:
        return wording.NOTHING
    return interval_text(arm.leads.median.estimate, *arm.leads.median.interval)


def mean(arm: ArmLead) -> str:
    """The mean lead with its interval; a dash where a run without the event leaves none."""
    if arm.leads is None or arm.leads.mean is None:
        return wording.NOTHING
    return interval_text(arm.leads.mean.estimate, *arm.leads.mean.interval)


def alarms(arm: ArmLead) -> str:
    """How often the event came in runs without the outcome."""
    if arm.alarms is None:
        return "every run had it"
    return f"{arm.alarms.events} of {arm.alarms.n} {shares(*arm.alarms.interval)}"
