"""A watch in a PyTorch loop: it sees what is there, changes nothing, and never ends somebody's training."""

import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import afterfit as af
from afterfit import measures as m
from afterfit.parts import SpecError
from afterfit.spec import Logarithmic, Threshold
from afterfit.store import FolderMismatch, StoreError
from afterfit.views import View

CLASSES, SIZE = 4, 12


def data(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of four classes that overlap."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    centres = torch.eye(CLASSES, SIZE) * 2
    return centres[labels] + torch.randn(n, SIZE, generator=draw), labels


TRAIN, TEST = data(96, 0), data(64, 1)


def network(seed: int = 0) -> nn.Sequential:
    """With batch norm and dropout, whose states a careless observer would change."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(SIZE, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, CLASSES))


def train(model: nn.Module, steps: int, each=lambda step: None) -> list[float]:
    """A loop of somebody's own; the losses it saw."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    losses = []
    model.train()
    for step in range(steps):
        each(step)
        chosen = torch.randint(0, len(TRAIN[0]), (16,))
        loss = nn.functional.cross_entropy(model(TRAIN[0][chosen]), TRAIN[1][chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_watched_training_is_the_same_to_the_last_bit_as_one_that_is_not():
    torch.manual_seed(5)
    plain_model = network()
    plain = train(plain_model, 40)
    torch.manual_seed(5)
    model = network()
    watch = af.Watch(
        model, train=DataLoader(TensorDataset(*TRAIN), 32, shuffle=True), test=TEST, every=10, layers=["0"]
    )
    assert train(model, 40, watch) == plain
    for (name, ours), theirs in zip(model.state_dict().items(), plain_model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    assert watch.recorder.steps == [0, 10, 20, 30]


def test_modes_gradients_hooks_and_random_numbers_are_as_before():
    model = network()
    model[1].eval()  # a frozen batch norm stays so
    nn.functional.cross_entropy(model(TRAIN[0]), TRAIN[1]).backward()
    watch = af.Watch(model, train=TRAIN, every=1)
    modes = [module.training for module in model.modules()]
    gradients = [p.grad.clone() for p in model.parameters()]
    buffers = [b.clone() for b in model.buffers()]
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    assert watch(0) is not None
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert all(map(torch.equal, model.buffers(), buffers))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_is_observed_is_what_the_measures_say_of_the_model():
    model = network().eval()
    names = [
        "loss",
        "accuracy",
        "rnc1",
        "nc2",
        "relative_flatness",
        "weight_norm",
        "spectral_entropy@0",
        "nc1[definition=pinv]",
    ]
    watch = af.Watch(model, train=TRAIN, test=TEST, measures=names, layers=["0"])
    seen = watch(0)
    head = model[-1]
    for split, (inputs, labels) in (("train", TRAIN), ("test", TEST)):
        with torch.no_grad():
            features, logits = model[:-1](inputs), model(inputs)
            below = model[0](inputs)
        assert seen[f"{split}/rnc1"] == pytest.approx(float(m.rnc1(features, labels)), rel=1e-5)
        assert seen[f"{split}/nc1[definition=pinv]"] == pytest.approx(
            float(m.nc1(features, labels, definition="pinv")), rel=1e-3
        )
        assert seen[f"{split}/accuracy"] == float((logits.argmax(1) == labels).float().mean())
        assert seen[f"{split}/loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
        flatness = m.relative_flatness(features, head.weight.detach(), head.bias.detach())
        assert seen[f"{split}/relative_flatness"] == pytest.approx(float(flatness), rel=1e-5)
        assert seen[f"{split}/spectral_entropy@0"] == pytest.approx(float(m.spectral_entropy(below)), rel=1e-5)
    norm = torch.cat([p.detach().flatten() for p in model.parameters()]).norm()
    assert seen["weight_norm"] == pytest.approx(float(norm), rel=1e-6)


def test_the_head_is_the_linear_layer_that_is_called_last_not_the_one_that_was_made_last():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.classifier = nn.Linear(8, CLASSES)
            self.body = nn.Linear(SIZE, 8)

        def forward(self, x):
            return {"logits": self.classifier(torch.relu(self.body(x)))}  # a mapping, as some models give

    watch = af.Watch(Odd(), train=TRAIN, every=1)
    assert watch.source.head == "classifier"
    assert watch(0)["train/accuracy"] <= 1


def test_tied_and_frozen_parameters_are_counted_once_and_not_at_all():
    model = network()
    model[0].weight.requires_grad_(False)
    seen = af.Watch(model, train=TRAIN, measures=["weight_norm"])(0)
    trained = torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad]).norm()
    assert seen["weight_norm"] == pytest.approx(float(trained), rel=1e-6)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 5)
            self.out = nn.Linear(5, 7, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, tokens):
            return self.out(self.embedding(tokens))

    tied, tokens = Tied(), torch.arange(28).reshape(4, 7) % 7
    watch = af.Watch(tied, train=(tokens, tokens.roll(-1, 1)), measures=["weight_norm", "accuracy"])
    seen = watch(0)
    assert seen["weight_norm"] == pytest.approx(float(tied.out.weight.detach().norm()), rel=1e-6)
    with torch.no_grad():
        hits = (tied(tokens).argmax(-1) == tokens.roll(-1, 1)).float().mean()
    assert seen["train/accuracy"] == pytest.approx(float(hits))


def test_places_with_the_label_minus_100_are_not_counted():
    model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 7))
    tokens = torch.arange(30).reshape(5, 6) % 7
    labels = torch.where(torch.arange(6) < 4, tokens, -100)
    seen = af.Watch(model, train=(tokens, labels), measures=["accuracy"])(0)
    with torch.no_grad():
        hits = (model(tokens).argmax(-1) == tokens)[:, :4].float().mean()
    assert seen["train/accuracy"] == pytest.approx(float(hits))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "compile"])
