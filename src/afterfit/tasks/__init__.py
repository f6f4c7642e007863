"""What is learned: tasks are parts of a specification that give a table of examples and its split."""

from afterfit.tasks.downloads import download
from afterfit.tasks.files import DataError
from afterfit.tasks.images import Images
from afterfit.tasks.mixture import GaussianMixture
from afterfit.tasks.modular import ModularArithmetic
from afterfit.tasks.parity import SparseParity
from afterfit.tasks.permutations import PermutationComposition
from afterfit.tasks.table import Table, Task

__all__ = [
    "DataError",
    "GaussianMixture",
    "Images",
    "ModularArithmetic",
    "PermutationComposition",
    "SparseParity",
    "Table",
    "Task",
    "download",
]
