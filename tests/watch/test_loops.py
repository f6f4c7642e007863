"""Loops of plain PyTorch under a watch: digits that grok, half precision, accumulation, one killed and resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import afterfit as af
from afterfit.spec.presets import preset

DIGITS = preset("digits").experiment
MEASURES = ("loss", "accuracy", "nc1", "rnc1", "nc2", "cdnv", "spectral_entropy", "relative_flatness", "weight_norm")
CLOSE = 1e-4


def twin(parameters: dict[str, np.ndarray]) -> nn.Sequential:
    """The preset's network in PyTorch, with the lab's weights."""
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10)
    )
    names = {"hidden.0": 1, "hidden.1": 3, "head": 5}
    with torch.no_grad():
        for name, at in names.items():
            for part in ("weight", "bias"):
                getattr(model[at], part).copy_(torch.from_numpy(np.array(parameters[f"{name}.{part}"])))
    return model


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The first 100 steps of the preset, with the weights before, between and after them."""
    experiment = replace(DIGITS, steps=100, measures=MEASURES, stop_when=None, snapshots=(0, 50))
    return af.run(experiment, seeds=[0], out=tmp_path_factory.mktemp("lab") / "run", workers=0)


@pytest.fixture(scope="module")
def digits():
    """The images of seed 0: those to train on and those to test on."""
    table = DIGITS.task.table()
    inputs, labels = torch.from_numpy(np.array(table.inputs)), torch.from_numpy(np.array(table.labels)).long()
    return [(inputs[rows], labels[rows]) for rows in map(list, DIGITS.task.split(table, 0))]


@pytest.mark.parametrize("step", [0, 50, 100])
def test_a_watch_sees_of_the_labs_weights_what_the_lab_saw(lab, digits, step):
    model = twin(lab.parameters(0, step))
    seen = af.Watch(model, train=digits[0], test=digits[1], measures=MEASURES, loss="squared_error", probe=2_048)(step)
    row = lab.observations.sel(step=step).isel(member=0)
    names = [name for name in seen if not name.endswith("/loss")]  # the lab's is a sum over the minibatch
    assert {"train/rnc1", "test/relative_flatness", "weight_norm"} <= set(names)
    for name in names:
        assert seen[name] == pytest.approx(float(row[name]), rel=CLOSE), name


def test_a_plain_loop_that_groks_is_seen_to_memorise_wait_and_generalise(lab, digits, tmp_path):
    (inputs, labels), test = digits
    model, draw = twin(lab.parameters(0, 0)), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=DIGITS.optimizer.weight_decay)
    targets, phases = nn.functional.one_hot(labels, 10).float(), {}
    watch = af.Watch(
        model, train=digits[0], test=test, every=250, out=tmp_path / "run", events=DIGITS.events,
        measures=["accuracy", "rnc1", "weight_norm"], loss="squared_error",
    )  # fmt: skip
    with watch:
        for step in range(4_501):
            if watch(step):
                phases[step] = watch.status().phase.name
            if step % 3 == 0:
                order = torch.randperm(150, generator=draw)
            chosen = order[50 * (step % 3) : 50 * (step % 3 + 1)]
            optimizer.zero_grad()
            (model(inputs[chosen]) - targets[chosen]).square().sum().backward()
            optimizer.step()
    memorised, generalised = watch.recorder.event("memorised"), watch.recorder.event("generalised")
    assert memorised <= 500
    assert 2_500 <= generalised <= 4_500
    assert phases[0] == "fitting"
    assert {phases[at] for at in range(500, generalised, 250)} <= {"memorised", "transition"}
    assert phases[4_500] == "generalised"
    row = af.open(tmp_path / "run").observations.sel(step=1_500)
    assert float(row["test/accuracy"][0]) < 0.5
    assert af.open(tmp_path / "run").events().loc[0, "generalised"] == generalised


# Small loops

TRAIN = torch.randn(64, 6, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def step_of(model, optimizer, at: int, parts: int = 1, dtype: torch.dtype | None = None) -> None:
    """One optimiser step on sixteen examples, in so many parts whose gradients add up."""
    optimizer.zero_grad()
    rows = torch.arange(16 * at, 16 * (at + 1)) % 64
    for part in rows.chunk(parts):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = nn.functional.cross_entropy(model(TRAIN[0][part]), TRAIN[1][part]) / parts
        loss.backward()
    optimizer.step()


def curve(parts: int = 1, dtype: torch.dtype | None = None, inside: bool = False) -> list[dict[str, float]]:
    """Observations of a small loop; with `inside`, taken while gradients are still adding up."""
    model = small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    watch = af.Watch(model, train=TRAIN, every=5, measures=MEASURES)
    for step in range(21):
        watch(step)
        if inside:
            nn.functional.cross_entropy(model(TRAIN[0]), TRAIN[1]).backward()
            before = [p.grad.clone() for p in model.parameters()]
            watch(step)
            assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))
        step_of(model, optimizer, step, parts, dtype)
    return watch.recorder.values


def test_gradients_that_add_up_give_the_curve_of_one_large_minibatch():
    whole, accumulated = curve(), curve(parts=4, inside=True)
    assert len(whole) == len(accumulated) == 5
    for ours, theirs in zip(accumulated, whole, strict=True):
        assert ours == {name: pytest.approx(value, rel=1e-3, abs=1e-5) for name, value in theirs.items()}


def test_a_loop_in_bfloat16_is_watched_in_float32_and_its_curve_is_near():
    plain, half = curve(), curve(dtype=torch.bfloat16)
    assert half[0] == plain[0]  # the same weights: autocast does not reach an observation
    assert half[-1] != plain[-1]
    for ours, theirs in zip(half, plain, strict=True):
        assert ours["train/loss"] == pytest.approx(theirs["train/loss"], rel=0.02)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.compile's own
def test_a_compiled_model_trains_as_before_under_a_watch():
    model, plain = torch.compile(small(), backend="eager"), small()
    watches = []
    for each in (model, plain):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        watches.append(af.Watch(each, train=TRAIN, every=2, measures=MEASURES))
        for step in range(7):
            watches[-1](step)
            step_of(each, optimizer, step)
    assert watches[0].recorder.values == watches[1].recorder.values


def test_a_killed_loop_goes_on_from_its_own_checkpoint_with_the_rows_of_one_that_was_not(tmp_path):
    def loop(folder, steps, keep_at=None, kept=None):
        model = small()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        watch = af.Watch(model, train=TRAIN, every=3, out=folder, measures=MEASURES)
        if kept:
            model.load_state_dict(kept["model"])
            optimizer.load_state_dict(kept["optimizer"])
            watch.load_state_dict(kept["watch"])
        saved = None
        for step in steps:
            watch(step)
            step_of(model, optimizer, step)
            if step == keep_at:
                torch.save(
                    {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "watch": watch.state_dict()},
                    folder.parent / "kept.pt",
                )
                saved = torch.load(folder.parent / "kept.pt", weights_only=True)
        return watch, saved

    whole, _ = loop(tmp_path / "whole", range(20))
    whole.close()
    killed, kept = loop(tmp_path / "run", range(14), keep_at=7)
    killed.recorder.store.close()  # the process is gone: nobody said how it ended
    again, _ = loop(tmp_path / "run", range(8, 20), kept=kept)
    again.close()
    ours, theirs = (af.open(tmp_path / name).observations for name in ("run", "whole"))
    assert ours["step"].values.tolist() == [0, 3, 6, 9, 12, 15, 18]
    for name in theirs.data_vars:
        assert (ours[name].values == theirs[name].values).all(), name
