"""What delayed generalisation needs of a training: weight decay and its time, the start, the data, the arithmetic.

Each function judges plain numbers by one declared rule; whoever has a loop, a spec or a run reads the numbers off it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from .diagnosis import USUAL, Bounds, Finding, Severity

Decay = Literal["decoupled", "l2 through moments", "l2"]
TINY = 1e-9  # relative: 1e-3 × 0.01 × 100,000 is to be 1
SMALLEST_FRACTIONS = {
    "ModularArithmetic": (0.2, "20 % (Truong et al. 2026), 30 % (Nanda et al. 2023), 50 % (Power et al. 2022)"),
    "PermutationComposition": (0.1, "10 % of S₅ (Truong et al. 2026)"),
}


def weight_decay(name: str, decay: Decay, value: float) -> Finding:
    """Whether there is weight decay, and whether it is decoupled from the gradient's moments.

    Args:
        name: of the optimiser.
        decay: "decoupled" as in AdamW; "l2 through moments", a penalty whose gradient Adam rescales; "l2" as in SGD,
            where both are the same but for momentum.
        value: λ.
    """
    check, rule = "weight decay", "λ > 0, decoupled from the gradient's moments (AdamW), or plain SGD"
    if value == 0:
        change = "use AdamW with weight decay: in the published set-ups it is what moves the network after it has "
        change += "fitted; without it logits grow until cross-entropy rounds to 0 (or take StableMax)"
        source = "Sakamoto & Sato 2025, Theorem 4.3; Prieto et al. 2025"
        return Finding(check, "warning", f"{name} has no weight decay (λ = 0)", rule, change, source)
    if decay == "l2 through moments":
        found = f"{name} with λ = {value:g} adds λθ to the gradient, which the second moment then rescales"
        change = "use AdamW: there every parameter shrinks at the rate ηλ; here those with large gradients hardly do, "
        change += "and η λ is no clock"
        return Finding(check, "warning", found, rule, change, "Loshchilov & Hutter 2019, section 2")
    return Finding(check, "ok", f"{name} with λ = {value:g}", rule, source="Loshchilov & Hutter 2019")


def decay_clock(
    learning_rate: float, value: float, planned_steps: float | None, *, momentum: float = 0.0, bounds: Bounds = USUAL
) -> Finding:
    r"""Whether the planned steps T give weight decay its time: η λ T ≥ `bounds.clock`.

    By decay alone parameters shrink by 1 − ηλ a step, so to e^{−ηλT} of their size. τ₂ ∼ (1/(ηλ)) log(1/ε): at ηλT well
    below 1 nothing that rests on decay can have happened. With momentum m the rate is η/(1 − m).

    Args:
        learning_rate: η, as it is now, or at its full value after a warm-up.
        value: λ, above 0.
        planned_steps: T; None where nobody has said.
        momentum: of SGD.
        bounds: the thresholds.
    """
    rate = learning_rate / (1 - momentum) * value
    rule = f"η λ × planned steps ≥ {bounds.clock:g} (τ₂ ∼ 1/(ηλ))"
    source = "Sakamoto & Sato 2025, Theorem 4.3"
    each = f"η = {learning_rate:g}, λ = {value:g}" + (f", momentum {momentum:g}" if momentum else "")
    if rate == 0:
        return Finding("decay clock", "note", f"it stands still now ({each})", rule, source=source)
    if planned_steps is None:
        found = f"1/(ηλ) is {1 / rate:,.0f} steps ({each}); how many are planned was not said"
        return Finding("decay clock", "note", found, rule, "give planned_steps=", source)
    clock = rate * planned_steps
    found = f"η λ × {planned_steps:,.0f} steps = {clock:.3g} ({each}): decay alone leaves {_percent(math.exp(-clock))} "
    found += "of a parameter"
    if clock >= bounds.clock * (1 - TINY):
        return Finding("decay clock", "ok", found, rule, source=source)
    steps, stronger = bounds.clock / rate, value * bounds.clock / clock
    change = f"train for {_up(steps):,} steps or more, or raise λ to {stronger:.3g}: decay has not had its time"
    return Finding("decay clock", "warning", found, rule, change, source)


def initial_norm(ratio: float, what: str, bounds: Bounds = USUAL) -> Finding:
    """Whether the network starts with larger parameters than usual.

    Args:
        ratio: norm of the initial parameters over the expected norm of the usual initialisation, same shapes.
        what: how the ratio was found.
        bounds: the thresholds.
    """
    rule = f"norm of the initial parameters at most {bounds.large_start:g} times that of the usual initialisation"
    found = f"{ratio:.3g} times the usual initialisation ({what})"
    source = "Liu et al. 2022 (Omnigrok)"
    if ratio <= bounds.large_start:
        return Finding("initial norm", "ok", found, rule, source=source)
    change = "none to see delayed generalisation, which a large start brings about; for a network that generalises "
    change += f"while it fits, divide the initial parameters by {ratio:.3g}"
    return Finding("initial norm", "note", found, rule, change, source)


def absorbed_losses(share: float, where: str, *, generalised: bool = False, bounds: Bounds = USUAL) -> Finding:
    """Whether rounding has taken the loss of training samples: the share whose cross-entropy is exactly 0.

    Args:
        share: see `afterfit.measures.softmax_collapse`.
        where: of what, and in which dtype.
        generalised: whether the run has arrived; then it stands in nobody's way.
        bounds: the thresholds.
    """
    rule = f"share of training samples whose cross-entropy is exactly 0 below {bounds.absorbed_note:g}; "
    rule += f"from {bounds.absorbed:g} on a warning"
    found, source = f"{_percent(share)} of {where} have no loss by rounding", "Prieto et al. 2025, softmax collapse"
    if share < bounds.absorbed_note:
        return Finding("softmax collapse", "ok", found, rule, source=source)
    severity: Severity = "warning" if share >= bounds.absorbed and not generalised else "note"
    change = "StableMax in place of softmax, more weight decay, or the loss in a wider dtype: these samples give no "
    change += "gradient, so training can stop before the network generalises"
    return Finding("softmax collapse", severity, found, rule, change, source)


def train_fraction(task: str, fraction: float, sizes: tuple[int, int]) -> Finding:
    """Whether the share of a table that is trained on is one at which the task is known to be generalised from.

    Args:
        task: its kind, "ModularArithmetic" or "PermutationComposition".
        fraction: trained on.
        sizes: examples to train and to test on.
    """
    smallest, published = SMALLEST_FRACTIONS[task]
    rule = f"not below the smallest published fraction; published: {published}"
    found = f"{_percent(fraction)} of the table, {sizes[0]:,} examples to train on and {sizes[1]:,} to test on"
    if fraction >= smallest:
        return Finding("train fraction", "ok", found, rule)
    change = "raise train_fraction: smaller fractions take longer, and below some fraction no run generalises"
    return Finding("train fraction", "note", found, rule, change, "Power et al. 2022, figure 1")


def fingerprints(inputs: np.ndarray) -> list[bytes]:
    """A hash of the bytes of each example, for inputs of shape (N, …). Equal inputs have equal ones."""
    rows = np.ascontiguousarray(inputs).reshape(len(inputs), -1)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def leakage(train: Sequence[bytes], test: Sequence[bytes], looked_at: str = "", *, bounds: Bounds = USUAL) -> Finding:
    """Whether test examples are training examples too, byte by byte.

    Args:
        train, test: `fingerprints` of the inputs.
        looked_at: of how many, where these are not all.
        bounds: the thresholds.
    """
    known = set(train)
    common = sum(each in known for each in test)
    share = common / len(test) if test else 0.0
    rule = f"no test input that is a training input to the last byte; from {_percent(bounds.leaked)} on a warning"
    of = f"{common:,} of {len(test):,} test inputs{looked_at} are training inputs too"
    if not common:
        return Finding("leakage", "ok", of, rule)
    change = "take them out of one split: on these, test accuracy shows memory"
    return Finding("leakage", "warning" if share > bounds.leaked else "note", f"{of} ({_percent(share)})", rule, change)


def contradictions(inputs: Sequence[bytes], labels: Sequence[bytes], looked_at: str = "") -> Finding:
    """Whether equal training inputs have different labels, so that no network can fit them all.

    Args:
        inputs: `fingerprints` of the training inputs.
        labels: of the training labels, as bytes.
        looked_at: of how many, where these are not all.
    """
    given: dict[bytes, set[bytes]] = {}
    for each, label in zip(inputs, labels, strict=True):
        given.setdefault(each, set()).add(label)
    torn = {each for each, different in given.items() if len(different) > 1}
    count = sum(each in torn for each in inputs)
    found = f"{count:,} of {len(inputs):,} training examples{looked_at} share their input with one of another label"
    rule = "no input with two labels: training accuracy could not reach 1"
    if not count:
        return Finding("contradictory labels", "ok", found, rule)
    change = "correct the labels, or lower the bound of memorised: these cannot all be fitted"
    return Finding("contradictory labels", "warning", found, rule, change)


def balance(counts: Sequence[int], looked_at: str = "", *, bounds: Bounds = USUAL) -> Finding:
    """Whether the classes of the training examples are about equally large.

    Args:
        counts: training examples of each class, 0 included.
        looked_at: of how many, where these are not all.
        bounds: the thresholds.
    """
    from scipy.stats import poisson

    largest, smallest, mean = max(counts), min(counts), sum(counts) / len(counts)
    by_chance = min(1.0, len(counts) * float(poisson.cdf(smallest, mean)))
    rule = (
        f"largest class at most {bounds.imbalance:g} times the smallest, unless equal classes give so small a one by "
    )
    rule += f"chance with probability {bounds.chance:g} or more (Poisson, times the number of classes)"
    sizes = f"{largest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
    found = f"{sizes} training examples a class{looked_at}, {len(counts)} classes"
    source = "Fang et al. 2021 (minority collapse)"
    if largest <= bounds.imbalance * smallest or by_chance >= bounds.chance:
        return Finding("class balance", "ok", found, rule, source=source)
    change = (
        "read NC2 with care, or balance the classes: small classes come to share a mean, and RNC1 and accuracy are "
    )
    change += "the large ones'"
    return Finding("class balance", "note", found, rule, change, source)


def resolution(examples: int, rise: float) -> Finding:
    """Whether the test examples that are looked at are enough to see the rise that makes a transition.

    Args:
        examples: of the test split, looked at.
        rise: of test accuracy, see `PhaseRules`.
    """
    # The change between two observations of the same examples is known better than that of independent ones; this is
    # the half-width of one accuracy, at its widest.
    half = 1.96 * math.sqrt(0.25 / max(1, examples))
    rule = f"accuracy known to ± {rise:g}, the rise that makes a transition (95 %, at an accuracy of 1/2)"
    found = f"{examples:,} test examples are looked at, which tell accuracy to ± {half:.2g}"
    if half <= rise:
        return Finding("test examples", "ok", found, rule)
    change = f"give {_up(0.25 * (1.96 / rise) ** 2):,} test examples or more (probe=), or read single rises with care"
    return Finding("test examples", "note", found, rule, change)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _up(number: float) -> int:
    return math.ceil(number * (1 - TINY))
