"""What happened in a run, in plain sentences made from its numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from . import wording
from .members import Member, Occurrence, arms_of, median_step, observed_range


def title_of(meta: dict[str, Any]) -> str:
    """The title of a run: its own, else its name, else the kind of its task."""
    experiment = meta.get("experiment")
    task = experiment.get("task") if isinstance(experiment, dict) else None
    kind = task.get("kind") if isinstance(task, dict) else task
    return str(meta.get("title") or meta.get("name") or kind or "A run of afterfit")


def steps_text(occurrences: Sequence[Occurrence]) -> str:
    """`median step 1,200, range 900 to 4,000`, with what censoring does to the median said."""
    spread = observed_range(occurrences)
    if spread is None:
        return ""
    if sum(o.step is not None for o in occurrences) == 1:
        return f"at step {wording.number(spread[0])}"
    middle = median_step(occurrences)
    median = "median not reached" if middle is None else f"median step {wording.number(round(middle))}"
    return f"{median}, range {wording.number(spread[0])} to {wording.number(spread[1])}"


def _design(members: Sequence[Member]) -> str:
    """`9 members: 3 values of weight decay × 3 seeds` where every combination was run, else a list of what varied."""
    arms, seeds = arms_of(members), len({str(member.seed) for member in members})
    labels = wording.field_labels(list(members[0].values))
    distinct = {field: len({repr(member.values[field]) for member in members}) for field in labels}
    varied = [(f"{wording.counted(n, 'value')} of {labels[field]}", n) for field, n in distinct.items() if n > 1]
    parts = [*(text for text, _ in varied), wording.counted(seeds, "seed")]
    crossed = math.prod(n for _, n in varied) * seeds == len(members)
    if crossed:
        return f"{wording.counted(len(members), 'member')}: {' × '.join(parts)}"
    return f"{wording.counted(len(members), 'member')} in {wording.counted(len(arms), 'arm')}: {wording.listed(parts)}"


def _statuses(members: Sequence[Member]) -> str:
    counts = Counter(member.status for member in members if member.status in ("waiting", "running", "stopped"))
    parts = [f"{count} {'is' if count == 1 else 'are'} {status}" for status, count in counts.items()]
    return f"{wording.listed(parts)}." if parts else ""


def _event(members: Sequence[Member], event: str) -> str:
    occurrences = [member.events[event] for member in members]
    happened = sum(o.step is not None for o in occurrences)
    if not happened:
        return f"None has {event} so far." if _going_on(members) else f"None {event}."
    return f"{happened} of {len(members)} {event} ({steps_text(occurrences)})."


def _going_on(members: Sequence[Member]) -> bool:
    return any(member.status in ("waiting", "running") for member in members)


def _delay(members: Sequence[Member]) -> str:
    delays = [member.delay for member in members]
    spread = observed_range(delays)
    if spread is None:
        return ""
    middle = median_step(delays)
    if sum(d.step is not None for d in delays) == 1:
        return f"From memorising to generalising it took {wording.number(spread[0])} steps."
    between = f"{wording.number(spread[0])} to {wording.number(spread[1])}"
    if middle is None:
        return f"From memorising to generalising it took {between} steps where both were seen (median not reached)."
    median = wording.number(round(middle))
    return f"From memorising to generalising it took a median of {median} steps (range {between})."


def _losses(members: Sequence[Member]) -> str:
    diverged = sum(member.status == "diverged" for member in members)
    censored = sum(member.events["generalised"].censored for member in members if "generalised" in member.events)
    parts = [f"{diverged} diverged."] if diverged else []
    if 0 < censored < len(members):
        verb = "counts" if censored == 1 else "count"
        parts.append(
            f"{censored} had not generalised when last observed and {verb} as right-censored "
            "(medians are Kaplan–Meier)."
        )
    return " ".join(parts)


def summary_sentences(members: Sequence[Member]) -> list[str]:
    """The run in a few sentences; the first says what was run, the others what came of it."""
    if not members:
        return ["This run has no members yet."]
    if all(member.step is None for member in members):
        return [f"{_design(members)}.", "Nothing has been observed yet."]
    events = [_event(members, event) for event in members[0].events]
    sentences = [f"{_design(members)}.", *events, _delay(members), _losses(members), _statuses(members)]
    return [sentence[:1].upper() + sentence[1:] for sentence in sentences if sentence]
