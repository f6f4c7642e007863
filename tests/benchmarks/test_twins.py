"""The benchmark compares like with like: its PyTorch and plain JAX networks are ours, for the same parameters."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from afterfit.engine.observing import logits_of
from afterfit.engine.trainer import Trainer

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.arithmetic import needed
from benchmarks.cases import CASES, Reference, table_of
from benchmarks.ours import weights_of
from benchmarks.plain_jax import logits_function
from benchmarks.torch_twin import twin

ROWS = 64


@pytest.fixture(params=["minibatch", "mlp"])
def case(request: pytest.FixtureRequest):
    """An experiment, our network at its start, and the reference that its twins begin from."""
    experiment = CASES[request.param].experiment()
    trainer = Trainer(experiment, table_of(experiment))
    table = trainer.table
    network = experiment.model.build(jax.random.key(0), table.inputs, table.num_classes, table.vocabulary)
    rows = np.arange(ROWS)
    reference = Reference(weights_of(network), table.inputs[rows], table.labels[rows], rows[None])
    return experiment, network, reference


def test_all_versions_give_the_same_logits(case):
    experiment, network, reference = case
    ours = np.asarray(logits_of(network, network.features(reference.inputs)))
    plain = np.asarray(logits_function(experiment)(reference.weights, reference.inputs))
    inputs = torch.tensor(reference.inputs)
    theirs = twin(experiment, reference)(inputs if inputs.is_floating_point() else inputs.long()).detach().numpy()
    for logits in (plain, theirs):
        np.testing.assert_allclose(logits, ours, rtol=0, atol=1e-5 * np.abs(ours).max())


def test_a_transformer_step_needs_half_a_gigaflop():
    experiment = CASES["minibatch"].experiment()
    assert needed(experiment, table_of(experiment)) == pytest.approx(0.53e9, rel=0.01)
