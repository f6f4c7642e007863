"""Arrays at another place than a folder are whole or known to be damaged, too, and come home when they are wanted."""

import uuid

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from afterfit.engine.checkpoints import Checkpoints, Parameters, of_batch, read
from afterfit.engine.members import CPU_BATCH, Batch, Member
from afterfit.engine.memory import member_bytes
from afterfit.engine.mirror import Mirror
from afterfit.engine.places import Folder, Remote, place_of
from afterfit.engine.rooms import Room, plan_in
from afterfit.parts import SpecError
from afterfit.store import StoreDamaged


@pytest.fixture(params=["folder", "remote"])
def place(request, tmp_path):
    """A folder, and an address in this process's memory."""
    return Folder(tmp_path / "place") if request.param == "folder" else Remote(f"memory://{uuid.uuid4().hex}")


def test_a_place_keeps_files_by_name(place):
    assert place.names("a/b") == []
    place.write("a/b/one", b"1")
    place.write("a/b/two", b"2")
    place.write("top", b"0")
    place.write("a/b/one", b"new")
    assert sorted(place.names("a/b")) == ["one", "two"]
    assert place.names("") == ["top"]
    assert place.read("a/b/one") == b"new"
    place.rename("a/b/one", "a/b/three")
    place.remove("a/b/two")
    place.remove("a/b/two")
    assert place.names("a/b") == ["three"]
    with pytest.raises(FileNotFoundError):
        place.read("a/b/two")
    assert place_of(place.address).names("a/b") == ["three"]


def test_checkpoints_and_parameters_are_the_same_everywhere(place):
    kept = Checkpoints(place, "batch", keep=2)
    for step in (1, 20, 300):
        kept.save(step, {"x": np.full(2, step)}, {"step": step})
    place.write(kept.newest_first()[0][1], b"cut off")
    told = []
    ((step, saved),) = kept.newest(told.append)
    assert (step, saved.notes, saved.arrays["x"].tolist()) == (20, {"step": 20}, [20, 20])
    assert len(told) == 1
    assert "is damaged: its bytes are not those that were written; going back" in told[0]
    ends = Parameters(place)
    ends.save(3, {"x": np.ones(2)}, {})
    ends.save(3, {"x": np.zeros(2)}, {})
    assert len(place.names("parameters")) == 1
    assert ends.is_intact(3)
    assert not ends.is_intact(4)
    assert ends.load(4) is None


def test_an_address_that_nobody_knows_is_refused_in_a_line():
    with pytest.raises(SpecError, match="checkpoints = 'nowhere://x': cannot be opened: Protocol not known: nowhere"):
        place_of("nowhere://x").names("")


class Locked(MemoryFileSystem):
    """A file system whose errors are of a kind of its own, as those of object stores are."""

    protocol = "locked"

    def _refuse(self, *args, **kwargs):
        raise LookupError("Unable to locate credentials\nand more")

    ls = cat_file = pipe_file = rm_file = mv = _refuse


@pytest.mark.parametrize(
    "use",
    [
        lambda place: place.names("a"),
        lambda place: place.read("a"),
        lambda place: place.write("a", b""),
        lambda place: place.remove("a"),
        lambda place: place.rename("a", "b"),
    ],
    ids=["names", "read", "write", "remove", "rename"],
)
def test_errors_of_a_file_systems_own_kind_become_oserrors_of_one_line(use):
    fsspec.register_implementation("locked", Locked, clobber=True)
    with pytest.raises(OSError, match="Unable to locate credentials") as caught:
        use(place_of("locked://bucket"))
    assert caught.value.strerror == "Unable to locate credentials"
    assert str(caught.value.filename).startswith("locked://bucket/")


