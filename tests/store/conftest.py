"""Small runs with known contents."""

import re
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from afterfit.store import MemberRecord, RunStore

META = {"experiment": {"task": {"p": 97}}, "seeds": 4, "versions": {"jax": "0.8"}, "command": "afterfit run"}
MEASURES = [f"train/m{i}@block0" for i in range(12)]


def _members(count: int) -> list[MemberRecord]:
    return [MemberRecord(i, 100 + i, {"optimizer.weight_decay": i / 2}, {"p": 97}, batch=i % 2) for i in range(count)]


def _values(member: int, step: int) -> dict[str, float]:
    """What is stored for a member at a step: a function of both, so that any later reader can say what it must be."""
    return dict(zip(MEASURES, np.random.default_rng([member, step]).normal(size=len(MEASURES)).tolist(), strict=True))


def _fill(folder: Path, *, count: int = 4, steps: range = range(0, 1000, 10)) -> Path:
    with RunStore.create(folder, meta=META, members=_members(count)) as run:
        run.append((member, step, _values(member, step)) for member in range(count) for step in steps)
        run.log("made", "for a test")
    return folder


@contextmanager
def _refused(kind: type[Exception], *parts: str):
    with pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert re.search(re.escape(part), message), f"{part!r} is not in {message!r}"


def _execute(folder: Path, statement: str, *values) -> list:
    with closing(sqlite3.connect(folder / "runs.sqlite")) as connection, connection:
        return connection.execute(statement, values).fetchall()


@pytest.fixture
def meta():
    """What is said about every run here."""
    return dict(META)


@pytest.fixture
def members():
    """Make so many members."""
    return _members


@pytest.fixture
def values():
    """What a filled run holds for (member, step)."""
    return _values


@pytest.fixture
def fill():
    """Make a run of `count` members with known values at `steps` in a folder, and close it."""
    return _fill


@pytest.fixture
def refused():
    """Context in which an error of this kind must come, its one line containing every part."""
    return _refused


@pytest.fixture
def execute():
    """Run one statement behind the back of the store."""
    return _execute
