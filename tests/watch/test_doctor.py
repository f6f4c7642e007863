"""`Watch.doctor` on PyTorch loops of which it is known what is wrong with them."""

import math

import pytest
import torch
from torch import nn

import afterfit as af
from afterfit.parts import SpecError
from afterfit.watch.doctor import usual_norm
from afterfit.watch.doctor_optimizer import kind_of

CLASSES, SIZE = 4, 12


def data(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, SIZE, generator=draw), torch.arange(n) % CLASSES


TRAIN, TEST = data(200, 0), data(400, 1)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(SIZE, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, CLASSES))


def diagnosed(model=None, optimizer=None, planned_steps=None, *, train=TRAIN, test=TEST, **options):
    watch = af.Watch(model or network(), train=train, test=test, **options)
    return watch.doctor(optimizer, planned_steps)


def severities(diagnosis):
    return {finding.check: finding.severity for finding in diagnosis}


# Weight decay


def test_a_loop_as_the_papers_have_it_has_no_warning():
    model = network()
    found = diagnosed(model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1.0), 10_000)
    assert not found.warnings
    assert "η λ × 10,000 steps = 10 (η = 0.001, λ = 1)" in found["decay clock"].found
    assert "4.54e-03 %" in found["decay clock"].found or "0.00454 %" in found["decay clock"].found  # e⁻¹⁰


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda p: torch.optim.AdamW(p), "decoupled"),
        (lambda p: torch.optim.Adam(p, weight_decay=0.1), "l2 through moments"),
        (lambda p: torch.optim.Adam(p, weight_decay=0.1, decoupled_weight_decay=True), "decoupled"),
        (lambda p: torch.optim.NAdam(p, weight_decay=0.1), "l2 through moments"),
        (lambda p: torch.optim.RMSprop(p, weight_decay=0.1), "l2 through moments"),
        (lambda p: torch.optim.Adafactor(p, weight_decay=0.1), "decoupled"),
        (lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1), "l2"),
        (lambda p: torch.optim.LBFGS(p), None),
    ],
)
def test_how_an_optimiser_decays_is_what_a_step_without_gradient_does(make, kind):
    weight = nn.Parameter(torch.tensor([1.0, 100.0]))
    optimizer = make([weight])
    assert kind_of(optimizer) == kind
    if kind is None:
        return
    weight.grad = torch.zeros(2)
    optimizer.step()
    shrunk = weight.detach() / torch.tensor([1.0, 100.0])
    # Decoupled or plain: by one factor. Through moments: by about the same distance, whatever the size.
    alike = torch.isclose(shrunk[0], shrunk[1], rtol=1e-6)
    assert bool(alike) is (kind != "l2 through moments")


def test_l2_through_adams_moments_is_a_warning_and_has_no_clock():
    model = network()
    found = diagnosed(model, torch.optim.Adam(model.parameters(), weight_decay=0.1), 1_000)
    assert found["weight decay"].severity == "warning"
    assert "AdamW" in found["weight decay"].change
    assert "decay clock" not in found


def test_no_decay_is_a_warning():
    model = network()
    found = diagnosed(model, torch.optim.Adam(model.parameters()), 1_000)
    assert found["weight decay"].found == "Adam has no weight decay (λ = 0)"
    assert "decay clock" not in found
    assert "what is decayed" not in found


def test_momentum_makes_the_clock_faster():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.001)
    assert diagnosed(model, optimizer, 10_000)["decay clock"].severity == "ok"  # .01/(1 − .9) × .001 × 10,000 = 1
    short = diagnosed(model, optimizer, 9_000)["decay clock"]
    assert short.severity == "warning"
    assert "train for 10,000 steps or more, or raise λ to 0.00111" in short.change


def test_without_planned_steps_the_clock_is_told_and_not_judged():
    model = network()
    found = diagnosed(model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1))["decay clock"]
    assert found.severity == "note"
    assert "1/(ηλ) is 10,000 steps" in found.found


def test_groups_are_told_apart():
    model = network()
    small = [p for p in model.parameters() if p.ndim < 2]
    large = [p for p in model.parameters() if p.ndim > 1]
    split = [{"params": large, "weight_decay": 0.5}, {"params": small, "weight_decay": 0.0}]
    found = diagnosed(model, torch.optim.AdamW(split, lr=1e-3), 4_000)
    assert "decay of biases and norms" not in found
    assert severities(found)["what is decayed"] == "ok"
    assert "λ = 0.5" in found["weight decay"].found
    wrong = [{"params": small, "weight_decay": 0.5}, {"params": large, "weight_decay": 0.0}]
    found = diagnosed(model, torch.optim.AdamW(wrong, lr=1e-3), 4_000)
    assert "0 of 2 weight matrices are decayed" in found["what is decayed"].found
    assert found["what is decayed"].severity == "warning"
    assert "3 tensors" not in found["decay of biases and norms"].found
    assert "4 tensors (2 of biases, 2 of norms): 0.bias, 1.weight, 1.bias and 1 more" in str(found)


