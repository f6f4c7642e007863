"""Optimisers move parameters as PyTorch's do. In float64: Adam blows rounding up where a gradient is near zero."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from afterfit.spec import SGD, Adam, AdamW

STEPS = 20


@pytest.fixture(autouse=True)
def float64():
    """JAX would cut everything to float32."""
    with jax.enable_x64(True):
        yield


def objective(parameters, xp):
    """A small network's loss: neither convex nor alike in its parameters."""
    hidden = xp.tanh(parameters["a"] @ parameters["x"])
    return ((parameters["b"] @ hidden - 1.5) ** 2).sum() + 0.1 * (parameters["x"] ** 4).sum()


def beginning() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"a": (6, 4), "b": (3, 6), "x": (4, 5)}
    return {name: random.normal(size=shape) for name, shape in shapes.items()}


def ours(optimizer, steps: int = STEPS) -> dict[str, jax.Array]:
    """As the engine moves parameters: against the direction, times the rate of the step."""
    parameters = jax.tree.map(jnp.asarray, beginning())
    moments = optimizer.direction().init(parameters)

    @jax.jit
    def move(parameters, moments, step):
        gradient = jax.grad(lambda p: objective(p, jnp))(parameters)
        direction, moments = optimizer.direction().update(gradient, moments, parameters)
        return optax.apply_updates(parameters, jax.tree.map(lambda d: -optimizer.rate(step) * d, direction)), moments

    for step in range(steps):
        parameters, moments = move(parameters, moments, step)
    return parameters


def in_torch(make, rate=lambda step: 1.0, steps: int = STEPS) -> dict[str, torch.Tensor]:
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in beginning().items()}
    optimizer = make(parameters.values())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(parameters, torch).backward()
        optimizer.step()
        schedule.step()
    return parameters


CASES = {
    "adamw": (AdamW(learning_rate=0.01, weight_decay=0.3), torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.3}),
    "adamw-betas": (
        AdamW(learning_rate=0.02, weight_decay=1.0, b1=0.8, b2=0.98, epsilon=1e-6),
        torch.optim.AdamW,
        {"lr": 0.02, "weight_decay": 1.0, "betas": (0.8, 0.98), "eps": 1e-6},
    ),
    "adam": (Adam(learning_rate=0.01), torch.optim.Adam, {"lr": 0.01}),
    "adam-penalty": (
        Adam(learning_rate=0.01, weight_decay=0.5),
        torch.optim.Adam,
        {"lr": 0.01, "weight_decay": 0.5},
    ),
    "sgd": (SGD(learning_rate=0.003), torch.optim.SGD, {"lr": 0.003}),
    "sgd-momentum": (
        SGD(learning_rate=0.003, weight_decay=0.2, momentum=0.9),
        torch.optim.SGD,
        {"lr": 0.003, "weight_decay": 0.2, "momentum": 0.9},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_end_where_torch_ends(case):
    optimizer, kind, options = CASES[case]
    expected = in_torch(lambda parameters: kind(parameters, **options))
    for name, value in ours(optimizer).items():
        np.testing.assert_allclose(value, expected[name].detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", ["adamw", "sgd-momentum"])
def test_a_warm_up_rises_in_a_line_and_then_stays(case):
    optimizer, kind, options = CASES[case]
    warmed = type(optimizer)(**{f: getattr(optimizer, f) for f in optimizer.__dataclass_fields__} | {"warmup_steps": 8})
    rates = [float(warmed.rate(step)) / optimizer.learning_rate for step in range(10)]
    assert rates == pytest.approx([*(i / 8 for i in range(1, 9)), 1, 1])
    expected = in_torch(lambda parameters: kind(parameters, **options), rate=lambda step: min(1, (step + 1) / 8))
    for name, value in ours(warmed).items():
        np.testing.assert_allclose(value, expected[name].detach(), rtol=1e-9, atol=1e-12)


def test_a_decay_of_zero_is_no_decay():
    with_zero, without = ours(AdamW(learning_rate=0.01, weight_decay=0)), ours(Adam(learning_rate=0.01))
    for name, value in with_zero.items():
        np.testing.assert_allclose(value, without[name], rtol=1e-9, atol=1e-12)
