"""What learns: a model is a part of a specification that builds an Equinox module with `features` and `head`."""

from afterfit.models.cnn import CNN
from afterfit.models.mlp import MLP
from afterfit.models.model import Model, Network
from afterfit.models.resnet import ResNet18
from afterfit.models.transformer import Transformer
from afterfit.models.vision_transformer import VisionTransformer

KINDS = (MLP, CNN, ResNet18, Transformer, VisionTransformer)

__all__ = ["CNN", "KINDS", "MLP", "Model", "Network", "ResNet18", "Transformer", "VisionTransformer"]
