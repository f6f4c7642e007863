"""Specs are made and checked on machines, and in commands, that load nothing heavy."""

import subprocess
import sys

HEAVY = ("jax", "torch", "sklearn", "scipy", "pooch", "requests", "rich", "pandas")


def test_specs_and_their_checks_import_numpy_only():
    program = f"""
import sys
from afterfit.tasks import GaussianMixture, Images, ModularArithmetic, PermutationComposition, SparseParity
tasks = (GaussianMixture(), Images(), ModularArithmetic(), PermutationComposition(), SparseParity())
print(*[task.sizes() for task in tasks])
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
