"""How parameters move: a direction (an optax transformation) and a rate for each step.

All rates and decays are leaves, so members with different ones train in one program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit.parts import part, require

if TYPE_CHECKING:
    import jax
    import optax


def _check_rate(learning_rate: float, warmup_steps: int) -> None:
    require(0 < learning_rate < float("inf"), "learning_rate", learning_rate, "must be a finite number above 0")
    require(warmup_steps >= 0, "warmup_steps", warmup_steps, "must be 0 or more")


def _check_share(field: str, value: float) -> None:
    require(0 <= value < 1, field, value, "must be at least 0 and below 1")


def _check_decay(weight_decay: float) -> None:
    require(0 <= weight_decay < float("inf"), "weight_decay", weight_decay, "must be a finite number, 0 or more")


def _warmed_up(learning_rate: float, warmup_steps: int, step: jax.Array) -> jax.Array | float:
    """The rate at a step: rises linearly from 1/warmup of the full rate at step 0."""
    import jax.numpy as jnp

    return learning_rate * jnp.minimum(1.0, (step + 1) / warmup_steps) if warmup_steps else learning_rate


@part
class _Adaptive:
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 0

    def check(self) -> None:
        """Refuse rates, decays and moments that make no sense."""
        _check_rate(self.learning_rate, self.warmup_steps)
        _check_decay(self.weight_decay)
        _check_share("b1", self.b1)
        _check_share("b2", self.b2)
        require(0 <= self.epsilon < float("inf"), "epsilon", self.epsilon, "must be a finite number, 0 or more")

    def rate(self, step: jax.Array) -> jax.Array | float:
        """The learning rate at a step."""
        return _warmed_up(self.learning_rate, self.warmup_steps, step)


@part
class AdamW(_Adaptive):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), on all parameters, as PyTorch's AdamW.

    Attributes:
        learning_rate: step size η.
        weight_decay: λ; parameters shrink by the factor 1 − ηλ at each step.
        b1: decay of the first moment.
        b2: decay of the second moment.
        epsilon: added to the root of the second moment.
        warmup_steps: steps over which the rate rises linearly to its full value.
    """

    weight_decay: float = 1.0

    def direction(self) -> optax.GradientTransformation:
        """m̂ / (√v̂ + ε) + λθ."""
        import optax

        return optax.chain(
            optax.scale_by_adam(self.b1, self.b2, self.epsilon), optax.add_decayed_weights(self.weight_decay)
        )


@part
class Adam(_Adaptive):
    """Adam (Kingma & Ba 2015); the decay, if any, is an L2 penalty: it is added to the gradient.

    Attributes:
        learning_rate: step size η.
        weight_decay: λ of the penalty (λ/2)‖θ‖². It goes through the moments: not the same as AdamW's.
        b1: decay of the first moment.
        b2: decay of the second moment.
        epsilon: added to the root of the second moment.
        warmup_steps: steps over which the rate rises linearly to its full value.
    """

    def direction(self) -> optax.GradientTransformation:
        """m̂ / (√v̂ + ε), with the moments of g + λθ."""
        import optax

        return optax.chain(
            optax.add_decayed_weights(self.weight_decay), optax.scale_by_adam(self.b1, self.b2, self.epsilon)
        )


@part
class SGD:
    """Gradient descent with heavy-ball momentum, as PyTorch's SGD; the decay is an L2 penalty.

    Attributes:
        learning_rate: step size η.
        weight_decay: λ of the penalty (λ/2)‖θ‖².
        momentum: share of the last movement that is kept.
        warmup_steps: steps over which the rate rises linearly to its full value.
    """

    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    momentum: float = 0.0
    warmup_steps: int = 0

    def check(self) -> None:
        """Refuse rates, decays and momenta that make no sense."""
        _check_rate(self.learning_rate, self.warmup_steps)
        _check_decay(self.weight_decay)
        _check_share("momentum", self.momentum)

    def rate(self, step: jax.Array) -> jax.Array | float:
        """The learning rate at a step."""
        return _warmed_up(self.learning_rate, self.warmup_steps, step)

    def direction(self) -> optax.GradientTransformation:
        """The velocity v ← momentum·v + g + λθ."""
        import optax

        return optax.chain(optax.add_decayed_weights(self.weight_decay), optax.trace(self.momentum))
