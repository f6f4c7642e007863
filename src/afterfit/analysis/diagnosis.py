"""What is found when a training is looked over: findings with their number, their rule, and what to change and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["ok", "note", "warning"]
SEVERITIES: tuple[Severity, ...] = ("warning", "note", "ok")
MOST_NAMED = 4  # arms or members by name


@dataclass(frozen=True)
class Bounds:
    """The thresholds of all checks, declared here and nowhere else; docs/doctor.md says why each is what it is.

    Attributes:
        clock: η λ × planned steps, below which weight decay has not had its time.
        large_start: norm of the initial parameters, in those of the usual initialisation, above which it is large.
        absorbed_note: share of training samples without loss by rounding alone, from which it is said.
        absorbed: the same, from which it is a warning.
        leaked: share of test examples that are training examples too, above which it is a warning; below a note.
        imbalance: how many times the examples of the smallest class the largest has, above which it is said.
        chance: probability of so small a smallest class if all classes were equally likely, below which it is said.
        plateau: share of its largest value above which an RNC1 that stands still has not collapsed.
        collapsed: RNC1 at or below which the classes have collapsed, whatever it was before.
        still: relative change over the second half of the time since memorising, below which a measure stands still.
        rise: of test accuracy, from which a run's order of events is looked at.
        fewest: observations since memorising, for a run's failure to be looked for.
        growth: relative growth of the weight norm over the last window, above which it still grows.
    """

    clock: float = 1.0
    large_start: float = 2.0
    absorbed_note: float = 0.1
    absorbed: float = 0.5
    leaked: float = 0.01
    imbalance: float = 10.0
    chance: float = 0.01
    plateau: float = 0.2
    collapsed: float = 0.01
    still: float = 0.1
    rise: float = 0.2
    fewest: int = 8
    growth: float = 0.02


USUAL = Bounds()


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at, such as "decay clock".
        severity: "ok", "note" (to be known) or "warning" (stands in the way of delayed generalisation).
        found: what was found, with the number.
        rule: by which it was judged, with its threshold.
        change: what to change and why; empty where nothing is to be changed.
        source: authors, year and place.
        of: the arm or the members that it is about; empty for all.
    """

    check: str
    severity: Severity
    found: str
    rule: str
    change: str = ""
    source: str = ""
    of: str = ""

    def __str__(self) -> str:
        """The finding in a line; below it its rule, change and source, unless nothing is to be changed."""
        title = f"{self.severity}: {self.check}{f' ({self.of})' if self.of else ''}: {self.found}."
        if self.severity == "ok":
            return title
        below = (("rule", self.rule), ("change", self.change), ("source", self.source))
        return "\n".join([title, *(f"    {name}: {text}" for name, text in below if text)])


@dataclass(frozen=True)
class Diagnosis:
    """All findings, warnings first.

    Attributes:
        findings: in the order in which they are read.
    """

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding], *, wholes: Collection[Collection[str]] = ()) -> Diagnosis:
        """Findings in order: by severity, then as they were found; those of several arms or members told once.

        Args:
            findings: of all arms and members.
            wholes: the names of all arms, and of all members; what is found alike of a whole is told without names.
        """
        merged = _merged(list(findings), [frozenset(names) for names in wholes])
        return cls(tuple(sorted(merged, key=lambda finding: SEVERITIES.index(finding.severity))))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, check: str) -> Finding:
        """The first finding of a check, by its name."""
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(f"{check!r} was not looked at; there are: {', '.join(each.check for each in self.findings)}")

    def __contains__(self, check: object) -> bool:
        return any(finding.check == check for finding in self.findings)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What stands in the way."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def summary(self) -> str:
        """How many there are of each kind, in a line."""
        counts = {kind: sum(finding.severity == kind for finding in self.findings) for kind in SEVERITIES}
        words = {"warning": "warning", "note": "note", "ok": "check"}
        told = [f"{n} {words[kind]}{'s' * (n != 1)}{' passed' * (kind == 'ok')}" for kind, n in counts.items() if n]
        return ", ".join(told) or "nothing was looked at"

    def __str__(self) -> str:
        """A list for people."""
        return "\n".join([*map(str, self.findings), f"{self.summary()}."])


def _merged(findings: list[Finding], wholes: list[frozenset[str]]) -> list[Finding]:
    """One finding for those of equal check and severity: the first one's numbers, and of which others it holds."""
    kept: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kept.setdefault((finding.check, finding.severity), []).append(finding)
    return [replace(alike[0], of=_of_several(alike, wholes)) for alike in kept.values()]


def _of_several(alike: list[Finding], wholes: list[frozenset[str]]) -> str:
    names = list(dict.fromkeys(finding.of for finding in alike if finding.of))
    shown = names[:MOST_NAMED] + ([f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else [])
    if len({finding.found for finding in alike}) == 1 or len(names) < 2:
        return "" if frozenset(names) in wholes else ", ".join(shown)
    return f"{shown[0]}; likewise, with numbers of their own, {', '.join(shown[1:])}"
