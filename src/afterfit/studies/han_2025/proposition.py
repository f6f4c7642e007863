"""B4 and B5: Prop 5.3, that collapse with a head that grows makes flat, on exact frames and along training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import share
from afterfit.studies.han_2025.tables import DEVIATIONS, VIEWED, along_training, frames
from afterfit.studies.rules import Ruling, all_of, all_runs
from afterfit.studies.study import Finding, Measured

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.studies.evidence import Evidence

ROUNDING = 1e-9  # relative; frames are computed in float64


def exact_frames(table: pd.DataFrame) -> Ruling:
    """Whether κ is at most the bound on every exact frame, and is what its closed form says."""
    kappa, bound, closed = (table[name].to_numpy() for name in ("kappa", "bound", "closed_form"))
    below = int((kappa <= bound * (1 + ROUNDING)).sum())
    largest = float(np.abs(kappa / closed - 1).max())
    said = f"on exact frames κ is at most the bound in {below} of {len(table)}, within {largest:.1g} of its closed form"
    held = below == len(table) and largest < 1e-6
    return Ruling("reproduced" if held else "not reproduced", said)


def memorised_rows(evidence: Evidence) -> Any:
    """What was kept of every run from its memorisation on, where the bound could be computed."""
    import pandas as pd

    table: Any = evidence.table("along_training", along_training, VIEWED)
    if "theorem_bound" not in table:
        return table[:0]
    parts = []
    for sweep in VIEWED:
        events: Any = evidence.events(sweep)
        seen = events["memorised"].where(~events["memorised_censored"])
        rows = table[table["sweep"] == sweep]
        starts = seen.reindex(rows["member"]).to_numpy(dtype=float, na_value=np.inf)
        parts.append(rows[(rows["step"].to_numpy() >= starts) & rows["theorem_bound"].notna().to_numpy()])
    there = [rows for rows in parts if len(rows)]
    return pd.concat(there) if there else table[:0]


def proposition(evidence: Evidence) -> Finding:
    """B4."""
    table = evidence.table("frames", frames, ())
    exact = exact_frames(table)
    ratio = (table["kappa"] / table["bound"]).to_numpy()
    expected = table["expected_share"].to_numpy()
    measured = [
        Measured("exact frames: largest κ over its bound", float(ratio.max()), n=len(table), published="≤ 1"),
        Measured("exact frames: smallest κ over its bound", float(ratio.min()), n=len(table)),
        Measured("exact frames: largest relative difference of κ/bound from (2 + (k − 2) e^{−λδ})/k²",
                 float(np.abs(ratio / expected - 1).max()), n=len(table)),
    ]  # fmt: skip
    rows = memorised_rows(evidence)
    respected = [bool((run["kappa"] <= run["theorem_bound"]).all()) for _, run in rows.groupby(["sweep", "member"])]
    along = all_runs("from memorisation on κ stays below the bound of Prop 5.3", sum(respected), len(respected))
    for sweep, of_sweep in rows.groupby("sweep"):
        within = float((of_sweep["kappa"] <= of_sweep["theorem_bound"]).mean())
        text = f"{sweep}: share of kept steps at which κ ≤ bound"
        measured.append(Measured(text, within, n=len(of_sweep), published="1"))
        for name in DEVIATIONS:
            text = f"{sweep}: median deviation, {name.replace('_', ' ')}"
            measured.append(Measured(text, float(of_sweep[name].median()), n=len(of_sweep), published="0 assumed"))
    return Finding(*all_of(exact, along), measured=tuple(measured))


def where_it_applies(evidence: Evidence) -> Finding:
    """B5: the bound at those kept steps alone at which every assumption holds."""
    rows, tolerance = memorised_rows(evidence), float(evidence.choices["tolerance"])
    if not len(rows):
        nothing = Measured("share of kept steps at which all assumptions hold", None, n=0)
        return Finding("inconclusive", "no run memorised, or its classes were not all there", (nothing,))
    holding = rows[(rows[list(DEVIATIONS)] <= tolerance).all(axis=1)]
    measured = [Measured.of("share of kept steps at which all assumptions hold", share(len(holding), len(rows)))]
    for name in DEVIATIONS:
        count = int((rows[name] <= tolerance).sum())
        text = f"share of kept steps at which one holds: {name.replace('_', ' ')}"
        measured.append(Measured.of(text, share(count, len(rows))))
    if not len(holding):
        worst = {name: float(rows[name].min()) for name in DEVIATIONS}
        name = max(worst, key=lambda each: worst[each])
        said = f"at none of {len(rows)} kept steps all assumptions hold to {tolerance:g}; of {name.replace('_', ' ')} the least deviation is {worst[name]:.2g}"  # noqa: E501
        return Finding("inconclusive", said, tuple(measured))
    respected = [bool((run["kappa"] <= run["theorem_bound"]).all()) for _, run in holding.groupby(["sweep", "member"])]
    ruling = all_runs("κ stays below the bound where all assumptions hold", sum(respected), len(respected))
    return Finding(*ruling, measured=tuple(measured))