def test_what_a_batch_goes_on_from_is_lent_and_what_it_leaves_comes_home(place, tiny, tmp_path):
    batch, folder = Batch(5, (Member(7, 0, tiny), Member(8, 1, tiny))), tmp_path / "run"
    mirror = Mirror(folder, place, pytest.fail)
    of_batch(folder, 5).save(10, {"x": np.ones(2)}, {})
    of_batch(folder, 4).save(10, {"x": np.ones(2)}, {})
    Parameters(folder).save(7, {"x": np.ones(2)}, {})
    Parameters(folder).save(1, {"x": np.ones(2)}, {})
    mirror.lend(batch)
    assert [step for step, _ in of_batch(place, 5).newest(pytest.fail)] == [10]
    assert not of_batch(place, 4).newest_first()
    assert Parameters(place).is_intact(7)
    assert not Parameters(place).is_intact(1)
    for step in (20, 30):
        of_batch(place, 5).save(step, {"x": np.ones(2)}, {})
    Parameters(place).save(7, {"x": np.zeros(2)}, {})
    Parameters(place).save(8, {"x": np.zeros(2)}, {})
    mirror.fetch_member(batch, 7)
    assert not Parameters(folder).is_intact(8)
    path = Parameters(folder).path(7)
    assert path is not None
    assert read(path).arrays["x"].tolist() == [0, 0]
    mirror.fetch(batch)
    assert [step for step, _ in of_batch(folder, 5).newest(pytest.fail)] == [30, 20]


def test_a_file_that_was_cut_off_on_its_way_home_is_told(place, tiny, tmp_path):
    Parameters(place).save(7, {"x": np.ones(2)}, {})
    (name,) = place.names("parameters")
    place.write(f"parameters/{name}", b"half")
    with pytest.raises(StoreDamaged, match="remove it and start the same run again"):
        Mirror(tmp_path / "run", place, pytest.fail).fetch_member(Batch(0, (Member(7, 0, tiny),)), 7)


def test_what_is_damaged_at_home_is_told_not_lent_and_made_good_from_the_place(place, tiny, tmp_path):
    batch, home, told = Batch(5, (Member(7, 0, tiny),)), Folder(tmp_path / "run"), []
    mirror = Mirror(home.path, place, told.append)
    for step in (10, 20):
        of_batch(home, 5).save(step, {"x": np.ones(2)}, {})
    Parameters(home).save(7, {"x": np.ones(2)}, {})
    damaged = [of_batch(home, 5).newest_first()[0][1], f"parameters/{home.names('parameters')[0]}"]
    for name in damaged:
        home.write(name, b"half")
    mirror.lend(batch)
    assert [step for step, _ in of_batch(place, 5).newest(pytest.fail)] == [10]
    assert place.names("parameters") == []
    assert len(told) == 2
    assert all("is damaged: its bytes are not those that were written" in text for text in told)
    Parameters(place).save(7, {"x": np.ones(2)}, {})  # the same bits, so the same name
    assert not Parameters(home).is_intact(7)
    mirror.fetch_member(batch, 7)
    assert Parameters(home).is_intact(7)
    of_batch(place, 5).save(20, {"x": np.ones(2)}, {})
    of_batch(place, 5).save(30, {"x": np.ones(2)}, {})
    place.write(of_batch(place, 5).newest_first()[0][1], b"half")
    mirror.fetch(batch)  # of checkpoints the one before will do
    assert [step for step, _ in of_batch(home, 5).newest(pytest.fail)] == [20, 10]
    assert len(told) == 3


def test_the_same_folder_is_no_mirror(tmp_path):
    assert not Mirror(tmp_path, Folder(tmp_path), pytest.fail).is_needed
    assert Mirror(tmp_path, Folder(tmp_path / "other"), pytest.fail).is_needed


def test_a_gpu_and_cores_share_members_by_what_they_hold(tiny, members):
    """One GPU that holds 24 members, and 2 cores of 4: 24 of 32 in one batch, the others in two."""
    each = member_bytes(tiny) / 0.7
    rooms = [Room(1, 24.5 * each, is_accelerator=True), Room(2, 1e12)]
    everybody = members(*[{}] * 32)
    batches = plan_in(everybody, rooms, first_number=3)
    assert [len(batch.members) for batch in batches] == [24, CPU_BATCH, CPU_BATCH]
    assert [batch.number for batch in batches] == [3, 4, 5]
    assert [member for batch in batches for member in batch.members] == everybody
    assert max(len(batch.members) for batch in plan_in(everybody, rooms, batch_size=2)) == 2
    assert [len(batch.members) for batch in plan_in(everybody[:1], rooms)] == [1]
