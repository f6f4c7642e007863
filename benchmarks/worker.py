"""One version of one case in a process of its own: says when it is ready, then times one repeat whenever asked.

`python -m benchmarks.worker JOB`, where the job is a JSON object. Every line on standard input is a request, every
answer one line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

VERSIONS = ("ours", "ours-plain", "plain-jax", "torch", "torch-fused", "torch-compile")
MOST_STEPS = 100_000


def main(arguments: list[str]) -> None:
    """Prepare the job, then answer requests until there are no more."""
    job: dict[str, Any] = json.loads(arguments[0])
    if job.get("core") is not None:
        os.sched_setaffinity(0, {job["core"]})  # before any library starts threads
    requests = prepared(job)
    for line in sys.stdin:
        request = json.loads(line)
        answer = requests[request.pop("do")](**request)
        print(json.dumps(answer), flush=True)


def prepared(job: Mapping[str, Any]) -> Mapping[str, Callable[..., Any]]:
    """What this process can be asked to do."""
    if job["version"] in ("peak-jax", "peak-torch"):
        from benchmarks.peak import JaxProduct, TorchProduct

        product = JaxProduct() if job["version"] == "peak-jax" else TorchProduct()
        return {"peak": product.peak}
    one_thread_in_torch(job["version"])
    return Timed(runner(job)).requests()


def one_thread_in_torch(version: str) -> None:
    """PyTorch is to use one thread, whatever its environment says."""
    if "torch" in version:
        import torch

        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)


def experiment_of(job: Mapping[str, Any]) -> Any:
    """The experiment that the job names."""
    from afterfit.spec.written import changed
    from benchmarks.cases import CASES

    return changed(CASES[job["case"]].experiment(), job.get("changes", {}))


def runner(job: Mapping[str, Any]) -> Any:
    """The version's training, at step 0."""
    from benchmarks.cases import Reference

    experiment, version = experiment_of(job), job["version"]
    reference = Reference.load(job["reference"]) if "reference" in job else None
    if version.startswith("ours"):
        from benchmarks.ours import Ours, without_factoring

        plain = version == "ours-plain"
        return Ours(without_factoring(experiment) if plain else experiment, job.get("members", 1), reference)
    assert reference is not None
    if version == "plain-jax":
        from benchmarks.plain_jax import PlainJax

        return PlainJax(experiment, reference)
    from benchmarks.torch_twin import TorchLoop

    return TorchLoop(experiment, reference, compiled=version == "torch-compile", fused=version == "torch-fused")


class Timed:
    """A version's training with a clock."""

    def __init__(self, trained: Any):
        self.trained = trained

    def requests(self) -> Mapping[str, Callable[..., Any]]:
        """By name."""
        own = {"save": self.trained.save_reference} if hasattr(self.trained, "save_reference") else {}
        return own | {
            "guard": self.trained.guard_loss, "operations": self.trained.operations,
            "warm": self.warm, "time": self.time, "observe": self.observe,
        }  # fmt: skip

    def warm(self, seconds: float) -> dict[str, int]:
        """Compile everything, and find out how many steps last so many seconds."""
        self.trained.restart()
        self.trained.advance(2)
        steps, took = 1, 0.0
        while took < seconds / 4 and steps < MOST_STEPS:
            steps *= 2
            took = self.time(steps)["wall"]
        return {"steps": max(1, min(MOST_STEPS, round(steps * seconds / took)))}

    def time(self, steps: int) -> dict[str, float]:
        """Wall and processor seconds of so many steps."""
        return timed(lambda: self.trained.advance(steps))

    def observe(self, times: int) -> dict[str, float]:
        """Wall and processor seconds of so many observations of all members, the first one excluded."""
        self.trained.observe(1)
        return timed(lambda: self.trained.observe(times))


def timed(action: Callable[[], object]) -> dict[str, float]:
    """Wall and processor seconds of an action."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


if __name__ == "__main__":
    main(sys.argv[1:])
