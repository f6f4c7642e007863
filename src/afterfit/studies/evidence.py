"""What a claim is judged on: the runs of a study, and what was computed from them."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit._version import __version__
from afterfit.lab.runs import Runs
from afterfit.studies.study import Scale

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True)
class Evidence:
    """The runs of a study and the choices under which they are read.

    Attributes:
        scale: of the study.
        folder: of the study.
        runs: by sweep.
        choices: values of what the paper leaves open.
        tell: told what is being computed.
    """

    scale: Scale
    folder: Path
    runs: Mapping[str, Runs]
    choices: Mapping[str, Any]
    tell: Callable[[str], None] = lambda text: None

    def choosing(self, **choices: Any) -> Evidence:
        """The same runs under other choices."""
        return replace(self, choices={**self.choices, **choices})

    def observations(self, sweep: str) -> xr.Dataset:
        """A sweep's observations."""
        return self.runs[sweep].observations

    def events(self, sweep: str) -> pd.DataFrame:
        """A sweep's declared events."""
        return self.runs[sweep].events()

    def table(self, name: str, compute: Callable[[Evidence], pd.DataFrame], needs: tuple[str, ...]) -> pd.DataFrame:
        """What a function computes from runs, kept as tables/NAME.csv.

        It is read from there as long as the runs, the function's module and afterfit's version are the same. It must
        not depend on choices: let it have a column for each.

        Args:
            name: of the file.
            compute: from this evidence to a table with plain columns.
            needs: the sweeps that it reads.
        """
        import pandas as pd

        path, key_path = self._path(name, "csv"), self.folder / "keys" / f"{name}.json"
        key = self._key(compute, needs)
        if path.exists() and key_path.exists() and json.loads(key_path.read_text()) == key:
            return pd.read_csv(path)
        self.tell(f"computing {name}")
        found = compute(self)
        for target, text in ((path, found.to_csv(index=False)), (key_path, json.dumps(key))):
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}.part")
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(target)
        return pd.read_csv(path)  # as a later call would see it

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / "record" / "tables" / f"{name}.{ending}"

    def _key(self, compute: Callable[..., Any], needs: tuple[str, ...]) -> dict[str, Any]:
        """All that decides what a table holds."""
        source = inspect.getsourcefile(compute)
        assert source
        return {
            "source": hashlib.sha256(Path(source).read_bytes()).hexdigest(),
            "version": __version__,
            "runs": {sweep: self._state(sweep) for sweep in needs},
        }

    def _state(self, sweep: str) -> str:
        runs = self.runs[sweep]
        members = [[r.seed, r.varied, r.status, r.step] for r in runs.members]
        text = json.dumps([runs.meta["experiment"], members], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
