"""The same networks and the same training as a good researcher would write them in PyTorch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from afterfit.models import MLP, Transformer
from afterfit.spec import AdamW, CrossEntropy, Experiment
from benchmarks.cases import Reference


class TorchTransformer(nn.Module):
    """One causal block without layer norm: tokens (N, S) to logits (N, K), read out at the last position."""

    def __init__(self, model: Transformer, positions: int, vocabulary: int, num_classes: int):
        super().__init__()
        self.heads = model.heads
        self.embedding = nn.Embedding(vocabulary, model.width)
        self.position = nn.Parameter(torch.empty(positions, model.width))
        self.qkv = nn.Linear(model.width, 3 * model.width, bias=False)
        self.output = nn.Linear(model.width, model.width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(model.width, model.mlp_width), nn.ReLU(), nn.Linear(model.mlp_width, model.width)
        )
        self.head = nn.Linear(model.width, num_classes, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Every position through the block, the last one through the head."""
        x = self.embedding(tokens) + self.position
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(n, length, width))
        x = x + self.mlp(x)
        return self.head(x[:, -1])

    def take(self, w: dict[str, np.ndarray]) -> None:
        """Take over parameters."""
        block = {name.removeprefix("blocks.0."): value for name, value in w.items()}
        packed = np.concatenate([block[f"{name}.weight"] for name in ("query", "key", "value")])
        _copy(
            {
                "embedding.weight": w["embedding"], "position": w["position"], "qkv.weight": packed,
                "output.weight": block["output.weight"], "head.weight": w["head.weight"],
                "mlp.0.weight": block["mlp_in.weight"], "mlp.0.bias": block["mlp_in.bias"],
                "mlp.2.weight": block["mlp_out.weight"], "mlp.2.bias": block["mlp_out.bias"],
            },
            self,
        )  # fmt: skip


class TorchMLP(nn.Sequential):
    """Linear layers with ReLU between them."""

    def __init__(self, model: MLP, fan_in: int, num_classes: int):
        sizes = (fan_in, *model.widths)
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        super().__init__(nn.Flatten(), *hidden, nn.Linear(sizes[-1], num_classes))

    def take(self, w: dict[str, np.ndarray]) -> None:
        """Take over parameters."""
        linear = [index for index, layer in enumerate(self) if isinstance(layer, nn.Linear)]
        names = [*(f"hidden.{i}" for i in range(len(linear) - 1)), "head"]
        pairs = [(f"{i}.{kind}", w[f"{name}.{kind}"]) for i, name in zip(linear, names, strict=True) for kind in KINDS]
        _copy(dict(pairs), self)


KINDS = ("weight", "bias")


def _copy(values: dict[str, np.ndarray], module: nn.Module) -> None:
    module.load_state_dict({name: torch.tensor(value) for name, value in values.items()})


def twin(experiment: Experiment, reference: Reference) -> TorchTransformer | TorchMLP:
    """The experiment's network with the reference's parameters."""
    model, w = experiment.model, reference.weights
    classes = len(w["head.weight"])
    if isinstance(model, Transformer):
        network = TorchTransformer(model, reference.inputs.shape[1], len(w["embedding"]), classes)
    else:
        assert isinstance(model, MLP)
        network = TorchMLP(model, w["hidden.0.weight"].shape[1], classes)
    network.take(w)
    return network


class TorchLoop:
    """One member in training."""

    members = 1

    def __init__(self, experiment: Experiment, reference: Reference, *, compiled: bool = False, fused: bool = False):
        self.experiment, self.reference, self.compiled, self.fused = experiment, reference, compiled, fused
        self.inputs = torch.tensor(reference.inputs)
        self.inputs = self.inputs if self.inputs.is_floating_point() else self.inputs.long()
        self.labels = torch.tensor(reference.labels).long()
        self.size, self.order = reference.batches.shape[1], torch.empty(0, dtype=torch.long)
        self.network = twin(experiment, reference)
        self.forward = torch.compile(self.network) if compiled else self.network
        self.restart()

    def restart(self) -> None:
        """Back to step 0."""
        self.network.take(self.reference.weights)
        o = self.experiment.optimizer
        assert isinstance(o, AdamW)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), o.learning_rate, (o.b1, o.b2), o.epsilon, o.weight_decay,
            **({"fused": True} if self.fused else {}),
        )  # fmt: skip

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy, or the sum of squared distances to the one-hot labels."""
        if isinstance(self.experiment.loss, CrossEntropy):
            return functional.cross_entropy(logits, labels)
        wanted = functional.one_hot(labels, logits.shape[1]).float()
        return functional.mse_loss(logits, wanted, reduction="sum")

    def advance(self, steps: int) -> None:
        """Take steps, a new random order each epoch."""
        for _ in range(steps):
            self._step(*self._batch())

    def guard_loss(self) -> float:
        """The loss after the reference's first steps."""
        self.restart()
        for rows in torch.tensor(self.reference.batches).long():
            self._step(self.inputs[rows], self.labels[rows])
        inputs, labels = self.inputs[: len(self.reference.guarded[0])], self.labels[: len(self.reference.guarded[1])]
        with torch.no_grad():
            return self.loss(self.network(inputs), labels).item()

    def operations(self) -> dict[str, float]:
        """Of a step's matrix products, as PyTorch counts them."""
        aten = torch.ops.aten
        counter = FlopCounterMode(
            display=False,
            custom_mapping={  # PyTorch knows these of its kernels for GPUs only
                aten._scaled_dot_product_flash_attention_for_cpu: _attention,
                aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
            },
        )
        inputs, labels = self._batch()
        with counter:
            self.loss(self.network(inputs), labels).backward()
        self.optimizer.zero_grad()
        return {"products": counter.get_total_flops()}

    def _step(self, inputs: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        self.loss(self.forward(inputs), labels).backward()
        self.optimizer.step()

    def _batch(self) -> tuple[Tensor, Tensor]:
        if self.size == len(self.labels):
            return self.inputs, self.labels
        if len(self.order) < self.size:
            self.order = torch.randperm(len(self.labels))
        rows, self.order = self.order[: self.size], self.order[self.size :]
        return self.inputs[rows], self.labels[rows]


def _attention(q: torch.Size, k: torch.Size, v: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(q, k, v)


def _attention_backward(grad: torch.Size, q: torch.Size, k: torch.Size, v: torch.Size, *_: object, **__: object) -> int:
    return sdpa_backward_flop_count(grad, q, k, v)
