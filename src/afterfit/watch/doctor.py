"""`Watch.doctor`: the preconditions of delayed generalisation, checked on a PyTorch loop as it stands.

PyTorch is not imported here: what is asked of modules, tensors and optimisers are their own attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import preconditions as check
from afterfit.analysis.diagnosis import USUAL, Bounds, Diagnosis, Finding
from afterfit.analysis.phases import phase_of
from afterfit.analysis.signatures import signatures
from afterfit.parts import require
from afterfit.watch.samples import LABEL_KEYS, Samples

if TYPE_CHECKING:
    from afterfit.watch.torch_source import TorchSource
    from afterfit.watch.watch import Watch

IGNORED = -100
UNIFORM = ("Linear", "NonDynamicallyQuantizableLinear", "Conv1d", "Conv2d", "Conv3d")  # U(±1/√fan_in), all of them


def doctor(
    watch: Watch, optimizer: Any = None, planned_steps: float | None = None, bounds: Bounds = USUAL
) -> Diagnosis:
    """Look over a loop: its optimiser, start, data and arithmetic, and what was observed so far.

    Nothing is changed, and nothing is trained. With several ranks every rank must call it; each looks at its own part
    of the examples, and rank 0 at what was observed.

    Args:
        watch: of the loop.
        optimizer: as it is used; its groups are read as they are now.
        planned_steps: of the whole training.
        bounds: the thresholds.

    Raises:
        SpecError: no optimiser of PyTorch, or planned steps not above 0.
    """
    right = "must be above 0: the optimiser steps of the whole training"
    require(planned_steps is None or planned_steps > 0, "planned_steps", planned_steps, right)
    record = watch.recorder.history.record()
    findings: list[Finding] = []
    if watch.source is not None:
        from afterfit.watch.doctor_optimizer import optimizer_findings

        findings += optimizer_findings(watch.source.model, optimizer, planned_steps, bounds)
        findings += _start(watch, record, bounds)
        findings += _arithmetic(watch, record, bounds)
        findings += _data(watch.source, watch.phases.rise, bounds)
    judged = {name: values for name, values in record.items() if name != "train/softmax_collapse" or not watch.source}
    return Diagnosis.of([*findings, *signatures(judged, watch.phases, bounds)])


def _arithmetic(watch: Watch, record: Mapping[str, np.ndarray], bounds: Bounds) -> list[Finding]:
    """Softmax collapse now, in the dtype of the head: autocast may be coarser than that, and is not known here."""
    from afterfit.measures import softmax_collapse

    assert watch.source
    if watch.loss == "squared_error":
        return []
    with watch.source.quiet():
        view = watch.source.views(watch.overhead.probe)["train"]
        logits: Any = view.logits
        kept: Any = view.head_weight
        share = float(softmax_collapse(logits.to(kept.dtype), view.labels))
    where = f"{len(logits):,} training samples, in {str(kept.dtype).removeprefix('torch.')},"
    generalised = phase_of(record, watch.phases).name == "generalised"
    return [check.absorbed_losses(share, where, generalised=generalised, bounds=bounds)]


def _start(watch: Watch, record: Mapping[str, np.ndarray], bounds: Bounds) -> list[Finding]:
    """The norm at the start: as observed at step 0, or as it is while nothing later was observed."""
    assert watch.source
    actual, expected, unknown = usual_norm(watch.source.model.model)
    if not expected or not math.isfinite(actual):
        return []
    left_out = f", {unknown} tensors of other kinds left out" if unknown else ""
    how = f"norm {{:.4g}} where PyTorch's default for these layers gives {expected:.4g}{left_out}"
    if not len(record["step"]) or int(record["step"][-1]) == 0:
        return [check.initial_norm(actual / expected, how.format(actual), bounds)]
    if int(record["step"][0]) == 0 and "weight_norm" in record and not unknown:
        first = float(record["weight_norm"][0])
        return [check.initial_norm(first / expected, how.format(first), bounds)] if math.isfinite(first) else []
    return []


def usual_norm(model: Any) -> tuple[float, float, int]:
    """Norm of the trained parameters of known layers, its usual value at the start, and how many are of other layers.

    Usual is PyTorch's default: linear and convolutional weights and biases U(±1/√fan_in), so E‖θ‖² = n/(3 fan_in);
    embeddings N(0, 1); scales of norms 1 and their offsets 0; the attention's packed projections Glorot uniform.
    """
    seen: set[int] = set()
    actual = expected = 0.0
    unknown = 0
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is None or not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            square = _usual_square(module, name, parameter)
            if square is None:
                unknown += 1
                continue
            expected += square
            actual += float(parameter.detach().float().square().sum())
    return math.sqrt(actual), math.sqrt(expected), unknown


def _usual_square(module: Any, name: str, parameter: Any) -> float | None:
    """E‖θ‖² of one tensor at PyTorch's default; None for a layer whose default is not known here."""
    kind, count = type(module).__name__, parameter.numel()
    if kind in UNIFORM:
        if kind.startswith("NonDynamically") and name == "bias":
            return 0.0
        return count / (3 * module.weight[0].numel())
    if kind == "Embedding":
        padded = 0 if module.padding_idx is None else module.embedding_dim
        return float(count - padded)
    if is_norm(module):
        return float(count) if name == "weight" else 0.0
    if kind == "MultiheadAttention" and name.startswith("in_proj"):
        return 2 * count / sum(parameter.shape) if name == "in_proj_weight" else 0.0
    return None


