"""What a PyTorch optimiser does to which parameter: weight decay, its kind and its clock, group by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from afterfit.analysis import preconditions as check
from afterfit.analysis.diagnosis import USUAL, Bounds, Finding
from afterfit.parts import require

DECOUPLED = ("AdamW", "Lion", "Adafactor", "Muon", "SGDW")  # or a name that has one of these in it: AdamW8bit
THROUGH_MOMENTS = ("Adam", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "SparseAdam")
MOST_NAMED = 3


@dataclass(frozen=True)
class Decayed:
    """One trained parameter and what its group does to it.

    Attributes:
        name: in the model.
        size: its entries.
        kind: "weight", "bias" or "norm".
        learning_rate, weight_decay, momentum: of its group; None where no group has it.
    """

    name: str
    size: int
    kind: str
    learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float = 0.0


def optimizer_findings(
    torch_model: Any, optimizer: Any, planned_steps: float | None, bounds: Bounds = USUAL
) -> list[Finding]:
    """Weight decay: its kind, its clock against the planned steps, and what is decayed.

    Args:
        torch_model: the watched `TorchModel`.
        optimizer: of PyTorch, or what wraps one in `.optimizer`; None if it was not given.
        planned_steps: of the whole training, or None.
        bounds: the thresholds.
    """
    if optimizer is None:
        rule = "the optimiser is given, so that its decay and rate can be looked at"
        return [Finding("weight decay", "note", "no optimiser was given", rule, "call watch.doctor(optimizer)")]
    inner = getattr(optimizer, "optimizer", optimizer)
    right = "must be a PyTorch optimiser, with param_groups"
    require(hasattr(inner, "param_groups"), "optimizer", type(optimizer).__name__, right)
    parameters = list(_parameters(torch_model, inner.param_groups))
    moved = [each for each in parameters if each.learning_rate is not None]
    found = _missing(parameters)
    if not moved:
        return found
    main = _main(moved)
    name, decay = type(inner).__name__, kind_of(inner)
    if decay is None:
        rule = "decoupled weight decay (AdamW), or plain SGD"
        told = f"{name} with λ = {main.weight_decay:g}: how it decays is not known here"
        return [*found, Finding("weight decay", "note", told, rule), *_what(moved, torch_model)]
    found.append(check.weight_decay(name, decay, main.weight_decay or 0.0))
    if main.weight_decay and decay != "l2 through moments":
        rate = main.learning_rate or 0.0
        found.append(check.decay_clock(rate, main.weight_decay, planned_steps, momentum=main.momentum, bounds=bounds))
    return [*found, *_what(moved, torch_model)]


def kind_of(optimizer: Any) -> check.Decay | None:
    """How an optimiser decays: as its groups say, else as its class is known to; None where neither is known."""
    flags = {group.get("decoupled_weight_decay") for group in optimizer.param_groups}
    name = type(optimizer).__name__
    if True in flags or any(known in name for known in DECOUPLED):
        return "decoupled"
    if name == "SGD":
        return "l2"
    return "l2 through moments" if name in THROUGH_MOMENTS else None


def _parameters(torch_model: Any, groups: Sequence[dict[str, Any]]) -> Iterator[Decayed]:
    """Every trained parameter with what its group does to it."""
    from afterfit.watch.doctor import is_norm

    of_group = {id(parameter): group for group in groups for parameter in group["params"]}
    norms = {id(p) for module in torch_model.model.modules() if is_norm(module) for p in module._parameters.values()}
    for name, parameter in torch_model.model.named_parameters():
        if not parameter.requires_grad:
            continue
        kind = "norm" if id(parameter) in norms else "bias" if parameter.ndim < 2 else "weight"
        group = of_group.get(id(parameter))
        if group is None:
            yield Decayed(name, parameter.numel(), kind)
        else:
            rate, decay = float(group["lr"]), float(group.get("weight_decay", 0.0))
            yield Decayed(name, parameter.numel(), kind, rate, decay, float(group.get("momentum", 0.0)))


def _main(moved: Sequence[Decayed]) -> Decayed:
    """The parameter that stands for all: of the rate and decay that most weights have; decayed ones first."""
    weights = [each for each in moved if each.kind == "weight"] or list(moved)
    decayed = [each for each in weights if each.weight_decay] or weights
    sizes: dict[tuple[float | None, float | None], int] = {}
    for each in decayed:
        key = each.learning_rate, each.weight_decay
        sizes[key] = sizes.get(key, 0) + each.size
    most = max(sizes, key=lambda key: sizes[key])
    return next(each for each in decayed if (each.learning_rate, each.weight_decay) == most)


def _missing(parameters: Sequence[Decayed]) -> list[Finding]:
    """Trained parameters that no group has."""
    lost = [each for each in parameters if each.learning_rate is None]
    rule = "the optimiser has every parameter that takes a gradient"
    if not lost:
        return [Finding("parameters", "ok", f"all {len(parameters)} trained tensors are in the optimiser", rule)]
    found = f"{len(lost)} of {len(parameters)} trained tensors are not in the optimiser: {_named(lost)}"
    change = "make the optimiser from model.parameters() of the model that is watched, or freeze what is not to move"
    return [Finding("parameters", "warning", found, rule, change)]


def _what(moved: Sequence[Decayed], torch_model: Any) -> list[Finding]:
    """Which parameters are decayed: weights should be, and of biases and norms it should be known."""
    if not any(each.weight_decay for each in moved):
        return []
    small = [each for each in moved if each.kind != "weight" and each.weight_decay]
    return [_weights(moved, torch_model), *([_small(small)] if small else [])]


def _weights(moved: Sequence[Decayed], torch_model: Any) -> Finding:
    """Whether every weight matrix is decayed, the head's above all."""
    weights = [each for each in moved if each.kind == "weight"]
    bare = [each for each in weights if not each.weight_decay]
    check_name, rule = "what is decayed", "every weight matrix is decayed, the head's above all"
    found = f"{len(weights) - len(bare)} of {len(weights)} weight matrices are decayed"
    if not bare:
        return Finding(check_name, "ok", found, rule)
    share = sum(each.size for each in bare) / sum(each.size for each in weights)
    named = dict(torch_model.model.named_parameters())
    head = any(named[each.name] is torch_model.head.weight for each in bare)
    found += f"; without decay ({100 * share:.3g} % of their entries): {_named(bare)}"
    change = "put them into a group with weight decay: what is not decayed keeps what it has memorised"
    return Finding(check_name, "warning" if head or share > 0.5 else "note", found, rule, change)


def _small(small: Sequence[Decayed]) -> Finding:
    """That biases and norms are decayed."""
    biases, norms = (sum(each.kind == kind for each in small) for kind in ("bias", "norm"))
    found = (
        f"decayed with the matrices are {len(small)} tensors ({biases} of biases, {norms} of norms): {_named(small)}"
    )
    change = "nothing to repeat the published set-ups, which decay all parameters; to decay matrices only, put these "
    change += "into a group with weight_decay=0: decay of a norm's scale shrinks the logits without any matrix moving"
    rule = "known to whoever reads a weight norm: biases and norms are decayed or not"
    return Finding("decay of biases and norms", "note", found, rule, change)


def _named(parameters: Sequence[Decayed]) -> str:
    names = [each.name for each in parameters[:MOST_NAMED]]
    more = len(parameters) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
