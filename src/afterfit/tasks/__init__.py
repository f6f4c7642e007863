"""What is learned: tasks are parts of a specification that give a table of examples and its split."""

from afterfit.tasks.files import DataError
from afterfit.tasks.images import Images
from afterfit.tasks.modular import ModularArithmetic
from afterfit.tasks.table import Table, Task

__all__ = ["DataError", "Images", "ModularArithmetic", "Table", "Task"]