def is_norm(module: Any) -> bool:
    """Whether a module is a normalisation: its class is called so (BatchNorm2d, LayerNorm, LlamaRMSNorm, …)."""
    return "norm" in type(module).__name__.lower()


def _data(source: TorchSource, rise: float, bounds: Bounds) -> list[Finding]:
    """Leakage, contradictions, balance and the size of the test split, on the examples that are looked at."""
    train, test, num_classes = source.samples["train"], source.samples.get("test"), source.model.num_classes
    looked_at = " looked at" + (f" by rank {source.rank} of {source.ranks}" if source.ranks > 1 else "")
    found = [check.balance(_counts(train, num_classes), looked_at, bounds=bounds)]
    inputs = _fingerprints(train)
    if inputs:
        found.append(check.contradictions(inputs, _label_bytes(train), looked_at))
    if test is None:
        rule = "held-out data are given: without them nobody can tell whether a network generalises"
        return [*found, Finding("test data", "warning", "none were given", rule, "give test= to the watch")]
    if inputs:
        among = f"{looked_at}, against {len(inputs):,} training inputs,"
        found.append(check.leakage(inputs, _fingerprints(test), among, bounds=bounds))
    return [*found, check.resolution(source.ranks * sum(_counts(test, num_classes)), rise)]


def _counts(samples: Samples, num_classes: int) -> list[int]:
    labels = np.concatenate([label.cpu().numpy().ravel() for label in samples.labels])
    return np.bincount(labels[labels != IGNORED], minlength=num_classes).tolist()


def _label_bytes(samples: Samples) -> list[bytes]:
    return [row.tobytes() for labels in samples.labels for row in np.ascontiguousarray(labels.cpu().numpy())]


def _fingerprints(samples: Samples) -> list[bytes]:
    """One hash an example, of all its inputs; none where a batch holds no arrays."""
    found: list[bytes] = []
    for batch, labels in zip(samples.batches, samples.labels, strict=True):
        arrays = [_plain(array) for array in _arrays(batch) if len(array) == len(labels)]
        if arrays:
            each = zip(*map(check.fingerprints, arrays), strict=True)
            found += [b"".join(parts) for parts in each]
    return found


def _arrays(batch: Any, *, whole: bool = True) -> Iterator[Any]:
    """The arrays of a batch without its labels: all but a tuple's last entry, or but a mapping's labels."""
    if isinstance(batch, Mapping):
        for key, value in batch.items():
            if key not in LABEL_KEYS:
                yield from _arrays(value, whole=False)
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        for value in batch[:-1] if whole else batch:
            yield from _arrays(value, whole=False)
    elif getattr(batch, "ndim", 0):
        yield batch


def _plain(array: Any) -> np.ndarray:
    """A tensor as NumPy has it; bfloat16, which NumPy has not, as the float32 of equal value."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.float() if str(array.dtype) == "torch.bfloat16" else array
    return np.asarray(array)
