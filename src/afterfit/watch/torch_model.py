"""A PyTorch model as a watch sees it: features and logits of given examples, and not a trace left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from afterfit.parts import SpecError, nearest, require
from afterfit.views import View
from afterfit.watch.samples import IGNORED, Samples, random_state_kept

Forward = Callable[[Any, Any], Any]


class TorchModel:
    """Reads features, logits and parameters from a model without changing it.

    Args:
        model: any module. What wraps it (DataParallel, DistributedDataParallel, torch.compile) is looked through.
        head: the name of the last linear layer; by default the linear layer that is called last.
        layers: names of modules whose output is to be seen as well.
        forward: calls the model on a batch, `forward(model, batch)`; by default with the batch's inputs.

    Raises:
        SpecError: no such layer, or a head that is not linear.
    """

    def __init__(self, model: nn.Module, head: str | None, layers: Sequence[str], forward: Forward | None):
        self.model, self.forward = unwrapped(model), forward or call
        modules = dict(self.model.named_modules())
        for field, names in (("head", [head] if head is not None else []), ("layers", layers)):
            for name in names:
                require(name in modules, field, name, nearest(name, modules))
        self._head_name, self._modules, self._layers = head, modules, tuple(layers)

    def find_head(self, samples: Samples) -> str:
        """The head's name: the one that was given, or the linear layer that is called last on these examples."""
        if self._head_name is None:
            called: list[Any] = []
            linear = {name: module for name, module in self._modules.items() if _is_linear(module)}
            require(bool(linear), "head", None, "the model has no linear layer: name the layer that gives the logits")
            hooks = [
                module.register_forward_pre_hook(lambda _module, _inputs, name=name: called.append(name))
                for name, module in linear.items()
            ]
            try:
                with quiet(self.device), evaluating(self.model):
                    self.forward(self.model, moved(samples.batches[0], self.device))
            finally:
                for hook in hooks:
                    hook.remove()
            require(bool(called), "head", None, "no linear layer is called: name the layer that gives the logits")
            self._head_name = called[-1]
        if not _is_linear(self.head):
            right = "must be a linear layer, with a weight of shape (classes, features)"
            raise SpecError("head", f"{self._head_name} ({type(self.head).__name__})", right)
        return self._head_name

    @property
    def head(self) -> Any:
        """The last linear layer."""
        assert self._head_name is not None, "find_head comes first"
        return self._modules[self._head_name]

    @property
    def num_classes(self) -> int:
        """K: rows of the head's weight."""
        return int(self.head.weight.shape[0])

    @property
    def device(self) -> torch.device:
        """Where the first parameter lies."""
        return next(self.model.parameters()).device

    def parameters(self) -> dict[str, Tensor]:
        """The trained parameters by name; all of them when none is trained."""
        named = dict(self.model.named_parameters())
        trained = {name: p for name, p in named.items() if p.requires_grad}
        return {name: p.detach() for name, p in (trained or named).items()}

    def see(self, samples: Samples) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Features (N, d), labels (N,) and the outputs of the layers (N, …) of some examples; within `quiet`.

        For a head that is called on sequences (N, T, d), every place whose label is not −100 is a sample.
        """
        features: list[Tensor] = []
        outputs: dict[str, list[Tensor]] = {name: [] for name in self._layers}
        caught: dict[str, Tensor] = {}
        hooks: list[Any] = []
        hooks.append(self.head.register_forward_pre_hook(lambda _m, seen: caught.__setitem__("features", seen[0])))
        for name in self._layers:
            hooks.append(
                self._modules[name].register_forward_hook(
                    lambda _m, _i, output, name=name: caught.__setitem__(f"layer {name}", _tensor_of(output))
                )
            )
        labels = []
        try:
            with evaluating(self.model):
                for batch, given in zip(samples.batches, samples.labels, strict=True):
                    caught.clear()
                    self.forward(self.model, moved(batch, self.device))
                    require("features" in caught, "head", self._head_name, "is not called by the model's forward")
                    seen, kept, chosen = _matched(caught["features"], given.to(self.device))
                    features.append(seen)
                    labels.append(chosen)
                    for name in self._layers:
                        output = caught[f"layer {name}"]
                        outputs[name].append(output[kept] if len(output) == len(kept) else output)
        finally:
            for hook in hooks:
                hook.remove()
        joined = {name: torch.cat(parts) for name, parts in outputs.items() if parts}
        empty = torch.zeros(0, self.head.weight.shape[1], device=self.device)
        none = torch.zeros(0, dtype=torch.long, device=self.device)
        return torch.cat(features) if features else empty, torch.cat(labels) if labels else none, joined

    def view(
        self, features: Tensor, labels: Tensor, layers: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> View:
        """What a split shows; logits are computed from the features by the head's weight and bias."""
        weight = self.head.weight.detach()
        bias = None if getattr(self.head, "bias", None) is None else self.head.bias.detach()
        precise = torch.promote_types(features.dtype, torch.float32)
        logits = features.to(precise) @ weight.to(precise).T
        logits = logits if bias is None else logits + bias.to(precise)
        return View(
            inputs=None, labels=labels, features=features, logits=logits, head_weight=weight, head_bias=bias,
            num_classes=self.num_classes, layers=dict(layers), parameters=parameters,
        )  # fmt: skip


def unwrapped(model: nn.Module) -> nn.Module:
    """The module itself, out of torch.compile and of the wrappers of data-parallel training."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


@contextmanager
def quiet(device: torch.device) -> Iterator[None]:
    """No gradients, no autocast, and random numbers that go on as before."""
    with ExitStack() as stack:
        stack.enter_context(random_state_kept())
        stack.enter_context(torch.no_grad())
        for kind in sorted({"cpu", device.type}):
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module is in the mode that it was in."""
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in trained:
            module.training = True


def call(model: Any, batch: Any) -> Any:
    """The model on a batch: the mapping without its labels as keywords, or all but the last entry of a tuple."""
    if isinstance(batch, Mapping):
        return model(**{key: value for key, value in batch.items() if key not in ("label", "y", "target", "targets")})
    return model(*batch[:-1]) if isinstance(batch, Sequence) else model(batch)


def moved(batch: Any, device: torch.device) -> Any:
    """A batch on a device, whatever tuples, lists and mappings it is made of."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: moved(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [moved(value, device) for value in batch]
    return batch


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(module, nn.Linear) or (type(module).__name__ == "Linear" and getattr(weight, "ndim", 0) == 2)


def _tensor_of(output: Any) -> Tensor:
    """The first tensor of what a module returned."""
    if isinstance(output, Tensor):
        return output.detach()
    values = output.values() if isinstance(output, Mapping) else output
    return next(_tensor_of(value) for value in values if value is not None)


def _matched(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features and labels as (n, d) and (n,), without places that are not to count; and which were kept."""
    flat, given = features.detach().reshape(-1, features.shape[-1]), labels.reshape(-1)
    right = f"is called on {tuple(features.shape[:-1])} places where the labels are {tuple(labels.shape)}: give labels="
    require(len(flat) == len(given), "head", tuple(features.shape), f"{right}function that makes them fit")
    kept = given != IGNORED
    if bool(kept.all()):
        return flat, kept, given
    return flat[kept], kept, given[kept]
