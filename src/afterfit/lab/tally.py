"""What is known of all members and batches while they train: the state that every progress shows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from afterfit.engine.members import Batch
from afterfit.engine.messages import Message, Row
from afterfit.parts import require
from afterfit.spec import Experiment, Streak
from afterfit.spec.written import leaves_and_fields
from afterfit.store import MemberRecord

if TYPE_CHECKING:
    from afterfit.analysis.forecast import Forecast, Online, Prediction

ENDED = ("finished", "stopped", "diverged")


@dataclass
class MemberLine:
    """What is known of one member."""

    record: MemberRecord
    experiment: Experiment
    step: int = 0
    status: str = "waiting"
    values: dict[str, float] = field(default_factory=dict)
    streaks: dict[str, Streak] = field(default_factory=dict)
    online: Online | None = None
    """The forecast that follows it, if one does."""
    prediction: Prediction | None = None

    def observe(self, step: int, values: dict[str, float]) -> list[str]:
        """Take in a row; gives the names of the events that it shows to have happened.

        Rows that are known already come again when a member goes on from a checkpoint before them: they say nothing.
        """
        if self.values and step <= self.step:
            return []
        self.step, self.values, self.status = step, values, "running"
        new = []
        for rule in self.experiment.events:
            before = self.streaks.get(rule.name, Streak())
            after = rule.advance(before, step, values.get(rule.measure, math.nan))
            self.streaks[rule.name] = after
            if after.event is not None and before.event is None:
                new.append(rule.name)
        if self.online:
            seen = self.online.update(step, values)
            self.prediction = seen if self.event(self.online.forecast.event) is None else None
        return new

    def event(self, name: str) -> int | None:
        """The step of an event, if it has happened."""
        return self.streaks.get(name, Streak()).event


@dataclass
class BatchLine:
    """How far one batch is, how fast, and how many of its members have not come to their end."""

    budget: int
    members: int
    step: int = 0
    steps_per_second: float = 0.0
    has_begun: bool = False

    @property
    def is_running(self) -> bool:
        """Whether it trains, at a speed that is known."""
        return self.members > 0 and self.steps_per_second > 0

    def move(self, step: int, steps_per_second: float, members: int) -> None:
        """Take in that the batch has come to a step."""
        before = self.steps_per_second
        self.steps_per_second = 0.7 * before + 0.3 * steps_per_second if before else steps_per_second
        self.step, self.members = step, members


class Tally:
    """What is known of all members and batches so far."""

    def __init__(
        self, members: Sequence[MemberRecord], batches: Sequence[Batch], past: Sequence[Row] = (),
        forecast: Forecast | None = None,
    ):  # fmt: skip
        experiments = {m.number: m.experiment for batch in batches for m in batch.members}
        self.members = {r.member: MemberLine(r, experiments[r.member]) for r in members if r.member in experiments}
        for member in self.members.values():
            member.online = followed(member.experiment, forecast)
        self.kept = len(members) - len(self.members)
        for number, step, values in past:
            self.members[number].observe(step, values)
        for member in self.members.values():
            member.status = member.record.status if member.record.status in ENDED else "waiting"
        self.batches = {
            b.number: BatchLine(max(m.experiment.steps for m in b.members), len(b.members)) for b in batches
        }
        self.batch_of = {m.number: self.batches[b.number] for b in batches for m in b.members}
        self.began = time.monotonic()
        self.lost = 0  # times that a member began again from a checkpoint

    def take(self, message: Message) -> list[str]:
        """Take in a message; gives lines that are worth telling."""
        match message["kind"]:
            case "rows":
                return [line for row in message["rows"] for line in self._row(*row)]
            case "status":
                return self._status(self.members[message["member"]], message["status"], message["step"])
            case "progress":
                batch = self.batches[message["batch"]]
                batch.move(message["step"], message["steps_per_second"], len(message["members"]))
                for number in message["members"]:
                    self.members[number].status = "running"
            case "returned":
                self.lost += len(message["members"])
                self._wait(message["members"])
                return [message["text"]]
            case "divided":
                self._divide(message)
                return [message["text"]]
            case "note":
                return [message["text"]]
        return []

    def _wait(self, numbers: Sequence[int]) -> None:
        """Members whose batch has no worker for the moment."""
        for number in numbers:
            self.members[number].status = "waiting"
            batch = self.batch_of[number]
            batch.steps_per_second, batch.has_begun = 0.0, False

    def _divide(self, message: Message) -> None:
        """A batch trains in parts from now on."""
        whole = self.batches[message["batch"]]
        for part, numbers in message["into"].items():
            self.batches[int(part)] = BatchLine(whole.budget, len(numbers), whole.step)
            self.batch_of |= dict.fromkeys(numbers, self.batches[int(part)])
            self._wait(numbers)
        whole.members = 0

    def _status(self, member: MemberLine, status: str, step: int) -> list[str]:
        news = [] if member.status == status else [f"{self.name(member)} {status} at step {step:,}"]
        member.status, member.step = status, step
        batch = self.batch_of[member.record.member]
        batch.members = sum(self.members[n].status not in ENDED for n, b in self.batch_of.items() if b is batch)
        return news

    def _row(self, number: int, step: int, values: dict[str, float]) -> list[str]:
        member = self.members[number]
        self.batch_of[number].has_begun = True
        return [f"{self.name(member)} {event} at step {step:,}" for event in member.observe(step, values)]

    @staticmethod
    def name(member: MemberLine) -> str:
        """A member in a few words: its seed and what is varied."""
        varied = [f"{field.rpartition('.')[2]} {shown(value)}" for field, value in member.record.varied.items()]
        return ", ".join([f"seed {member.record.seed}", *varied])

    def seconds_left(self) -> float | None:
        """Time left if no member stops early; None until a speed is known."""
        running = [b for b in self.batches.values() if b.is_running]
        if not running:
            return None
        speed = sum(b.steps_per_second * b.members for b in running)
        return sum((b.budget - b.step) * b.members for b in self.batches.values()) / speed

    def line(self) -> str:
        """The whole run in one line."""
        running = [b for b in self.batches.values() if b.is_running]
        ended = sum(m.status in ENDED for m in self.members.values())
        parts = [f"{ended + self.kept}/{len(self.members) + self.kept} members done"]
        if any(batch.members and not batch.has_begun for batch in self.batches.values()) or self.lost:
            in_training = sum(m.status == "running" for m in self.members.values())
            parts += [f"{in_training} running", f"{len(self.members) - ended - in_training} waiting"]
        parts += [f"{self.lost} lost and restarted"] if self.lost else []
        left = self.seconds_left()
        if left is not None:
            steps = sorted({b.step for b in running})
            at = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,}–{steps[-1]:,}"
            speed = sum(b.steps_per_second * b.members for b in running)
            parts += [f"at most {clock(left)} left", f"step {at} of {max(b.budget for b in running):,}"]
            parts += [f"{speed:,.0f} member-steps/s"]
        elif any(b.members for b in self.batches.values()):
            parts += ["compiling" if any(b.has_begun for b in self.batches.values()) else "starting"]
        return ", ".join(parts)


def followed(experiment: Experiment, forecast: Forecast | None) -> Online | None:
    """A forecast at the beginning of a member; refuses one of an event or by measures that the member has not."""
    if forecast is None:
        return None
    declared = [rule.name for rule in experiment.events]
    right = f"this run declares {', '.join(declared) or 'no event'}"
    require(forecast.event in declared, "forecast.event", forecast.event, right)
    lacking = [m for m in forecast.model.measures if m.rpartition("/")[2] not in experiment.measures]
    require(not lacking, "forecast.measures", lacking, "are not among the measures of this run")
    return forecast.begin(numbers_of(experiment))


def numbers_of(experiment: Experiment) -> dict[str, float]:
    """All numbers of an experiment by dotted field, which is what a forecast may look at."""
    fields = leaves_and_fields(experiment)
    return {path: value for path, (_, value) in fields.items() if type(value) in (int, float)}


def predicted(prediction: Prediction) -> str:
    """A prediction in some words: "1,750 (1,500–3,000)"."""
    ends = (prediction.median, prediction.interval.low, prediction.interval.high)
    median, low, high = (f"{end:,.0f}" if math.isfinite(end) else "never" for end in ends)
    return f"{median} ({low}–{high})"


def shown(value: Any) -> str:
    """A varied value in a word: a part by its kind."""
    return str(value["kind"] if isinstance(value, dict) else value)


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things in words: "1 member", "4 members"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def clock(seconds: float) -> str:
    """A time span: "42 s", "3 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
