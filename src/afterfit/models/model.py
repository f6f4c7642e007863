"""What the engine relies on in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from afterfit.parts import require

if TYPE_CHECKING:
    import jax
    import numpy as np

RUNNING = "running"  # the field of a network whose arrays are carried along, not trained


class Head(Protocol):
    """The last linear layer: logits are features Wᵀ + b."""

    weight: jax.Array  # (K, d)
    bias: jax.Array | None  # (K,)


class Network(Protocol):
    """An Equinox module whose arrays are what is trained.

    A method `layers(inputs)` that gives {name: (N, …)} is used for per-layer measures where there is one.

    Arrays under a field named `running`, where there is one, are not trained but carried along: running averages, as
    of batch normalisation. The network then has a method `training_features`, with the arguments of `features`, that
    gives the features as training sees them and what `running` holds after this minibatch.
    """

    head: Head

    def features(self, inputs: jax.Array) -> jax.Array:
        """What the head reads, for a batch of inputs (N, …): shape (N, d)."""
        ...


@runtime_checkable
class Model(Protocol):
    """A part that builds a network. Its floats are leaves: `build` may use them, but no shape may depend on them."""

    def build(self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None) -> Any:
        """A `Network` with initial parameters drawn from the key, for a table with these inputs and classes."""
        ...


def require_images(model: str, inputs: np.ndarray, vocabulary: int | None) -> None:
    """Refuse a task whose inputs are no images."""
    right = f"needs a task whose inputs are images (N, H, W, C); these are {inputs.dtype} of shape {inputs.shape}"
    require(inputs.ndim == 4 and vocabulary is None, "model", model, right)
