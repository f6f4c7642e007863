"""The run's folder and the place where workers write, kept alike where they are not the same.

What a batch begins with is put there before it trains; what a member leaves is in the run's folder before its end is
told, so that a run folder is whole without the place; and when a batch ends or is stopped, so are its checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from afterfit.engine.checkpoints import NAME, Checkpoints, Damaged, divide, of_batch, whole
from afterfit.engine.members import Batch
from afterfit.engine.messages import Message
from afterfit.engine.places import Folder, Place
from afterfit.engine.returned import divided
from afterfit.store import StoreDamaged


class Mirror:
    """Copies files between a run's folder and the place where workers write; nothing if they are the same.

    Args:
        folder: the run's folder.
        place: where workers write.
        warn: told of a damaged file that workers can do without, in one line.

    Raises:
        OSError: by every method, if one of the two cannot be read or written.
        StoreDamaged: by every method, if another file is not what was written.
    """

    def __init__(self, folder: Path, place: Place, warn: Callable[[str], None]):
        self.folder, self.place, self.warn = Folder(folder), place, warn
        self.is_needed = self.folder.address != place.address

    def lend(self, batch: Batch) -> None:
        """Give the place what a batch goes on from, as far as it lacks it."""
        origins = {member.origin.member for member in batch.members if member.origin}
        if self.is_needed:
            self._copy_all(self.folder, self.place, batch, ("parameters", *_snapshots(batch)))
            self._copy(self.folder, self.place, "origins", origins.__contains__)

    def fetch_member(self, batch: Batch, member: int) -> None:
        """Bring home what a member of a batch leaves: its final parameters and its snapshots."""
        for folder in ("parameters", *_snapshots(batch)) if self.is_needed else ():
            self._copy(self.place, self.folder, folder, member.__eq__)

    def fetch(self, batch: Batch) -> None:
        """Bring home the newest checkpoints of a batch, its snapshots, and the states that it kept for branches."""
        if self.is_needed:
            self._copy_all(self.place, self.folder, batch, ("kept", *_snapshots(batch)))
            of_batch(self.folder, batch.number).prune()

    def _copy_all(self, source: Place, target: Place, batch: Batch, folders: Iterable[str]) -> None:
        """Copy the checkpoints of a batch, and what its members have in some folders."""
        own = {member.number for member in batch.members}
        self._copy(source, target, of_batch(source, batch.number).folder, lambda step: True)
        for folder in folders:
            self._copy(source, target, folder, own.__contains__)

    def _copy(self, source: Place, target: Place, folder: str, wanted: Callable[[int], bool]) -> None:
        """Copy the files of a folder whose number is wanted, as far as the target lacks them.

        Args:
            source: from where.
            target: to where. What lies in the run's folder already must be whole, or is copied again.
            folder: the folder at both. A member's file takes the place of others of the same member.
            wanted: of the number in a file's name: a member's, or a step.
        """
        there = target.names(folder)
        for name in source.names(folder):
            named, path = NAME.fullmatch(name), f"{folder}/{name}"
            if not named or not wanted(int(named[1])) or (name in there and self._may_stay(target, path)):
                continue
            try:
                content = whole(source, path)
            except Damaged as error:
                # Of checkpoints the one before is used, and what workers lack of the run's folder they train again.
                if name.startswith("step-") or (source is self.folder and folder != "origins"):
                    self.warn(str(error))
                    continue
                raise StoreDamaged(f"{error}: remove it and start the same run again") from error
            target.write(path, content)
            for other in there if name.startswith("member-") else ():
                if other != name and other.startswith(name[: name.rindex("-") + 1]):
                    target.remove(f"{folder}/{other}")

    def _may_stay(self, target: Place, path: str) -> bool:
        """Whether a file that the target has is taken to be whole; in the run's folder that is looked at."""
        if target is not self.folder:
            return True
        try:
            whole(target, path)
        except Damaged:
            return False
        return True

    def divide(self, batch: Batch, parts: Sequence[Batch], why: str) -> Message:
        """Give each part of a batch its share of the newest checkpoint; what to tell of it."""
        damage: list[str] = []
        steps = {_begin(of_batch(self.place, batch.number), self.place, part, damage.append) for part in parts}
        at = max((step for step in steps if step is not None), default=None)
        onward = "from the beginning" if at is None else f"from step {at:,}"
        sizes = " and ".join(f"{len(part.members)}" for part in parts)
        text = f"{why}; its members go on {onward} in batches of {sizes}, equal to rounding, not to the last bit"
        return divided(batch, parts, "; ".join([*dict.fromkeys(damage), text]))


def _begin(of_all: Checkpoints, place: Place, part: Batch, warn: Callable[[str], None]) -> int | None:
    own = {member.number for member in part.members}
    return divide(of_all, of_batch(place, part.number), own, warn)


def _snapshots(batch: Batch) -> list[str]:
    steps = {step for member in batch.members for step in member.experiment.snapshot_steps()}
    return [f"snapshots/step-{step:012d}" for step in sorted(steps)]