def test_a_head_without_decay_is_a_warning_and_another_small_matrix_a_note():
    model = nn.Sequential(nn.Linear(SIZE, 2), nn.Linear(2, 64), nn.Linear(64, CLASSES))
    for bare, severity in ((2, "warning"), (0, "note")):
        rest = [p for i, layer in enumerate(model) if i != bare for p in layer.parameters()]
        groups = [{"params": rest, "weight_decay": 0.5}, {"params": model[bare].parameters(), "weight_decay": 0.0}]
        found = diagnosed(model, torch.optim.AdamW(groups), 4_000)["what is decayed"]
        assert (found.severity, f"{bare}.weight" in found.found) == (severity, True)


def test_parameters_that_no_optimiser_moves_are_named_and_frozen_ones_are_not():
    model = network()
    found = diagnosed(model, torch.optim.AdamW(model[3].parameters()), 1_000)["parameters"]
    assert found.found == "4 of 6 trained tensors are not in the optimiser: 0.weight, 0.bias, 1.weight and 1 more"
    for module in model[:3]:
        module.requires_grad_(False)
    assert diagnosed(model, torch.optim.AdamW(model[3].parameters()), 1_000)["parameters"].severity == "ok"
    of_another = torch.optim.AdamW(network().parameters())
    assert "2 of 2 trained tensors" in diagnosed(model, of_another, 1_000)["parameters"].found


def test_what_wraps_an_optimiser_is_looked_through():
    model = network()

    class Wrapper:
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.2)

    assert diagnosed(model, Wrapper())["weight decay"].found == "AdamW with λ = 0.2"


# The start


def test_the_usual_norm_is_what_pytorch_draws():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(50, 64, padding_idx=0), nn.Linear(64, 256), nn.LayerNorm(256), nn.Conv2d(8, 64, 3, groups=2),
        nn.MultiheadAttention(64, 4), nn.Linear(256, 100, bias=False),
    )  # fmt: skip
    actual, expected, unknown = usual_norm(model)
    # Σ θ² over 50,000 independent entries: its spread is below 1 %
    assert actual == pytest.approx(expected, rel=0.02)
    assert unknown == 0
    norm = math.sqrt(sum(float(p.detach().square().sum()) for p in model.parameters()))
    assert actual == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_start_that_was_scaled_is_found_also_after_training_began(scale):
    model = network()
    with torch.no_grad():
        for p in (*model[0].parameters(), *model[3].parameters()):
            p.mul_(scale)
        model[1].weight.mul_(scale)
    watch = af.Watch(model, train=TRAIN, test=TEST, every=1)
    before = watch.doctor()["initial norm"]
    assert before.severity == ("note" if scale > 2 else "ok")
    assert float(before.found.split(" times")[0]) == pytest.approx(scale, rel=0.1)
    watch(0)
    with torch.no_grad():
        model[0].weight.mul_(0.1)
    watch(1)
    assert watch.doctor()["initial norm"].found == before.found


def test_of_layers_of_ones_own_nothing_is_claimed():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(100 * torch.ones(SIZE))
            self.out = nn.Linear(SIZE, CLASSES)

        def forward(self, x):
            return self.out(self.scale * x)

    assert "1 tensors of other kinds left out" in diagnosed(Own())["initial norm"].found
    watch = af.Watch(Own(), train=TRAIN, every=1)
    watch(0), watch(1)
    assert "initial norm" not in watch.doctor()


# Data


def test_examples_in_both_splits_are_counted():
    both = torch.cat([TEST[0][:391], TRAIN[0][:9]]), torch.cat([TEST[1][:391], TRAIN[1][:9]])
    found = diagnosed(test=both)["leakage"]
    assert found.severity == "warning"
    assert found.found.startswith("9 of 400 test inputs looked at, against 200 training inputs, are training inputs")
    one = torch.cat([TEST[0][:399], TRAIN[0][:1]]), TEST[1]
    assert diagnosed(test=one)["leakage"].severity == "note"
    assert diagnosed()["leakage"].severity == "ok"


