"""Interventions change what they say, when they say, and nothing else; controls share all but the treatment."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afterfit import interventions as iv
from afterfit import measures as m
from afterfit.engine.members import Batch, plan
from afterfit.engine.pytree import stack
from afterfit.interventions.functions import total_norm
from afterfit.interventions.representations import cycle
from afterfit.models import Transformer
from afterfit.parts import SpecError, part
from afterfit.spec import SGD, Experiment, Minibatch, Threshold

STRONG = [
    iv.CollapsePenalty(strength=10), iv.FlatnessPenalty(strength=-0.01), iv.EntropyPenalty(strength=1.0, target=0.2),
    iv.Mixing(strength=0.5), iv.Mixing(strength=0.5, layer="hidden0"), iv.NormalizedFeatures(),
    iv.LabelNoise(strength=0.5, num_classes=7), iv.Grokfast(), iv.GrokfastWindow(window=3), iv.PerpendicularGradient(),
    iv.NormCap(cap=1.0), iv.ConstantNorm(norm=2.0), iv.NormTrajectory(norms=(4.0, 1.0)), iv.LearningRate(value=0.03),
    iv.WeightDecay(value=5.0),
]  # fmt: skip


def named(intervention) -> str:
    return type(intervention).__name__


@pytest.fixture(scope="module")
def curves(trainers, members, tmp_path_factory):
    """The parameters' course of an experiment, one step at a time: (steps + 1) dictionaries."""

    def of(experiment: Experiment, steps: int, seed: int = 3):
        (member,) = members({}, experiment=experiment, seeds=[seed])
        trainer = trainers.of(Batch(0, (member,)))
        stacked, seeds = stack([experiment]), jnp.asarray([seed], jnp.uint32)
        rows, state = trainer.rows([experiment], [seed]), trainer.start(stacked, seeds)
        found = [trainer.named(jax.tree.map(lambda leaf: np.asarray(leaf[0]), state.params))]
        for step in range(steps):
            state = trainer.advance(stacked, seeds, rows, state, step, step + 1, trainer.inputs, trainer.labels)
            found.append(trainer.named(jax.tree.map(lambda leaf: np.asarray(leaf[0]), state.params)))
        return found

    return of


MEASURES = ("train/loss", "test/loss", "weight_norm")


