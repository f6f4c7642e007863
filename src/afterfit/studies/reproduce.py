"""`reproduce`: run what a study needs, judge its claims by their rules, draw its figures, write its record."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.files import write_whole
from afterfit.lab.environment import describe
from afterfit.lab.how import RETRIES
from afterfit.lab.progress import Progress, Silent
from afterfit.lab.request import resolve
from afterfit.lab.run import run
from afterfit.parts import SpecError, nearest, require
from afterfit.studies import study as study_named
from afterfit.studies.drawings import PAPER, save
from afterfit.studies.evidence import Evidence
from afterfit.studies.study import SCALES, Claim, Finding, Scale, Study, Sweep

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.lab.runs import Runs


@dataclass(frozen=True)
class Reproduction:
    """What came out of a study.

    Attributes:
        folder: where everything lies; `record` in it is small and meant to be kept.
        record: what stands in record/record.json: claims with their numbers and verdicts, and what they were made with.
        runs: by sweep.
    """

    folder: Path
    record: Mapping[str, Any]
    runs: Mapping[str, Runs]

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / "study.html"

    @property
    def verdicts(self) -> dict[str, str | None]:
        """By claim; None at the smoke scale, which gives none."""
        return {claim["id"]: claim["verdict"] for claim in self.record["claims"]}

    def table(self) -> pd.DataFrame:
        """One row a number: claim, what, published, ours with interval and n, verdict."""
        import pandas as pd

        rows = [
            {"claim": claim["id"], **measured, "verdict": claim["verdict"]}
            for claim in self.record["claims"]
            for measured in claim["measured"]
        ]
        return pd.DataFrame(rows)


def reproduce(
    name: str,
    *,
    scale: Scale = "quick",
    claims: Sequence[str] | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    cluster: str | None = None,
    checkpoints: str | Path | None = None,
    retries: int = RETRIES,
) -> Reproduction:
    """Run a study at a scale, judge its claims, draw its figures and write its record. The same call again goes on.

    Args:
        name: "sakamoto-2025", "han-2025", "truong-2026" or "adjudication".
        scale: "smoke" trains for seconds and gives no verdicts; "quick" takes up to 20 minutes on two cores, and its
            verdicts are preliminary; "full" has the published sizes as far as two cores reach in hours.
        claims: judge these only, and run only what they need; all by default.
        out: the folder; runs/NAME-SCALE by default.
        workers: as for `run`; the smoke scale is trained in this process if nothing else is asked for, because to start
            workers takes longer than its training.
        progress: as for `run`; told of each sweep in turn.
        cluster: as for `run`.
        checkpoints: as for `run`.
        retries: as for `run`.

    Raises:
        SpecError: no such study, scale or claim; one line, before any work.
        Interrupted: Ctrl-C or SIGTERM; everything is kept.
    """
    found = study_named(name)
    require(scale in SCALES, "scale", scale, f"must be one of {', '.join(SCALES)}")
    chosen = chosen_claims(found, claims)
    folder = Path(out) if out is not None else Path("runs") / f"{name}-{scale}"
    told = progress or Silent()
    if scale == "smoke" and workers is None and cluster is None and checkpoints is None:
        workers = 0
    how: dict[str, Any] = {"workers": workers, "cluster": cluster, "checkpoints": checkpoints, "retries": retries}
    sweeps = _needed(found, scale, chosen)
    for sweep in sweeps:  # refuse before anything is trained
        resolve(sweep.experiment, seeds=sweep.seeds, vary=sweep.vary).members()
    _claim_folder(folder, name, scale)
    with _clock(folder) as seconds_before:
        began = time.monotonic()
        runs = {sweep.name: _trained(sweep, folder, how, told) for sweep in sweeps}
        defaults = {choice.name: choice.default for choice in found.choices}
        evidence = Evidence(scale, folder, runs, defaults, lambda text: _note(told, text))
        judged = [_judged(claim, found, evidence) for claim in chosen]
        figures = list(_drawn(found, evidence))
        record = _record(found, scale, sweeps, evidence, judged, figures)
        record["wall_seconds"] = round(seconds_before + time.monotonic() - began)
    _write(folder, record)
    return Reproduction(folder, record, runs)


def chosen_claims(found: Study, claims: Sequence[str] | None) -> tuple[Claim, ...]:
    """The claims that are asked for; refuses one that the study does not have."""
    known = {claim.id: claim for claim in found.claims}
    for claim in claims or ():
        require(claim in known, "claims", claim, nearest(claim, known))
    return tuple(claim for claim in found.claims if claims is None or claim.id in claims)


def _needed(found: Study, scale: Scale, claims: Iterable[Claim]) -> tuple[Sweep, ...]:
    """The sweeps that the claims need, in the study's order."""
    claims = tuple(claims)
    wanted = {name for claim in claims for name in claim.needs}
    if len(claims) == len(found.claims):  # the whole study: its figures too
        wanted |= {name for drawing in found.drawings for name in drawing.needs}
    sweeps = found.sweeps(scale)
    missing = wanted - {sweep.name for sweep in sweeps}
    assert not missing, f"{found.name} has no sweep {missing}"
    return tuple(sweep for sweep in sweeps if sweep.name in wanted)