def test_mappings_are_looked_at_without_their_labels():
    def batches(inputs, labels):
        return [{"x": inputs[i : i + 50], "mask": inputs[i : i + 50] > 0, "labels": labels[i : i + 50]}
                for i in range(0, len(labels), 50)]  # fmt: skip

    forward = lambda model, batch: model(batch["x"])  # noqa: E731
    relabelled = batches(TRAIN[0], (TRAIN[1] + 1) % CLASSES)
    found = diagnosed(train=batches(*TRAIN), test=relabelled, forward=forward)
    assert found["leakage"].found.startswith("200 of 200")


def test_one_input_with_two_labels_is_found():
    inputs = TRAIN[0].clone()
    inputs[7] = inputs[4]  # labels 3 and 0
    inputs[8] = inputs[12]  # both 0
    found = diagnosed(train=(inputs, TRAIN[1]))["contradictory labels"]
    assert (found.severity, found.found[:8]) == ("warning", "2 of 200")


def test_a_class_that_hardly_occurs_is_found_and_one_that_is_missing_by_chance_is_not():
    labels = torch.where(torch.arange(200) < 3, torch.tensor(3), torch.arange(200) % 3)
    assert diagnosed(train=(TRAIN[0], labels))["class balance"].severity == "note"
    wide = nn.Linear(SIZE, 150)
    many = torch.arange(200) % 100  # 50 of 150 classes missing, where 1.3 examples a class were to be expected
    assert diagnosed(wide, train=(TRAIN[0], many))["class balance"].severity == "ok"


def test_places_that_do_not_count_are_not_counted():
    tokens = torch.arange(300).reshape(50, 6) % 7
    labels = torch.where(torch.arange(6) < 4, tokens, -100)
    found = diagnosed(nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 7)), train=(tokens, labels), test=None)
    assert found["class balance"].found.startswith("28 to 29 training examples a class")
    assert found["test data"].severity == "warning"


def test_few_test_examples_are_said_to_tell_little():
    # 1.96 √(1/4 / 400) = .049
    assert diagnosed()["test examples"].severity == "ok"
    few = diagnosed(test=(TEST[0][:100], TEST[1][:100]))["test examples"]
    assert (few.severity, "± 0.098" in few.found) == ("note", True)
    assert "385 test examples" in few.change


# Arithmetic


def test_losses_that_rounding_took_are_found_in_the_dtype_of_the_head():
    model = nn.Sequential(nn.Linear(CLASSES, CLASSES, bias=False))
    inputs, labels = torch.eye(CLASSES)[torch.arange(40) % CLASSES], torch.arange(40) % CLASSES
    with torch.no_grad():
        model[0].weight.copy_(8 * torch.eye(CLASSES))  # 3 e⁻⁸ = .001: above half of float32's epsilon, not bfloat16's
    found = diagnosed(model, train=(inputs, labels), test=None)["softmax collapse"]
    assert (found.severity, found.found[:3]) == ("ok", "0 %")
    train = inputs.to(torch.bfloat16), labels
    half = diagnosed(model.to(torch.bfloat16), train=train, test=None)["softmax collapse"]
    assert (half.severity, half.found[:5]) == ("warning", "100 %")
    assert "in bfloat16" in half.found
    assert "softmax collapse" not in diagnosed(network(), loss="squared_error")


# As a whole


def test_the_doctor_changes_nothing_and_reads_the_run():
    model = network()
    watch = af.Watch(model, train=TRAIN, test=TEST, every=5)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in range(30):
        watch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(TRAIN[0]), TRAIN[1]).backward()
        optimizer.step()
    weights, modes = [p.clone() for p in model.parameters()], [module.training for module in model.modules()]
    state, observed = torch.get_rng_state(), list(watch.recorder.steps)
    found = watch.doctor(optimizer, 1_000)
    assert found["phase"].found.startswith("fitting")
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert watch.recorder.steps == observed


def test_what_cannot_be_judged_is_refused_in_a_line():
    with pytest.raises(SpecError, match=r"^optimizer = 'int': must be a PyTorch optimiser"):
        diagnosed(optimizer=3)
    with pytest.raises(SpecError, match=r"^planned_steps = 0: must be above 0"):
        diagnosed(planned_steps=0)
    assert severities(diagnosed())["weight decay"] == "note"


def test_views_of_ones_own_are_judged_by_what_was_observed():
    watch = af.Watch(measures=["accuracy"])
    found = watch.doctor()
    assert [finding.found for finding in found] == ["unknown: nothing was observed yet"]
