"""What becomes of batches whose workers are lost, fail, or find too little memory; with workers that only pretend."""

import queue
import time
from contextlib import nullcontext

import numpy as np
import pytest

from afterfit.engine import worker
from afterfit.engine.checkpoints import of_batch
from afterfit.engine.crew import Crew, WorkerFailed
from afterfit.engine.hiring import Gone
from afterfit.engine.members import Batch, Member
from afterfit.engine.mirror import Mirror
from afterfit.engine.places import Folder

ENDS = {
    "lost": Gone("lost", "was lost with its node"),
    "killed": Gone("killed", "was killed by signal 9"),
    "memory": Gone("memory", "was killed for want of memory"),
}


class Pretending:
    """A worker that does with each batch what is written for it: "fine", an error's words, or an end of its own."""

    def __init__(self, fates, orders):
        self.fates, self.orders = fates, orders
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()
        self.end = Gone("error", "ended with exit code 1")

    def send(self, kind, **content):
        self.inbox.put((kind, content))

    def messages(self):
        while True:
            kind, order = self.inbox.get()
            if kind == "end":
                return
            if kind == "stop":
                yield {"kind": "batch", "number": 0, "complete": False}
            if kind != "train":
                continue
            self.orders.append(order)
            numbers = [member["number"] for member in order["batch"]["members"]]
            fate = self.fates(order["batch"]["number"], numbers)
            yield {
                "kind": "rows",
                "rows": [(n, len(order["stored"][str(n)]), {"x": 1.0}) for n in numbers],
                "number": 1,
            }
            if fate in ENDS:
                self.end = ENDS[fate]
                return
            if fate != "fine":
                yield {
                    "kind": "failed",
                    "error": fate,
                    "trace": "",
                    "memory": "memory" in fate,
                    "hopeless": "spec" in fate,
                }
                return
            for number in numbers:
                yield {"kind": "status", "member": number, "status": "finished", "step": 1}
            yield {"kind": "batch", "number": order["batch"]["number"], "complete": True}

    def gone(self):
        return self.end


class Pretended:
    """Hires pretending workers, so many at a time."""

    look_seconds = None

    def __init__(self, fates, count=1):
        self.fates, self.count, self.orders, self.hired = fates, count, [], 0

    def open(self):
        return nullcontext()

    def hire(self, lines, waiting):
        if len(lines) >= self.count:
            return None
        self.hired += 1
        return Pretending(self.fates, self.orders)

    def is_ready(self, line):
        return True

    def suits(self, line, batch):
        return True

    def welcome(self, line, hello):
        return None

    def dismiss(self, lines):
        for line in lines:
            line.send("end")


def in_turn(**fates):
    """What happens to each batch, time by time; "fine" after that. Names are those of batches: b0, b1."""
    left = {int(name[1:]): list(each) for name, each in fates.items()}
    return lambda number, members: left[number].pop(0) if left.get(number) else "fine"


@pytest.fixture
def train(tiny, tmp_path):
    """Train batches of two members each with pretending workers: what was told, and who was hired."""

    def run(fates, *, batches=2, retries=1, count=1):
        hiring, told = Pretended(fates, count), []
        two = [Batch(i, tuple(Member(2 * i + j, j, tiny) for j in (0, 1))) for i in range(batches)]
        crew = Crew(hiring, tmp_path, checkpoint_seconds=1.0, retries=retries)
        try:
            assert crew.train(two, {}, told.append)
        except WorkerFailed as failed:
            return told, hiring, str(failed)
        return told, hiring, None

    return run


def finished(told):
    return sorted(message["member"] for message in told if message["kind"] == "status")


def test_a_lost_batch_goes_on_before_all_others_and_never_counts_as_failed(train):
    told, hiring, failed = train(in_turn(b0=["lost"] * 5), retries=0)
    assert failed is None
    assert finished(told) == [0, 1, 2, 3]
    assert [order["batch"]["number"] for order in hiring.orders] == [0] * 6 + [1]
    lost = [message for message in told if message["kind"] == "returned"]
    assert [(m["batch"], m["members"], m["why"]) for m in lost] == [(0, [0, 1], "lost")] * 5


