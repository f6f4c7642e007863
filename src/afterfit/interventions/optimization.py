"""Changes of gradients and of rates."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

from afterfit.interventions.functions import perpendicular, slow_part
from afterfit.interventions.when import Intervention, Moment
from afterfit.parts import part, require

Arrays = Mapping[str, Any]


def _where(acts: Any, new: Arrays, old: Arrays) -> dict[str, Any]:
    import jax.numpy as jnp

    return {name: jnp.where(acts, array, old[name]) for name, array in new.items()}


@part
class Grokfast(Intervention):
    """Amplifies the slow part of the gradients: g ← g + λ μ, μ ← α μ + (1 − α) g with μ = g at first.

    The running mean is kept from the first step on, or from where a branch begins, also while it does not act.

    Attributes:
        strength: λ ≥ 0.
        decay: α in [0, 1).
        when: when it acts.

    Source: Lee et al. 2024 (Grokfast-EMA, α = .98, λ = 2).
    """

    strength: float = 2.0
    decay: float = 0.98

    def check(self) -> None:
        """Refuse a strength below 0 and a decay outside [0, 1)."""
        require(0 <= self.strength < math.inf, "strength", self.strength, "must be a finite number, 0 or more")
        require(0 <= self.decay < 1, "decay", self.decay, "must be at least 0 and below 1")

    def start(self, parameters: Arrays) -> dict[str, Any]:
        """A mean of nothing yet."""
        import jax.numpy as jnp

        means = {name: jnp.zeros_like(array) for name, array in parameters.items()}
        return {"begun": jnp.asarray(False), "means": means}

    def gradients(
        self, gradients: Arrays, parameters: Arrays, memory: Mapping[str, Any], moment: Moment
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """g + λ μ."""
        import jax.numpy as jnp

        begun, before = memory["begun"], memory["means"]
        means = {n: jnp.where(begun, slow_part(g, before[n], self.decay), g) for n, g in gradients.items()}
        changed = {n: g + self.strength * moment.acts * means[n] for n, g in gradients.items()}
        return changed, {"begun": jnp.ones_like(begun), "means": means}


@part
class GrokfastWindow(Intervention):
    """Amplifies the mean of the last gradients: g ← g + λ · mean of the last `window` gradients, this one included.

    Keeps `window` copies of all gradients, and their sum: a gradient that comes is added, one that goes is subtracted.
    With each turn of the ring the sum begins anew, from the sum of that turn's gradients alone, so that rounding does
    not add up: it is off by at most 3 · `window` roundings of the largest partial sum in two turns. Until so many
    gradients have been seen nothing is added.

    Attributes:
        strength: λ ≥ 0.
        window: how many gradients.
        when: when it acts.

    Source: Lee et al. 2024 (Grokfast-MA, window 100, λ = 5).
    """

    strength: float = 5.0
    window: int = 100

    def check(self) -> None:
        """Refuse a strength below 0 and an empty window."""
        require(0 <= self.strength < math.inf, "strength", self.strength, "must be a finite number, 0 or more")
        require(self.window >= 1, "window", self.window, "must be 1 or more")

    def start(self, parameters: Arrays) -> dict[str, Any]:
        """The last gradients in a ring, the sum of those that stay, that of this turn, and how many there have been."""
        import jax.numpy as jnp

        rings = {name: jnp.zeros((self.window, *array.shape), array.dtype) for name, array in parameters.items()}
        none = {name: jnp.zeros_like(array) for name, array in parameters.items()}
        return {"count": jnp.asarray(0, jnp.int32), "rings": rings, "staying": none, "turn": dict(none)}

    def gradients(
        self, gradients: Arrays, parameters: Arrays, memory: Mapping[str, Any], moment: Moment
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """g + λ · mean."""
        import jax.numpy as jnp

        # The place is that of the step, which all members share, and a ring is read after it was written: otherwise
        # XLA would copy whole rings.
        place, count = moment.step % self.window, memory["count"] + 1
        full, oldest = place == self.window - 1, (place + 1) % self.window
        kept = {name: ring.at[place].set(gradients[name]) for name, ring in memory["rings"].items()}
        turn = {name: memory["turn"][name] + g for name, g in gradients.items()}
        sums = _where(full, turn, {name: memory["staying"][name] + g for name, g in gradients.items()})
        share = self.strength * (moment.acts & (count >= self.window)) / self.window
        changed = {name: g + share * sums[name] for name, g in gradients.items()}
        staying = {name: total - kept[name][oldest] for name, total in sums.items()}
        turn = _where(full, {name: jnp.zeros_like(total) for name, total in turn.items()}, turn)
        return changed, {"count": count, "rings": kept, "staying": staying, "turn": turn}


@part
class PerpendicularGradient(Intervention):
    """Takes from each parameter's gradient the part along the parameter itself (⊥Grad, Prieto et al. 2025).

    Attributes:
        strength: the share of that part that is taken away: 1 for all of it.
        keep_norm: scale what is left to the norm that the gradient had, as in the released code.
        when: when it acts.
    """

    strength: float = 1.0
    keep_norm: bool = True

    def check(self) -> None:
        """Refuse a share outside [0, 1]."""
        require(0 <= self.strength <= 1, "strength", self.strength, "must lie in [0, 1]")

    def gradients(
        self, gradients: Arrays, parameters: Arrays, memory: tuple[()], moment: Moment
    ) -> tuple[dict[str, Any], tuple[()]]:
        """g + s (g⊥ − g)."""
        share = self.strength * moment.acts
        turned = {n: perpendicular(g, parameters[n], keep_norm=self.keep_norm) for n, g in gradients.items()}
        return {n: g + share * (turned[n] - g) for n, g in gradients.items()}, ()


@part
class LearningRate(Intervention):
    """Sets the learning rate while it acts.

    Attributes:
        value: the rate from its first step on.
        end: the rate that is reached after `over` steps, for the shapes "linear" and "cosine".
        shape: "constant", "linear", or "cosine": value + (end − value) (1 − cos π u)/2 with u from 0 to 1.
        over: steps from `value` to `end`; after them it stays at `end`.
        when: when it acts; `begin` is where the shape begins.
    """

    value: float = 1e-3
    end: float = 0.0
    shape: Literal["constant", "linear", "cosine"] = "constant"
    over: int = 10_000

    def check(self) -> None:
        """Refuse rates below 0 and no steps."""
        for name in ("value", "end"):
            rate = getattr(self, name)
            require(0 <= rate < math.inf, name, rate, "must be a finite number, 0 or more")
        require(self.over >= 1, "over", self.over, "must be 1 or more")
        after = "cannot follow an event: give the step at which it begins"
        require(self.shape == "constant" or self.when.after is None, "when.after", self.when.after, after)

    def optimizer(self, optimizer: Any, moment: Moment) -> Any:
        """The optimiser with this rate."""
        import jax.numpy as jnp

        done = jnp.clip((moment.step - self.when.begin) / self.over, 0, 1)
        way = {"constant": jnp.zeros_like(done), "linear": done, "cosine": (1 - jnp.cos(jnp.pi * done)) / 2}[self.shape]
        rate = self.value + (self.end - self.value) * way
        return _set(optimizer, learning_rate=jnp.where(moment.acts, rate, optimizer.learning_rate))


@part
class WeightDecay(Intervention):
    """Sets the weight decay while it acts: 0 switches it off.

    Attributes:
        value: λ ≥ 0.
        when: when it acts.
    """

    value: float = 0.0

    def check(self) -> None:
        """Refuse a decay below 0."""
        require(0 <= self.value < math.inf, "value", self.value, "must be a finite number, 0 or more")

    def optimizer(self, optimizer: Any, moment: Moment) -> Any:
        """The optimiser with this decay."""
        import jax.numpy as jnp

        return _set(optimizer, weight_decay=jnp.where(moment.acts, self.value, optimizer.weight_decay))


def _set(optimizer: Any, **values: Any) -> Any:
    """The optimiser with other leaves, past its checks: they are being traced."""
    changed = copy.copy(optimizer)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed
