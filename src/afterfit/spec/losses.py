"""What is minimised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from afterfit.parts import part

if TYPE_CHECKING:
    import jax


@part
class CrossEntropy:
    """Softmax cross-entropy, in nats, averaged over the minibatch."""

    def per_sample(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """The loss log Σ_k exp f_k − f_y for logits (N, K) and labels (N,): shape (N,)."""
        import jax
        import jax.numpy as jnp

        # A one-hot product rather than a gather: its derivative is a product too, where a gather's is a scatter.
        chosen = jnp.sum(logits * jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), axis=-1)
        return jax.nn.logsumexp(logits, axis=-1) - chosen

    def total(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """The number that is differentiated: the mean over the minibatch."""
        return self.per_sample(logits, labels).mean()


@part
class StableMaxCrossEntropy:
    """Cross-entropy after StableMax in place of softmax, averaged over the minibatch.

    p_k = s(f_k)/Σ_j s(f_j) with s(x) = x + 1 for x ≥ 0 and 1/(1 − x) below: it grows linearly where softmax grows
    exponentially, so that the sum never absorbs the other classes and the loss does not become exactly 0.

    Source: Prieto et al. 2025, "Grokking at the edge of numerical stability".
    """

    def per_sample(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """The loss log Σ_k s(f_k) − log s(f_y) for logits (N, K) and labels (N,): shape (N,)."""
        import jax
        import jax.numpy as jnp

        # log s, from each side's own branch, so that neither has a gradient where the other one counts
        logs = jnp.log1p(jnp.maximum(logits, 0)) - jnp.log1p(-jnp.minimum(logits, 0))
        chosen = jnp.sum(logs * jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), axis=-1)
        return jnp.log(jnp.sum(jnp.exp(logs), axis=-1)) - chosen

    def total(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """The number that is differentiated: the mean over the minibatch."""
        return self.per_sample(logits, labels).mean()


@part
class SquaredError:
    """Squared distance to the one-hot label.

    Attributes:
        reduction: "sum" adds over minibatch and classes (Sakamoto & Sato 2025, released code); "mean" averages over
            both (PyTorch's MSELoss; Liu et al. 2022); "half_sum" is ½‖f(X) − Y‖² (Sakamoto & Sato 2025, Theorem 4.3).
    """

    reduction: Literal["sum", "mean", "half_sum"] = "sum"

    def per_sample(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """Σ_k (f_k − 1[k = y])², its mean over k when the reduction is "mean", or half of it: shape (N,)."""
        import jax
        import jax.numpy as jnp

        squares = (logits - jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)) ** 2
        if self.reduction == "mean":
            return jnp.mean(squares, axis=-1)
        return jnp.sum(squares, axis=-1) * (0.5 if self.reduction == "half_sum" else 1.0)

    def total(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """The number that is differentiated: the sum, or the mean, over the minibatch."""
        values = self.per_sample(logits, labels)
        return values.mean() if self.reduction == "mean" else values.sum()