def test_who_goes_on_is_told_of_the_rows_that_have_become_durable_since(train):
    _, hiring, _ = train(in_turn(b0=["lost", "lost"]))
    assert [order["stored"] for order in hiring.orders[:3]] == [
        {"0": list(range(n)), "1": list(range(n))} for n in (0, 1, 2)
    ]


def test_a_failing_batch_is_tried_again_after_the_others_as_often_as_asked_and_blocks_nobody(train):
    told, hiring, failed = train(in_turn(b0=["NaN in a file"] * 9), retries=2)
    assert failed == "batch 0 could not be trained: NaN in a file"
    assert finished(told) == [2, 3]
    assert [order["batch"]["number"] for order in hiring.orders] == [0, 1, 0, 0]
    texts = [message["text"] for message in told if message["kind"] == "returned"]
    assert texts == [f"{failed}; it is tried again ({n} of 2)" for n in (1, 2)]


@pytest.mark.parametrize("fate", ["an error", "killed"])
def test_what_fails_once_only_is_through_at_the_second_time(train, fate):
    told, _, failed = train(in_turn(b1=[fate]))
    assert failed is None
    assert finished(told) == [0, 1, 2, 3]


def test_a_bad_spec_is_not_tried_again(train):
    told, hiring, failed = train(in_turn(b0=["spec"] * 9), retries=5)
    assert failed == "batch 0 could not be trained: spec"
    assert [order["batch"]["number"] for order in hiring.orders] == [0, 1]
    assert not [message for message in told if message["kind"] == "returned"]


@pytest.mark.parametrize("fate", ["memory", "out of memory"])
def test_too_little_memory_halves_a_batch_with_its_checkpoint(train, tmp_path, fate):
    def fates(number, members):
        return fate if len(members) > 1 and number == 0 else "fine"

    notes = {"placed": [1, 0], "ended": [], "streaks": [[0, "e", None, 0, None], [1, "e", 3, 1, 3]]}
    of_batch(tmp_path, 0).save(30, {"0": np.array([[1.0], [0.0]])}, notes)
    told, hiring, failed = train(fates)
    assert failed is None
    assert finished(told) == [0, 1, 2, 3]
    assert [order["batch"]["number"] for order in hiring.orders] == [0, 1, 2, 3]  # new numbers, after the others
    (divided,) = [message for message in told if message["kind"] == "divided"]
    assert divided["into"] == {"2": [0], "3": [1]}
    assert divided["text"].endswith("go on from step 30 in batches of 1 and 1, equal to rounding, not to the last bit")
    for number, member in ((2, 0), (3, 1)):
        ((step, saved),) = of_batch(Folder(tmp_path), number).newest(pytest.fail)
        assert step == 30
        assert saved.arrays["0"].tolist() == [[float(member)]]
        assert saved.notes["placed"] == [member]
        assert [streak[0] for streak in saved.notes["streaks"]] == [member]


def test_a_member_alone_that_finds_too_little_memory_fails(train):
    told, _, failed = train(lambda number, members: "memory" if 0 in members else "fine", retries=0)
    assert failed == "the worker of batch 2 was killed for want of memory"
    assert finished(told) == [1, 2, 3]


def test_several_failures_are_told_together(train):
    _, _, failed = train(in_turn(b0=["first"], b2=["second"]), batches=4, retries=0, count=3)
    assert failed is not None
    assert sorted(failed.split("; ")) == [
        f"batch {n} could not be trained: {w}" for n, w in ((0, "first"), (2, "second"))
    ]


def test_rows_that_came_meanwhile_become_durable_together_and_nobodys_words_change_their_order(tiny, tmp_path):
    hiring, told = Pretended(in_turn(), count=3), []
    batches = [Batch(i, tuple(Member(2 * i + j, j, tiny) for j in (0, 1))) for i in range(6)]
    crew = Crew(hiring, tmp_path, checkpoint_seconds=1.0)

    def keep(message):
        if not told:  # a slow disk: till here everybody says all that there is to say of the first three batches
            deadline = time.monotonic() + 60
            while len(crew.inbox) < 3 * 4 - len({m for m, *_ in message["rows"]}) // 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        told.append(message)

    assert crew.train(batches, {}, keep)
    written = [{member for member, *_ in message["rows"]} for message in told if message["kind"] == "rows"]
    assert len(written) < len(batches)
    assert sorted(member for members in written for member in members) == list(range(12))
    for member in range(12):
        (rows,) = [i for i, m in enumerate(told) if m["kind"] == "rows" and member in {r[0] for r in m["rows"]}]
        (end,) = [i for i, m in enumerate(told) if m["kind"] == "status" and m["member"] == member]
        assert rows < end


class Elsewhere(Mirror):
    """Copies that fail a number of times, by batch and method."""

    def __init__(self, fails):
        self.fails = fails

    def _tried(self, what, batch):
        if self.fails.get((what, batch.number), 0):
            self.fails[what, batch.number] -= 1
            raise OSError("the network is away")

    def lend(self, batch):
        self._tried("lend", batch)

    def fetch(self, batch):
        self._tried("fetch", batch)

    def fetch_member(self, batch, member):
        self._tried("fetch_member", batch)


@pytest.mark.parametrize("what", ["lend", "fetch", "fetch_member"])
def test_trouble_between_the_driver_and_the_place_costs_a_batch_a_trial_and_no_other_anything(tiny, tmp_path, what):
    batches = [Batch(i, tuple(Member(2 * i + j, j, tiny) for j in (0, 1))) for i in range(3)]
    crew, told = Crew(Pretended(in_turn()), tmp_path, checkpoint_seconds=1.0, retries=1), []
    crew.mirror = Elsewhere({(what, 0): 1, (what, 1): 9})
    with pytest.raises(WorkerFailed, match=r"batch 1 .*: the network is away$"):
        crew.train(batches, {}, told.append)
    assert {0, 1, 4, 5} <= set(finished(told))
    assert [m["batch"] for m in told if m["kind"] == "returned"] == [0, 1]
    assert sum("the network is away" in m.get("text", "") for m in told) == 2
    if what == "fetch_member":
        assert 2 not in finished(told)  # its end never came home


class TwoKinds(Pretended):
    """Two workers at most: a fast one for batch 1 once there is room for it, slow ones for the others."""

    def hire(self, lines, waiting):
        line = super().hire(lines, waiting)
        if line:
            line.is_fast = self.hired == 3
        return line

    def suits(self, line, batch):
        return line.is_fast == (batch.number == 1)


def test_workers_without_use_make_room_for_the_kind_that_is_needed(tiny, tmp_path):
    batches = [Batch(i, (Member(i, 0, tiny),)) for i in (0, 1, 2)]
    hiring, told = TwoKinds(in_turn(), count=2), []
    assert Crew(hiring, tmp_path, checkpoint_seconds=1.0).train(batches, {}, told.append)
    assert finished(told) == [0, 1, 2]
    assert hiring.hired == 3


class Stillborn(Pretended):
    """Workers that are never ready, and die of something before a word."""

    look_seconds = 0.01

    def hire(self, lines, waiting):
        line = super().hire(lines, waiting)
        if line:
            line.end = ENDS["killed"]
            line.send("end")
        return line

    def is_ready(self, line):
        return False


def test_workers_that_are_killed_before_a_word_are_not_hired_for_ever(tiny, tmp_path):
    hiring = Stillborn(in_turn())
    with pytest.raises(WorkerFailed, match="a worker was killed by signal 9"):
        Crew(hiring, tmp_path, checkpoint_seconds=1.0).train([Batch(0, (Member(0, 0, tiny),))], {}, [].append)
    assert hiring.hired == 3


def test_a_connection_that_fails_is_told_as_a_failure(monkeypatch):
    def away(channel):
        raise ConnectionResetError(104, "Connection reset by peer", "gs://bucket/x")

    monkeypatch.setattr(worker, "work", away)
    line = Pretending(in_turn(), [])
    worker.serve(line)
    kind, said = line.inbox.get(timeout=5)
    assert kind == "failed"
    assert "Connection reset by peer" in said["error"]