@pytest.fixture(scope="module")
def plain(members, with_fields, tmp_path_factory, once):
    """What a member does without interventions, over 100 steps."""
    return once(members({}, experiment=with_fields(steps=100)), tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("intervention", STRONG, ids=named)
def test_it_changes_nothing_at_strength_0_nor_before_its_first_step_and_much_after(
    train, members, with_fields, intervention, plain
):
    acting = replace(intervention, when=iv.When(begin=51))
    none = {"interventions.0.strength": 0.0} if hasattr(intervention, "strength") else {}
    experiment = with_fields(steps=100, interventions=(acting,))
    both = train(members({}, none, experiment=experiment, seeds=[0, 0]))
    for measure in MEASURES:
        wanted = plain.curve(0, measure)
        np.testing.assert_allclose(both.curve(0, measure)[:6], wanted[:6], rtol=1e-5)
        if none:
            np.testing.assert_allclose(both.curve(1, measure), wanted, rtol=1e-5)
    assert abs(both.curve(0, "train/loss")[6] / plain.curve(0, "train/loss")[6] - 1) > 1e-4


def test_after_its_end_the_step_is_the_plain_one(curves, with_fields):
    # plain gradient descent has no memory, so what is left after the end is the plain step from another place
    experiment = with_fields(optimizer=SGD(learning_rate=0.1), minibatch=Minibatch(size=None))
    capped = curves(replace(experiment, interventions=(iv.NormCap(cap=0.5, when=iv.When(until=3)),)), 4)
    norms = [np.linalg.norm(step["head.weight"]) for step in capped]
    np.testing.assert_allclose(norms[1:4], 0.5, rtol=1e-5)
    assert norms[4] > 0.5001


@part
class _Own(iv.Intervention):
    """A user's: gradients the other way round."""

    share: float = 1.0

    def gradients(self, gradients, parameters, memory, moment):
        return {name: g * jnp.where(moment.acts, -self.share, 1.0) for name, g in gradients.items()}, memory


def test_one_of_the_users_own_and_two_at_once_need_no_new_code(curves, with_fields):
    experiment = with_fields(optimizer=SGD(learning_rate=0.1), minibatch=Minibatch(size=None))
    plain, turned = curves(experiment, 1), curves(replace(experiment, interventions=(_Own(share=1.0),)), 1)
    both = curves(replace(experiment, interventions=(_Own(share=1.0), _Own(share=1.0))), 1)
    for name, start in plain[0].items():
        np.testing.assert_allclose(turned[1][name] - start, start - plain[1][name], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(both[1][name], plain[1][name], rtol=1e-6)


@pytest.fixture(scope="module")
def by_hand(trainers, members):
    """The full-batch gradient of an experiment's loss plus a term of (features, labels, head weight, head bias)."""

    def gradient(experiment: Experiment, term, seed: int = 3):
        (member,) = members({}, experiment=experiment, seeds=[seed])
        trainer = trainers.of(Batch(0, (member,)))
        chosen, _ = experiment.task.split(trainer.table, seed)
        inputs, labels = trainer.table.inputs[chosen], trainer.table.labels[chosen]
        one_hot = jax.nn.one_hot(inputs, 7).reshape(len(inputs), -1)

        def objective(p):
            hidden = jax.nn.relu(one_hot @ p["hidden.0.weight"].T + p["hidden.0.bias"])
            logits = hidden @ p["head.weight"].T + p["head.bias"]
            loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])
            return loss + term(hidden, labels, p["head.weight"], p["head.bias"])

        start = trainer.start(stack([experiment]), jnp.asarray([seed], jnp.uint32)).params
        return jax.grad(objective)(trainer.named(jax.tree.map(lambda leaf: leaf[0], start)))

    return gradient


def doubt(logits):
    return 1 - jnp.sum(jax.nn.softmax(logits) ** 2, axis=1)


@pytest.mark.parametrize(("intervention", "term"), [
    (iv.CollapsePenalty(strength=-0.02), lambda z, y, w, b: -0.02 * m.cdnv(z, y, num_classes=7)),
    (iv.CollapsePenalty(strength=0.3, measure="rnc1"), lambda z, y, w, b: 0.3 * m.rnc1(z, y, num_classes=7)),
    (iv.FlatnessPenalty(strength=0.1, measure="exact", normalize=False, temperature=1.0),
     lambda z, y, w, b: 0.1 * m.relative_flatness(z, w, b)),
    (iv.FlatnessPenalty(strength=-0.1, temperature=2.0),  # written out, as it is published
     lambda z, y, w, b: -0.1 * jnp.sum(w**2) * jnp.mean(
         doubt((z / jnp.linalg.norm(z, axis=1, keepdims=True) @ w.T + b) / 2))),
    (iv.EntropyPenalty(strength=2.0, target=0.3), lambda z, y, w, b: 2.0 * (m.spectral_entropy(z) - 0.3) ** 2),
], ids=["suppress", "rnc1", "exact", "bound", "entropy"])  # fmt: skip
def test_a_penalty_adds_its_gradient(curves, by_hand, with_fields, intervention, term):
    experiment = with_fields(optimizer=SGD(learning_rate=0.1), minibatch=Minibatch(size=None))
    course = curves(replace(experiment, interventions=(intervention,)), 1)
    for name, gradient in by_hand(experiment, term).items():
        np.testing.assert_allclose(course[1][name] - course[0][name], -0.1 * gradient, rtol=2e-3, atol=2e-6)