def _claim_folder(folder: Path, name: str, scale: Scale) -> None:
    """Make the folder this study's, or see that it is."""
    mark, content = folder / "study.json", {"study": name, "scale": scale}
    if mark.exists():
        held = json.loads(mark.read_text(encoding="utf-8"))
        right = f"holds {held['study']} at scale {held['scale']}: choose another folder"
        require(held == content, "out", str(folder), right)
        return
    folder.mkdir(parents=True, exist_ok=True)
    require(not any(folder.iterdir()), "out", str(folder), "is not empty and holds no study: choose another folder")
    write_whole(mark, json.dumps(content))


@contextmanager
def _clock(folder: Path) -> Iterator[float]:
    """Seconds that earlier calls took; those of this one are added when it ends, however it ends."""
    path, began = folder / "seconds.json", time.monotonic()
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else 0.0
    try:
        yield before
    finally:
        write_whole(path, json.dumps(before + time.monotonic() - began))


def _trained(sweep: Sweep, folder: Path, how: Mapping[str, Any], progress: Progress) -> Runs:
    _note(progress, f"{sweep.name}: {sweep.about}")
    return run(
        sweep.experiment, seeds=sweep.seeds, vary=sweep.vary, out=folder / "runs" / sweep.name, progress=progress,
        **how,
    )  # fmt: skip


def _note(progress: Progress, text: str) -> None:
    progress.message({"kind": "note", "about": "study", "text": text})


def _judged(claim: Claim, found: Study, evidence: Evidence) -> dict[str, Any]:
    """A claim with what came out, and the verdict under each other value of the choices that it depends on."""
    finding = claim.judge(evidence)
    others = [
        {
            "choice": choice.name,
            "value": value,
            **_verdict(claim, claim.judge(evidence.choosing(**{choice.name: value}))),
        }
        for choice in found.choices
        if choice.name in claim.choices
        for value in choice.others
    ]
    smoke = evidence.scale == "smoke"
    written = {name: getattr(claim, name) for name in ("id", "text", "published", "where", "rule", "instead", "needs")}
    return {
        **written,
        "verdict": None if smoke else finding.verdict,
        "because": finding.because,
        "measured": [asdict(each) for each in finding.measured],
        "notes": list(finding.notes),
        "under": [] if smoke else others,
    }


def _verdict(claim: Claim, finding: Finding) -> dict[str, str]:
    return {"verdict": finding.verdict, "because": finding.because}


def _drawn(found: Study, evidence: Evidence) -> Iterator[dict[str, str]]:
    """Draw what the runs that are there allow."""
    import matplotlib as mpl

    folder = evidence.folder / "record" / "figures"
    shutil.rmtree(folder, ignore_errors=True)
    for drawing in found.drawings:
        if set(drawing.needs) <= evidence.runs.keys():
            with mpl.rc_context(PAPER):
                save(drawing.draw(evidence), folder / f"{drawing.name}.svg")
            yield {"name": drawing.name, "caption": drawing.caption, "file": f"figures/{drawing.name}.svg"}


def _record(
    found: Study, scale: Scale, sweeps: Sequence[Sweep], evidence: Evidence, judged: list[dict[str, Any]],
    figures: list[dict[str, str]],
) -> dict[str, Any]:  # fmt: skip
    """All that is kept of a study, as plain values."""
    written = {name: getattr(found, name) for name in ("name", "title", "reference", "about")}
    tables = sorted((evidence.folder / "record" / "tables").glob("*.csv"))
    return {
        **written,
        "scale": scale,
        "claims": judged,
        "choices": [asdict(choice) for choice in found.choices],
        "sweeps": [_swept(sweep, evidence) for sweep in sweeps],
        "figures": figures,
        "tables": [f"tables/{path.name}" for path in tables],
        **describe(),
        "command": _command(found, scale, judged),
    }


def _command(found: Study, scale: Scale, judged: list[dict[str, Any]]) -> str:
    """What to type for the same record; where it goes and how many workers train changes nothing of it."""
    ids = ",".join(claim["id"] for claim in judged)
    chosen = f" --claims {ids}" if len(judged) < len(found.claims) else ""
    return f"afterfit reproduce {found.name} --scale {scale}{chosen}"


def _swept(sweep: Sweep, evidence: Evidence) -> dict[str, Any]:
    runs = evidence.runs[sweep.name]
    events = evidence.events(sweep.name)
    names = [name for name in runs.rules if f"{name}_censored" in events]
    return {
        "name": sweep.name,
        "about": sweep.about,
        "seeds": list(sweep.seeds),
        "vary": {field: list(values) for field, values in sweep.vary.items()},
        "steps": sweep.experiment.steps,
        "members": len(runs.members),
        "status": {
            status: sum(r.status == status for r in runs.members) for status in {r.status for r in runs.members}
        },
        "events": {name: int(np.sum(~events[f"{name}_censored"].to_numpy(bool))) for name in names},
        "code_version": runs.meta.get("code_version"),
    }


def _write(folder: Path, record: dict[str, Any]) -> None:
    """The record as JSON, and the page."""
    from afterfit.report import write_study

    text = json.dumps(plain(record), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / "record" / "record.json", text + "\n")
    write_study(folder / "study.html", plain(record), folder / "record")


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers that JSON has not become the words "inf", "-inf" and "nan"."""
    import math

    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, bool | str | None | int):
        return value
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    raise SpecError("record", type(value).__name__, "cannot be written as JSON")
