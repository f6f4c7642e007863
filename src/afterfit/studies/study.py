"""What a study is made of: what is run, the published claims, how each is judged, and what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from afterfit.analysis.results import Comparison, Quantity
from afterfit.spec import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from afterfit.studies.evidence import Evidence

Scale = Literal["smoke", "quick", "full"]
Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not comparable"]
SCALES: tuple[Scale, ...] = ("smoke", "quick", "full")


@dataclass(frozen=True)
class Sweep:
    """Members that are trained by one call of `run`, into a folder of their own.

    Attributes:
        name: of the folder.
        about: what it is for, in a line.
        experiment: what the members share.
        seeds: of the members.
        vary: values by dotted field.
    """

    name: str
    about: str
    experiment: Experiment
    seeds: tuple[int, ...]
    vary: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One number of ours beside the published one.

    Attributes:
        what: the number is.
        value: the estimate; None where there is none.
        interval: around it, or None.
        n: runs (or other units) it rests on.
        published: the paper's number as it stands there, or "".
        unit: of the number, or "".
        method: how the interval was made.
    """

    what: str
    value: float | None
    interval: tuple[float, float] | None = None
    n: int | None = None
    published: str = ""
    unit: str = ""
    method: str = ""

    @classmethod
    def of(cls, what: str, found: Quantity | Comparison | None, published: str = "", unit: str = "") -> Measured:
        """What a statistic found; None stands for one that the runs do not determine."""
        if found is None:
            return cls(what, None, published=published, unit=unit)
        n = found.n if isinstance(found, Quantity) else min(found.n)
        interval = None if found.interval is None else (found.interval.low, found.interval.high)
        return cls(what, found.estimate, interval, n, published, unit, found.method)


@dataclass(frozen=True)
class Finding:
    """What came out for a claim.

    Attributes:
        verdict: by the claim's rule.
        because: the sentence with the numbers that decided it.
        measured: the numbers.
        notes: what a reader must know beside them.
    """

    verdict: Verdict
    because: str
    measured: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A published claim.

    Attributes:
        id: as in the project's list of claims: "A1".
        text: what is claimed.
        published: the numbers that the paper gives.
        where: figure, table or section.
        rule: which verdict follows from what, in words; fixed before running.
        needs: sweeps by name.
        judge: applies the rule.
        choices: open choices on which it may depend; it is judged under each of their values.
        instead: what was run in place of what cannot be run here, or "".
    """

    id: str
    text: str
    published: str
    where: str
    rule: str
    needs: tuple[str, ...]
    judge: Callable[[Evidence], Finding]
    choices: tuple[str, ...] = ()
    instead: str = ""


@dataclass(frozen=True)
class Choice:
    """What a paper leaves open, or says in two ways.

    Attributes:
        name: of the parameter.
        about: what is open.
        default: our choice.
        others: what else it could have been.
    """

    name: str
    about: str
    default: Any
    others: tuple[Any, ...]


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        name: of the file.
        caption: what it shows, and which figure of the paper it redraws.
        needs: sweeps by name.
        draw: makes it.
    """

    name: str
    caption: str
    needs: tuple[str, ...]
    draw: Callable[[Evidence], Figure]


@dataclass(frozen=True)
class Study:
    """A paper, or a question of our own.

    Attributes:
        name: on the command line.
        title: of the page.
        reference: authors, year, title, identifier.
        about: what is asked, in a sentence or two.
        sweeps: what is run at a scale.
        claims: in the paper's order.
        drawings: in the order of the page.
        choices: what the paper leaves open.
    """

    name: str
    title: str
    reference: str
    about: str
    sweeps: Callable[[Scale], tuple[Sweep, ...]]
    claims: tuple[Claim, ...]
    drawings: tuple[Drawing, ...]
    choices: tuple[Choice, ...] = ()