@pytest.mark.parametrize("n", [2, 3, 17])
def test_partners_are_one_cycle_through_all_samples(n):
    partners = np.asarray(cycle(jax.random.key(n), n))
    seen, at = [], 0
    for _ in range(n):
        seen.append(at)
        at = int(partners[at])
    assert at == 0
    assert sorted(seen) == list(range(n))


def test_noisy_labels_are_the_same_at_every_step_and_as_many_as_were_asked_for():
    noise, rows, labels = iv.LabelNoise(strength=0.3, num_classes=5), jnp.arange(4_000), jnp.zeros(4_000, jnp.int32)
    moments = [iv.Moment(step, jnp.asarray(True), jax.random.key(step), jax.random.key(9)) for step in (0, 7)]
    first, later = (np.asarray(noise.labels(labels, rows, moment)) for moment in moments)
    np.testing.assert_array_equal(first, later)
    # 0.3 · 4/5 of them are drawn and differ; six standard deviations
    assert abs((first != 0).mean() - 0.24) < 6 * np.sqrt(0.24 * 0.76 / 4_000)
    shuffled = jax.random.permutation(jax.random.key(1), rows)
    np.testing.assert_array_equal(np.asarray(noise.labels(labels, shuffled, moments[0])), first[np.asarray(shuffled)])


def test_grokfast_adds_the_running_mean(curves, with_fields):
    experiment = with_fields(optimizer=SGD(learning_rate=0.1), minibatch=Minibatch(size=None))
    course = curves(replace(experiment, interventions=(iv.Grokfast(strength=2.0, decay=0.5),)), 2)
    plain = [curves(experiment, 1)]
    name = "head.weight"
    first = (course[0][name] - plain[0][1][name]) / 0.1  # the gradient at the start
    np.testing.assert_allclose(course[0][name] - course[1][name], 0.1 * 3 * first, rtol=1e-3, atol=1e-6)


def norm(course):
    return np.array([float(total_norm(step)) for step in course])


@pytest.mark.parametrize("window", [1, 2, 7])
@pytest.mark.parametrize("first", [0, 5], ids=["from the start", "within a turn"])
def test_grokfasts_window_is_the_mean_of_the_last_gradients_and_forgets_what_was_before(window, first):
    # a million times larger at first: what rounding leaves of that is gone a turn after the window has passed it
    given = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    given[:4] *= 1e6
    window_of = iv.GrokfastWindow(strength=2.0, window=window)
    memory = window_of.start({"w": jnp.zeros(3)})
    changed = jax.jit(lambda g, memory, step: window_of.gradients({"w": g}, {}, memory, moment_at(step)))
    for index, gradient in enumerate(given):
        found, memory = changed(gradient, memory, jnp.asarray(first + index))
        last = given[max(0, index + 1 - window) : index + 1].astype(np.float64)
        mean = last.mean(0) if len(last) == window else 0.0
        near = np.abs(given[max(0, index - 2 * window) : index + 1]).sum(0)
        rounding = 3 * window * 2.0**-24 * 2.0 / window * near
        assert np.all(np.abs(found["w"] - (gradient + 2.0 * mean)) <= rounding + 2.0**-22 * np.abs(found["w"]))


def moment_at(step):
    key = jax.random.key(0)
    return iv.Moment(step, jnp.asarray(True), key, key)


@pytest.mark.parametrize("treatment", [iv.Mixing(strength=0.6), iv.CollapsePenalty(strength=-0.05)], ids=named)
def test_the_norm_of_the_norm_matched_control_is_the_baselines_at_every_step(curves, with_fields, treatment):
    baseline = curves(with_fields(), 25)
    matched = curves(with_fields(interventions=(treatment,), matched="norm"), 25)
    np.testing.assert_allclose(norm(matched), norm(baseline), rtol=1e-5)
    free = curves(with_fields(interventions=(treatment,)), 25)
    assert np.abs(norm(free) / norm(baseline) - 1).max() > 1e-3


