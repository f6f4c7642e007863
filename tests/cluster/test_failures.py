"""What a study does not get over by itself is told in one line; what it gets over is told, too."""

import socket

import numpy as np
import pytest

import afterfit as af
from afterfit.engine.crew import WorkerFailed
from afterfit.parts import SpecError
from afterfit.store import read

PARTS = """
import os
from pathlib import Path

from afterfit.parts import part
from afterfit.tasks import DataError, ModularArithmetic

HERE = Path(__file__).parent


@part
class Failing(ModularArithmetic):
    '''Fails where it is trained, for a reason that its share of training examples names.'''

    def split(self, table, seed):
        if seed == 1:
            raise DataError("the file holds NaN")
        if seed == 3 and not (HERE / "was-full").exists():
            (HERE / "was-full").touch()
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")
        return super().split(table, seed)
"""


@pytest.fixture
def failing_toml(tiny_toml, tmp_path, monkeypatch):
    """An experiment of which seed 1 always fails, and seed 3 finds too little memory at first."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "failing_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(folder)
    (folder / "failing.toml").write_text(tiny_toml.read_text().replace("ModularArithmetic", "failing_parts:Failing"))
    return folder / "failing.toml"


def test_a_failing_batch_is_told_with_its_cause_and_too_little_memory_halves_another(
    machines, failing_toml, tiny_toml, tmp_path, told
):
    seen, there = told(), {"cluster": machines.address, "retries": 0}
    with pytest.raises(WorkerFailed, match=r"^batch 0 could not be trained: the file holds NaN$"):
        af.run(failing_toml, seeds=4, batch_size=2, out=tmp_path / "run", progress=seen, **there)
    (divided,) = seen.texts("divided")
    assert divided.startswith("batch 1 could not be trained: RuntimeError: RESOURCE_EXHAUSTED: Out of memory")
    assert divided.endswith("go on from the beginning in batches of 1 and 1, equal to rounding, not to the last bit")
    found = read(tmp_path / "run").members
    assert [(record.status, record.batch) for record in found[2:]] == [("finished", 2), ("finished", 3)]
    af.run(tiny_toml, seeds=4, batch_size=2, out=tmp_path / "plain", workers=1)
    for member in (2, 3):
        ours, theirs = (af.open(tmp_path / name).observations.sel(member=member) for name in ("run", "plain"))
        for name in theirs.data_vars:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-6)


def test_an_address_where_nobody_answers_is_refused_in_one_line(tiny_toml, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            SpecError, match=r"cannot be reached \(connection refused\): start one with `ray start"
        ) as e:
            af.run(tiny_toml, out=tmp_path / "run", cluster=address)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["here", "ray://127.0.0.1:10001", "host:0", "host:"])
def test_what_is_no_address_is_refused(tiny_toml, tmp_path, address):
    with pytest.raises(SpecError, match="must be auto or HOST:PORT"):
        af.run(tiny_toml, out=tmp_path / "run", cluster=address)


def test_a_cluster_needs_workers(tiny_toml, tmp_path):
    with pytest.raises(SpecError, match="--cluster and --checkpoints need workers"):
        af.run(tiny_toml, out=tmp_path / "run", cluster="auto", workers=0)


def test_a_place_that_nodes_do_not_see_is_refused_before_anything_trains(machines, tiny_toml, tmp_path):
    with pytest.raises(SpecError, match=r"node \S+ \(\w{6}\) does not see it: --checkpoints needs a folder") as e:
        af.run(tiny_toml, out=tmp_path / "run", cluster=machines.address, checkpoints="memory://nowhere")
    assert "\n" not in str(e.value)
    assert not len(read(tmp_path / "run").table)


def test_checkpoints_go_to_an_address_and_what_is_kept_comes_home(machines, tiny_toml, tmp_path, told, contents):
    """A study that began with processes goes on with a cluster, with other checkpoints, and ends at home."""
    settings = {"seeds": 2, "batch_size": 1, "steps": 1_000, "changes": {"snapshots": (0, 500)}}
    af.run(tiny_toml, out=tmp_path / "local" / "run", workers=1, **settings)
    address = f"file://{tmp_path}/bucket"
    runs = af.run(tiny_toml, out=tmp_path / "run", cluster=machines.address, checkpoints=address, **settings)
    assert contents(tmp_path / "run") == contents(tmp_path / "local" / "run")
    assert [runs.snapshots(member) for member in (0, 1)] == [[0, 500, 1000]] * 2
    (bucket,) = (tmp_path / "bucket").iterdir()
    assert bucket.name.startswith("run-")
    for kind in ("parameters", "snapshots", "checkpoints"):
        here, there = (
            {path.relative_to(folder): path.read_bytes() for path in (folder / kind).rglob("*.safetensors")}
            for folder in (tmp_path / "run", bucket)
        )
        assert here == there
    assert not list(bucket.glob(".seen-*"))
