"""What learns: a model is a part of a specification that builds an Equinox module with `features` and `head`."""

from afterfit.models.mlp import MLP
from afterfit.models.model import Model, Network
from afterfit.models.transformer import Transformer

__all__ = ["MLP", "Model", "Network", "Transformer"]