def test_the_steps_of_the_learning_rate_matched_control_are_as_long_as_the_baselines(curves, with_fields):
    def steps(course):
        return np.array([float(total_norm({n: b[n] - a[n] for n in a})) for a, b in pairwise(course)])

    baseline = curves(with_fields(), 20)
    matched = curves(with_fields(interventions=(iv.Grokfast(),), matched="learning_rate"), 20)
    np.testing.assert_allclose(steps(matched), steps(baseline), rtol=1e-4)
    assert np.abs(matched[20]["head.weight"] - baseline[20]["head.weight"]).max() > 1e-3


def test_the_schedule_control_has_the_rates_and_not_the_penalty(curves, with_fields):
    schedule = (iv.WeightDecay(value=3.0, when=iv.When(begin=5)), iv.NormCap(cap=2.0))
    control = curves(with_fields(interventions=(iv.CollapsePenalty(strength=-0.1), *schedule), matched="schedule"), 10)
    wanted = curves(with_fields(interventions=schedule), 10)
    for name in wanted[10]:
        np.testing.assert_allclose(control[10][name], wanted[10][name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("treatment", [iv.CollapsePenalty(strength=-0.1), iv.Grokfast()], ids=named)
def test_the_random_control_changes_the_first_step_by_as_much_in_another_direction(curves, with_fields, treatment):
    experiment = with_fields(optimizer=SGD(learning_rate=0.1), minibatch=Minibatch(size=None))
    arms = [experiment, replace(experiment, interventions=(treatment,)),
            replace(experiment, interventions=(treatment,), matched="random_direction")]  # fmt: skip
    plain, treated, control = (curves(arm, 1)[1] for arm in arms)
    changes = [np.concatenate([(arm[n] - plain[n]).ravel() for n in sorted(plain)]) for arm in (treated, control)]
    np.testing.assert_allclose(np.linalg.norm(changes[1]), np.linalg.norm(changes[0]), rtol=1e-3)
    cosine = changes[0] @ changes[1] / np.prod([np.linalg.norm(change) for change in changes])
    assert abs(cosine) < 6 / np.sqrt(len(changes[0]))


def test_paired_arms_share_split_start_and_order(trainers, members, with_fields, same):
    treatments = [{}, {"interventions": (iv.Mixing(),)}, {"interventions": (iv.Mixing(),), "matched": "norm"}]
    found = []
    for fields in treatments:
        (member,) = members({}, experiment=with_fields(**fields), seeds=[11])
        trainer = trainers.of(Batch(0, (member,)))
        rows = trainer.rows([member.experiment], [11])
        state = trainer.start(stack([member.experiment]), jnp.asarray([11], jnp.uint32))
        found.append((rows, state.params))
    same(found[0], found[1])
    same(found[0], found[2])


def test_it_can_wait_for_an_event(train, members, with_fields):
    rule = Threshold(name="memorised", measure="train/loss", at_most=1.75)
    waiting = iv.LearningRate(value=0.0, when=iv.When(after="memorised", begin=10))
    sink = train(members({}, experiment=with_fields(events=(rule,), interventions=(waiting,))))
    losses, norms = sink.curve(0), sink.curve(0, "weight_norm")
    event = 10 * int(np.argmax(losses <= 1.75))
    assert 0 < event < 40
    still = norms[event // 10 + 1 :]
    assert len(still) >= 2
    np.testing.assert_array_equal(still, still[0])
    assert (np.diff(norms[: event // 10 + 2]) != 0).all()


def test_a_run_that_is_cut_off_and_goes_on_keeps_memories_triggers_and_baselines(
    train, members, with_fields, remembering, tmp_path, parameters
):
    rule = Threshold(name="memorised", measure="train/loss", at_most=1.6)
    experiment = with_fields(
        events=(rule,), matched="norm",
        interventions=(iv.Grokfast(), iv.Mixing(strength=0.2, when=iv.When(after="memorised"))),
    )  # fmt: skip
    whole = train(members({}, {}, experiment=experiment), folder=tmp_path / "whole")
    for moment in range(2, 12, 2):
        folder = tmp_path / str(moment)
        first = train(members({}, {}, experiment=experiment), folder=folder, sink=remembering(stop_after=moment))
        rest = remembering(rows=dict(first.rows))
        train(members({}, {}, experiment=experiment), folder=folder, sink=rest, stored=first.stored())
        assert rest.rows == whole.rows
        for member in (0, 1):
            for name, array in parameters(member, tmp_path / "whole").items():
                np.testing.assert_array_equal(parameters(member, folder)[name], array)


def test_strengths_are_leaves_so_a_dose_response_is_one_program(members, with_fields):
    doses = [{"interventions.0.strength": dose / 10} for dose in range(10)]
    made = members(*doses, experiment=with_fields(interventions=(iv.Mixing(),)))
    assert len(plan(made, 1, batch_size=16)) == 1


def test_mixing_works_at_the_last_block_and_the_final_norm_of_a_transformer(train, members, with_fields, tmp_path):
    model = Transformer(width=8, heads=2, mlp_width=16, norm="post")
    for layer in (None, "block0"):
        experiment = with_fields(model=model, interventions=(iv.Mixing(layer=layer),))
        sink = train(members({}, experiment=experiment), folder=tmp_path / str(layer))
        assert np.isfinite(sink.curve(0)).all()


def test_observations_of_layers_show_changes_that_stay(train, members, with_fields):
    seen = "participation_ratio@hidden0"
    normalised = iv.NormalizedFeatures(layer="hidden0")
    fields = [{}, {"interventions": (normalised,)}, {"interventions": (normalised,), "matched": "random_direction"}]
    first = []
    for each in fields:
        experiment = with_fields(measures=("loss", "accuracy", "participation_ratio", seen), steps=10, **each)
        first.append(train(members({}, experiment=experiment)).rows[0, 0])
    plain, changed, control = first
    assert abs(changed[f"train/{seen}"] / plain[f"train/{seen}"] - 1) > 1e-3
    for row in (plain, changed):  # the last layer is what the head reads
        np.testing.assert_allclose(row[f"train/{seen}"], row["train/participation_ratio"], rtol=1e-5)
    np.testing.assert_allclose(control["train/loss"], plain["train/loss"], rtol=1e-5)


@pytest.mark.parametrize(("fields", "message"), [
    ({"interventions": (iv.Mixing(layer="hidden7"),)}, "interventions.0.layer = 'hidden7': did you mean 'hidden0'?"),
    ({"interventions": (iv.Mixing(when=iv.When(after="grokked")),)},
     "interventions.0.when.after = 'grokked': must be one of generalised"),
    ({"interventions": (iv.LabelNoise(num_classes=10),)}, "interventions.0.num_classes = 10: must be at most 7"),
    ({"interventions": (iv.Mixing(),), "minibatch": Minibatch(size=1)}, "minibatch.size = 1: must be 2 or more"),
    ({"matched": "norm"}, "matched = 'norm': is a control of interventions, and there are none"),
], ids=["layer", "event", "classes", "partners", "control of nothing"])  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_line(with_fields, members, fields, message):
    with pytest.raises(SpecError) as caught:
        plan(members({}, experiment=with_fields(**fields)), 1)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("make", [
    partial(iv.Mixing, strength=1.2), partial(iv.Grokfast, decay=1.0), partial(iv.NormCap, cap=0.0),
    partial(iv.When, begin=5, until=5), partial(iv.NormTrajectory, steps=(0, 5), norms=(1.0,)),
    partial(iv.FlatnessPenalty, temperature=0.0), partial(iv.CollapsePenalty, strength=float("nan")),
    partial(iv.EntropyPenalty, target=1.5), partial(iv.LabelNoise, num_classes=1), partial(iv.GrokfastWindow, window=0),
    partial(iv.LearningRate, value=-1.0), partial(iv.WeightDecay, value=-1.0), partial(iv.ConstantNorm, norm=0.0),
])  # fmt: skip
def test_values_that_make_no_sense_are_refused(make):
    with pytest.raises(SpecError):
        make()
