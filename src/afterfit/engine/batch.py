"""Trains one batch of members from where it stands to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from afterfit.engine.checkpoints import Parameters, of_batch, snapshots
from afterfit.engine.members import Batch, Member
from afterfit.engine.origins import arrays_of, continued
from afterfit.engine.places import Place, place_of
from afterfit.engine.pytree import stack
from afterfit.engine.sink import Sink
from afterfit.engine.state import Rows, State
from afterfit.engine.trainer import FINITE, Trainer
from afterfit.engine.treatment import awaited
from afterfit.interventions import NEVER
from afterfit.spec import EventRule, Experiment, Streak

# Seconds: how soon a request to stop is answered, and how much work a kill can cost.
CHUNK_SECONDS, CHECKPOINT_SECONDS = 1.0, 30.0


Tree = TypeVar("Tree")


class BatchRun:
    """A batch in training: its stacked state, and what is done at each observation.

    Args:
        batch: who is trained.
        trainer: the compiled functions of the group.
        where: the run's folder, or the place that stands for it; checkpoints and final parameters go there.
        sink: where rows and news go.
        checkpoint_seconds: time between checkpoints.
    """

    def __init__(
        self, batch: Batch, trainer: Trainer, where: Path | Place, sink: Sink,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ):  # fmt: skip
        self.batch, self.trainer, self.sink = batch, trainer, sink
        self.place = place_of(where)
        self.parameters = Parameters(self.place)
        self.checkpoint_seconds = checkpoint_seconds
        self.checkpoints = of_batch(self.place, batch.number)
        self.experiment = batch.members[0].experiment  # for what is structure, and so the same in all members
        self.ended: dict[int, tuple[str, int]] = {}  # member: (status, last step)
        self.origins, self.kept = Parameters(self.place, "origins"), Parameters(self.place, "kept")
        # How far the rules have come that can be told while training goes on, by member and name.
        self.streaks = {(m.number, rule.name): Streak() for m in batch.members for rule in streamed(m.experiment)}
        self.steps_per_second = 1.0
        self.saved_at = time.monotonic()

    def run(self, stored: Mapping[int, set[int]]) -> bool:
        """Train to the end, or until asked to stop: True when all members have ended.

        Args:
            stored: the steps whose rows are kept already, by member. A checkpoint is used only if it lacks none.
        """
        if not self._resume(stored):
            self._begin(stored)
        until = self.batch.until
        while self.active and not self.sink.stop_requested():
            target = self.experiment.observed_after(self.step)
            self._advance(target if until is None else min(target, until))
            if self.step == until:
                self._keep_origins(observed=self.step == target)
                return True
            if self.step == target:
                self._observe()
            if time.monotonic() - self.saved_at >= self.checkpoint_seconds:
                self._save()
        self._save()
        return not self.active

    @property
    def active(self) -> list[Member]:
        """The members that still train."""
        return [member for member in self.placed if member.number not in self.ended]

    def _begin(self, stored: Mapping[int, set[int]]) -> None:
        self._place(list(self.batch.members))
        self.state: State = self.trainer.start(self.experiments, self.seeds)
        self.step = 0
        if self.batch.members[0].origin:
            self._branch_off()
            if self.batch.until is None:
                self._end_as_the_parents(stored)
        else:
            self._observe()

    def _keep_origins(self, *, observed: bool) -> None:
        """Keep the state of every member that still trains, as branches take it up."""
        if observed:
            rows, _ = self._measured()
            self.sink.append([(number, self.step, row) for number, row in rows.items()])
            for member in self.active:
                self._follow_rules(member, rows[member.number])
        for place, member in enumerate(self.placed):
            if member.number not in self.ended:
                arrays = arrays_of(self.experiment, self.state, place)
                streaks = [
                    [name, *streak] for (number, name), streak in self.streaks.items() if number == member.number
                ]
                self.kept.save(member.number, arrays, {"step": self.step, "streaks": streaks})

    def _branch_off(self) -> None:
        """Stand where the parents stood, with their parameters and moments, and their memories and baselines if any.

        What the parents lack begins here: a baseline as the arm itself, a memory with the parameters of now.
        """
        found = []
        for member in self.placed:
            assert member.origin
            saved = self.origins.load(member.origin.member)
            if saved is None:
                lacking = f"{self.place.address}/origins lacks the state of member {member.origin.member}"
                raise FileNotFoundError(lacking)
            found.append(saved.arrays)
            self.step = saved.notes["step"]
            self.streaks |= {(member.number, name): Streak(*streak) for name, *streak in saved.notes["streaks"]}
        self.state = sharded(continued(self.experiment, self.experiments, self.state, found, self.trainer.remember))

    def _end_as_the_parents(self, stored: Mapping[int, set[int]]) -> None:
        """Let go of branches that are over where they begin, if that is an observation: there is a row of it then."""
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self.state.params)]
        for place, member in enumerate(self.placed):
            finite = all(np.isfinite(leaf[place]).all() for leaf in leaves)
            status = self._status(member, finite) if self.step in stored.get(member.number, ()) else None
            if status:
                self._end(place, member, status)
        self._compact()

    def _place(self, members: list[Member]) -> None:
        """Put members into the stack: their leaves, seeds and splits."""
        self.placed = members
        experiments, seeds = [m.experiment for m in members], [m.seed for m in members]
        self.experiments, self.seeds = sharded((stack(experiments), jnp.asarray(seeds, jnp.uint32)))
        self.rows: Rows = sharded(self.trainer.rows(experiments, seeds))

    def _advance(self, target: int) -> None:
        """Take steps up to the target, in pieces short enough to answer a request to stop."""
        t = self.trainer
        while self.step < target and not self.sink.stop_requested():
            began = time.monotonic()
            until = min(target, self.step + max(1, int(self.steps_per_second * CHUNK_SECONDS)))
            span = (self.state, self.step, until, t.inputs, t.labels, self._seen())
            self.state = jax.block_until_ready(t.advance(self.experiments, self.seeds, self.rows, *span))
            # A first piece holds the compilation; take few steps then, and believe the clock afterwards.
            self.steps_per_second = (until - self.step) / max(time.monotonic() - began, 1e-6)
            self.step = until
            active = [member.number for member in self.active]
            self.sink.progress(self.batch.number, self.step, self.steps_per_second, active)

    def _observe(self) -> None:
        """Take the measures, hand over the rows, and let go of members that have come to their end."""
        rows, finite = self._measured()
        self.sink.append([(number, self.step, row) for number, row in rows.items()])
        if self.step in self.experiment.snapshot_steps():
            for place, member in enumerate(self.placed):
                if member.number in rows:
                    self._keep_parameters(snapshots(self.place, self.step), place, member)
        for place, member in enumerate(self.placed):
            if member.number in rows:
                self._follow_rules(member, rows[member.number])
                status = self._status(member, finite[place])
                if status:
                    self._end(place, member, status)
        self._compact()

    def _measured(self) -> tuple[dict[int, dict[str, float]], list[bool]]:
        """The rows of the members that still train, by number; and whether all parameters are finite, by place."""
        t = self.trainer
        of_members = (self.experiments, self.state.arrays, self.rows)
        observed = t.observe(*of_members, t.inputs, t.labels, self.seeds, self.step, self._seen())
        values = {name: np.asarray(value).tolist() for name, value in observed.items()}
        finite = values.pop(FINITE)
        rows = {
            member.number: {name: column[place] for name, column in values.items()}
            for place, member in enumerate(self.placed)
            if member.number not in self.ended
        }
        return rows, finite

    def _status(self, member: Member, finite: bool) -> str | None:
        """Why a member ends at this observation, or None if it goes on."""
        experiment = member.experiment
        if not finite:
            return "diverged"
        event = self.streaks[member.number, experiment.stop_when].event if experiment.stop_when else None
        if event is not None and self.step >= event + experiment.patience:
            return "stopped"
        return "finished" if self.step >= experiment.steps else None

    def _follow_rules(self, member: Member, row: Mapping[str, float]) -> None:
        for rule in streamed(member.experiment):  # the member's own: bounds are leaves
            at = member.number, rule.name
            self.streaks[at] = rule.advance(self.streaks[at], self.step, row[rule.measure])

    def _seen(self) -> dict[str, jax.Array]:
        """For each event that interventions wait for, the step at which each member had it."""
        events = {
            name: [self.streaks[member.number, name].event for member in self.placed]
            for name in awaited(self.experiment)
        }
        return {
            name: jnp.asarray([NEVER if step is None else step for step in steps], jnp.int32)
            for name, steps in events.items()
        }

    def _end(self, place: int, member: Member, status: str) -> None:
        """Keep a member's parameters, then say that it has ended; its rows are durable first."""
        self.sink.flush()
        self._keep_parameters(self.parameters, place, member)
        self.ended[member.number] = (status, self.step)
        self.sink.status(member.number, status, self.step)

    def _keep_parameters(self, kept: Parameters, place: int, member: Member) -> None:
        arrays = jax.tree.map(lambda leaf: leaf[place], self.state.arrays)
        named = {name: np.asarray(array) for name, array in self.trainer.all_named(arrays).items()}
        kept.save(member.number, named, {"member": member.number, "seed": member.seed, "step": self.step})

    def _compact(self) -> None:
        """Shrink the stack to a power of two once half of it has ended: few sizes, so few compilations."""
        active, size = len(self.active), len(self.placed)
        smaller = 2 ** math.ceil(math.log2(active)) if active else size
        if smaller > size / 2:
            return
        running_first = sorted(range(size), key=lambda place: self.placed[place].number in self.ended)
        keep = sorted(running_first[:smaller])
        self.state = sharded(jax.tree.map(lambda leaf: leaf[np.array(keep)], self.state))
        self._place([self.placed[place] for place in keep])

    def _save(self) -> None:
        """A checkpoint of all that cannot be derived; rows up to here are durable first."""
        self.sink.flush()
        arrays = {str(index): np.asarray(leaf) for index, leaf in enumerate(jax.tree.leaves(self.state))}
        notes = {
            "placed": [member.number for member in self.placed],
            "ended": [[number, *end] for number, end in self.ended.items()],
            "streaks": [[*at, *streak] for at, streak in self.streaks.items()],
        }
        self.checkpoints.save(self.step, arrays, notes)
        self.saved_at = time.monotonic()

    def _resume(self, stored: Mapping[int, set[int]]) -> bool:
        """Stand where the newest usable checkpoint stands; False if there is none."""
        for step, saved in self.checkpoints.newest(lambda text: self.sink.note("damaged", text)):
            ended = {number: (status, last) for number, status, last in saved.notes["ended"]}
            if step == self.batch.until and len(saved.notes["placed"]) == len(self.batch.members):
                ended = {}  # whoever came to its end here has not where branches begin
            lacking = self._lacking(step, ended, stored)
            if lacking:
                self.sink.note("recomputed", f"batch {self.batch.number} cannot go on from step {step}: {lacking}")
                continue
            self.ended, self.step = ended, step
            self.streaks = {(number, name): Streak(*streak) for number, name, *streak in saved.notes["streaks"]}
            by_number = {member.number: member for member in self.batch.members}
            self._place([by_number[number] for number in saved.notes["placed"]])
            like = jax.tree.structure(jax.eval_shape(self.trainer.start, self.experiments, self.seeds))
            leaves = [jnp.asarray(saved.arrays[str(index)]) for index in range(like.num_leaves)]
            self.state = sharded(jax.tree.unflatten(like, leaves))
            self.sink.note("resumed", f"batch {self.batch.number} goes on from step {step:,}")
            # A kill may have come between the checkpoint and the word of these ends.
            for number, end in ended.items():
                self.sink.status(number, *end)
            return True
        return False

    def _lacking(self, step: int, ended: Mapping[int, tuple[str, int]], stored: Mapping[int, set[int]]) -> str | None:
        """What is not there although it came before a checkpoint, in words."""
        for number in (member.number for member in self.batch.members):
            until = ended[number][1] if number in ended else step
            missing = [s for s in self.experiment.observed_steps(until) if s not in stored.get(number, ())]
            if missing:
                return f"member {number} has no row for step {missing[0]}"
            first = self.batch.members[0].origin.step if self.batch.members[0].origin else -1
            for kept_at in self.experiment.snapshot_steps():
                if first < kept_at <= until and not snapshots(self.place, kept_at).is_intact(number):
                    return f"the snapshot of member {number} at step {kept_at} is missing or damaged"
            if number in ended and not self.parameters.is_intact(number):
                return f"the parameters of member {number} are missing or damaged"
        return None


def streamed(experiment: Experiment) -> list[EventRule]:
    """The rules that can be told while training goes on."""
    return [rule for rule in experiment.events if getattr(rule, "ends_runs", True)]


def sharded(tree: Tree) -> Tree:
    """The stack with its first axis spread over the machine's devices, where it divides evenly."""
    devices = jax.devices()
    size = jax.tree.leaves(tree)[0].shape[0]
    if len(devices) == 1 or size % len(devices):
        return tree
    spread = jax.sharding.NamedSharding(jax.sharding.Mesh(devices, ("member",)), jax.sharding.PartitionSpec("member"))
    return jax.device_put(tree, spread)
