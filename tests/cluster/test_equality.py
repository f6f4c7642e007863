"""A study on a cluster is the study on one machine."""

import afterfit as af
from afterfit.store import read


def test_two_nodes_give_what_one_machine_gives_to_the_last_bit(machines, tiny_toml, tmp_path, told, contents):
    af.run(tiny_toml, seeds=4, out=tmp_path / "local" / "run", workers=1, batch_size=1)
    seen = told()
    af.run(tiny_toml, seeds=4, out=tmp_path / "run", batch_size=1, cluster=machines.address, progress=seen)
    assert contents(tmp_path / "run") == contents(tmp_path / "local" / "run")
    assert {record.status for record in read(tmp_path / "run").members} == {"finished"}
    assert len(seen.texts("cluster")) == 2  # both nodes trained
    assert all(text.endswith(" trains") for text in seen.texts("cluster"))