def test_wrapped_models_are_looked_through(wrap):
    model = network()
    plain = af.Watch(model, train=TRAIN)(0)
    assert dict(af.Watch(wrap(model), train=TRAIN)(0)) == dict(plain)


def test_half_precision_is_watched_as_what_it_is_and_autocast_does_not_reach_the_observation():
    model = network()
    plain = dict(af.Watch(model, train=TRAIN)(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert dict(af.Watch(model, train=TRAIN)(0)) == plain
    half = network().to(torch.bfloat16)
    seen = af.Watch(half, train=(TRAIN[0].to(torch.bfloat16), TRAIN[1]))(0)
    assert seen["train/rnc1"] == pytest.approx(plain["train/rnc1"], rel=0.05)


def test_a_function_calls_models_that_take_more_than_one_input():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(SIZE, CLASSES)

        def forward(self, a, *, scale):
            return self.out(a * scale)

    batches = [{"a": TRAIN[0][:40], "target": TRAIN[1][:40]}, {"a": TRAIN[0][40:], "target": TRAIN[1][40:]}]
    watch = af.Watch(Two(), train=batches, forward=lambda model, batch: model(batch["a"], scale=2.0), probe=1_000)
    assert watch.source.samples["train"].count == 96
    assert watch(0)["train/nc1"] > 0


def test_the_examples_are_the_same_in_every_observation_and_no_more_than_asked_for():
    watch = af.Watch(network().eval(), train=TensorDataset(*TRAIN), probe=30, every=1)
    assert watch.source.samples["train"].count == 30
    assert dict(watch(0)) == dict(watch(1))


def test_observations_follow_the_schedule_and_what_is_due_can_be_asked():
    model = network()
    watch = af.Watch(model, train=TRAIN, every=Logarithmic(per_decade=1), measures=["loss"])
    came = [step for step in range(150) if (due := watch.due(step)) | (watch(step) is not None) and due]
    assert came == [0, 1, 10, 100]


def test_numbers_of_ones_own_are_kept_beside():
    watch = af.Watch(network(), train=TRAIN, every=5)
    assert watch(0, learning_rate=0.5)["learning_rate"] == 0.5


# What a folder keeps


def test_a_folder_is_like_any_runs(tmp_path):
    model = network()
    with af.Watch(
        model, train=TRAIN, test=TEST, every=20, out=tmp_path / "run", seed=3, varied={"weight_decay": 0.1}
    ) as watch:
        train(model, 100, watch)
    runs = af.open(tmp_path / "run")
    assert runs.observations["step"].values.tolist() == [0, 20, 40, 60, 80]
    assert float(runs.observations["seed"][0]) == 3
    assert float(runs.observations["weight_decay"][0]) == 0.1
    assert str(runs.observations["status"].values[0]) == "finished"
    assert {"memorised", "generalised"} <= set(runs.events().columns)
    assert runs.report().exists()


def test_a_resumed_loop_goes_on_in_the_same_folder_and_drops_what_comes_again(tmp_path):
    folder, model = tmp_path / "run", network()
    watch = af.Watch(model, train=TRAIN, every=10, out=folder)
    train(model, 25, watch)
    state = watch.state_dict()
    train(model, 10, lambda step: watch(25 + step))
    assert watch.recorder.steps == [0, 10, 20, 30]
    watch.close("stopped")
    again = af.Watch(model, train=TRAIN, every=10, out=folder)
    assert again.recorder.steps == [0, 10, 20, 30]
    again.load_state_dict(state)
    assert again.recorder.steps == [0, 10, 20]
    for step in range(25, 45):
        again(step)
    again.close()
    assert af.open(folder).observations["step"].values.tolist() == [0, 10, 20, 30, 40]


def test_a_loop_that_goes_back_without_a_word_replaces_what_was_seen_later(tmp_path):
    watch = af.Watch(network(), train=TRAIN, every=10, out=tmp_path / "run")
    for step in (*range(31), *range(15, 26)):
        watch(step)
    assert watch.recorder.steps == [0, 10, 20]
    watch.close()
    assert af.open(tmp_path / "run").observations["step"].values.tolist() == [0, 10, 20]


def test_another_watch_cannot_go_on_where_the_rules_were_others(tmp_path):
    af.Watch(network(), train=TRAIN, out=tmp_path / "run").close()
    with pytest.raises(FolderMismatch, match="holds another run"):
        af.Watch(network(), train=TRAIN, out=tmp_path / "run", events=[])


# What goes wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "5"}, r"^head = '5': "),
        ({"head": "2"}, r"^head = '2 \(ReLU\)': must be a linear layer"),
        ({"layers": ["body"]}, r"^layers = 'body': "),
        ({"train": iter([TRAIN])}, r"^train = 'list_iterator': can be walked only once"),
        ({"train": 7}, r"^train = 'int': must be a DataLoader"),
        ({"train": None}, r"^train = None: is needed"),
        ({"train": (TRAIN[0], TRAIN[1] + 1)}, r"^train = 'labels 1 to 4': labels must lie in 0 to 3"),
        ({"train": (TRAIN[0], TRAIN[1].float())}, r"^train = 'torch.float32': labels must be classes as integers"),
        ({"train": [{"x": TRAIN[0]}]}, r"^train = 'dict': has none of labels"),
        ({"budget": 3}, r"^budget = 3: must lie between 0 and 1"),
        ({"measures": ["rnc2"]}, r"^measures = 'rnc2': did you mean 'nc2'"),
        ({"every": 0}, r"^steps = 0"),
        ({"loss": "l1"}, r"^loss = 'l1'"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_training(options, message):
    with pytest.raises(SpecError, match=message):
        af.Watch(network(), **{"train": TRAIN, **options})


def test_an_observation_that_fails_is_reported_once_and_the_training_goes_on():
    model = network()

    def broken(features):
        raise RuntimeError("no such luck")

    watch = af.Watch(model, train=TRAIN, every=1, measures={"broken": broken})
    with pytest.warns(UserWarning, match="the observation at step 0 failed") as caught:
        train(model, 5, watch)
    assert [warning.filename for warning in caught] == [__file__]  # the loop's own line
    assert "no such luck" in str(watch.status())
    strict = af.Watch(model, train=TRAIN, every=1, measures={"broken": broken}, strict=True)
    with pytest.raises(RuntimeError, match="no such luck"):
        strict(0)


def test_a_network_that_diverged_is_told_and_the_training_goes_on(tmp_path):
    model = network()
    watch = af.Watch(model, train=TRAIN, test=TEST, every=1, out=tmp_path / "run")
    watch(0)
    with torch.no_grad():
        model[-1].weight.fill_(float("nan"))
    with pytest.warns(UserWarning, match="are not numbers") as caught:
        seen = watch(1)
    assert [warning.filename for warning in caught] == [__file__]
    assert np.isnan(seen["train/loss"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch(2)
    assert watch.status().phase.name == "diverging"
    watch.close("diverged")


def test_an_event_does_not_pass_over_what_is_no_number_live_or_resumed(tmp_path):
    """A NaN breaks three in a row: live, after going back, in the folder opened again, and in the analysis."""
    rule = Threshold(name="high", measure="mine", at_least=1.0, sustained=3)
    course = [1.0, 1.0, float("nan"), 1.0, 1.0, 1.0, 1.0]
    watch = af.Watch(network(), train=TRAIN, every=1, measures=["loss"], events=[rule], out=tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step, value in enumerate(course):
            watch(step, mine=value)
    assert watch.recorder.event("high") == 3
    watch.resume(5)  # goes over what is left again
    assert watch.recorder.event("high") == 3
    watch.close()
    again = af.Watch(network(), train=TRAIN, every=1, measures=["loss"], events=[rule], out=tmp_path / "run")
    assert again.recorder.event("high") == 3
    again.close()
    assert af.open(tmp_path / "run").events().loc[0, "high"] == 3


def test_a_model_that_returns_a_mapping_is_watched_by_what_its_head_reads():
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            return {"logits": self.net(x)}

    torch.manual_seed(0)
    named = Named()
    assert dict(af.Watch(named, train=TRAIN)(0)) == dict(af.Watch(named.net, train=TRAIN)(0))


# Other frameworks


def test_views_of_ones_own_need_no_model(tmp_path):
    draw = np.random.default_rng(0)
    watch = af.Watch(measures=["rnc1", "accuracy"], out=tmp_path / "run")
    features, weight, labels = draw.normal(size=(30, 5)), draw.normal(size=(3, 5)), np.arange(30) % 3
    view = View(
        inputs=None, labels=labels, features=features, logits=features @ weight.T, head_weight=weight, head_bias=None,
        num_classes=3,
    )  # fmt: skip
    seen = watch.observe(100, train=view, test=view)
    assert seen["train/rnc1"] == pytest.approx(float(m.rnc1(features, labels)))
    with pytest.raises(SpecError, match=r"^model = None: was not given"):
        watch(101)
    watch.close()
    assert af.open(tmp_path / "run").observations["step"].values.tolist() == [100]


def test_a_row_that_a_full_disk_did_not_take_is_written_with_the_next(tmp_path, monkeypatch):
    watch = af.Watch(network(), train=TRAIN, every=1, measures=["loss"], out=tmp_path / "run")
    watch(0)
    store = watch.recorder.store
    assert store is not None
    append = store.append

    def full(rows):
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "append", full)
    for step in (1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert watch(step) is None
    assert "the disk is full" in str(watch.status())
    monkeypatch.setattr(store, "append", append)
    watch(3)
    watch.close()
    kept = af.open(tmp_path / "run").observations
    assert kept["step"].values.tolist() == watch.recorder.steps == [0, 1, 2, 3]
    assert kept["train/loss"].values[0].tolist() == [values["train/loss"] for values in watch.recorder.values]
