"""What a claim is judged on: the runs of a study, and what was computed from them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

from afterfit._version import __version__
from afterfit.engine.machine import cores
from afterfit.files import write_whole
from afterfit.lab.runs import Runs
from afterfit.studies.study import Scale

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file but for a last one that was cut off; none where there is no file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


COMPUTING = ("afterfit.studies.", "afterfit.analysis", "afterfit.measures", "afterfit.theory")


def sources(module: ModuleType) -> str:
    """A hash of the source of a module and of all of ours that compute: where its functions and classes come from."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        one = waiting.pop()
        if one.__name__ in found or not one.__file__:
            continue
        found[one.__name__] = hashlib.sha256(Path(one.__file__).read_bytes()).hexdigest()
        for each in vars(one).values():
            name = str(each.__name__ if isinstance(each, ModuleType) else getattr(each, "__module__", ""))
            if name.startswith(COMPUTING):
                waiting.append(sys.modules[name])
    return hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest()


def kept_steps(runs: Runs, member: int) -> list[int]:
    """The steps at which a member's parameters are kept and are numbers: not the end of one that diverged."""
    record = runs.members[member]
    return [step for step in runs.snapshots(member) if record.status != "diverged" or step < record.step]


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

        It is read from there as long as the runs, afterfit's version and the source of what computes it are the same.
        It must not depend on choices: let it have a column for each.

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
        rows, begun = self._unfinished(name)
        if not begun.exists() or json.loads(begun.read_text()) != key:  # rows of something else are of no use
            rows.unlink(missing_ok=True)
            write_whole(begun, json.dumps(key))
        found = compute(self)
        write_whole(path, found.to_csv(index=False))
        write_whole(key_path, json.dumps(key))
        rows.unlink(missing_ok=True)
        begun.unlink()
        return pd.read_csv(path)  # as a later call would see it

    def rows(self, name: str, items: Iterable[Any], of: Callable[[Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The rows of many things that take long each, computed on all cores; for a function that `table` calls.

        What was computed when a call is stopped is kept and not computed again.

        Args:
            name: of the table.
            items: what `of` is given one of: plain values, or tuples of them.
            of: finds the rows of one of them, of plain values. It is called from several threads.
        """
        path, _ = self._unfinished(name)
        there, items = _whole_lines(path), list(items)
        done = {json.dumps(item): found for item, found in map(json.loads, there)}
        missing = [item for item in items if json.dumps(item) not in done]
        write_whole(path, "".join(f"{line}\n" for line in there))
        writing = Lock()
        with path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(cores()) as pool:

            def kept(item: Any) -> list[dict[str, Any]]:
                found = of(item)
                with writing:
                    file.write(json.dumps([item, found]) + "\n")
                    file.flush()
                return found

            done |= {json.dumps(item): found for item, found in zip(missing, pool.map(kept, missing), strict=True)}
        return [row for item in items for row in done[json.dumps(item)]]

    def _unfinished(self, name: str) -> tuple[Path, Path]:
        """Where the rows of a table lie that is not whole, and what it was begun from."""
        return self.folder / "keys" / f"{name}.rows.jsonl", self.folder / "keys" / f"{name}.begun.json"

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / "record" / "tables" / f"{name}.{ending}"

    def _key(self, compute: Callable[..., Any], needs: tuple[str, ...]) -> dict[str, Any]:
        """All that decides what a table holds."""
        return {
            "source": sources(sys.modules[compute.__module__]),
            "version": __version__,
            "runs": {sweep: self._state(sweep) for sweep in needs},
        }

    def _state(self, sweep: str) -> str:
        runs = self.runs[sweep]
        members = [[r.seed, r.varied, r.status, r.step] for r in runs.members]
        text = json.dumps([runs.meta["experiment"], members], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()
