"""The image networks as one writes them in PyTorch, and copies of our weights into them."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn


def images_of(inputs) -> torch.Tensor:
    """(N, H, W, C) as PyTorch has it."""
    return torch.tensor(np.asarray(inputs)).permute(0, 3, 1, 2).contiguous()


def kernels(convolution) -> np.ndarray:
    """A convolution's weight as PyTorch has it."""
    matrix = np.asarray(convolution.weight)
    return matrix.reshape(len(matrix), convolution.size, convolution.size, -1).transpose(0, 3, 1, 2)


def layer(module, ours, *, weight=None) -> list:
    """(PyTorch's parameter, our array in its shape), of one layer."""
    weight = np.asarray(ours.weight) if weight is None else weight
    return [(module.weight, weight)] + ([(module.bias, np.asarray(ours.bias))] if module.bias is not None else [])


class TorchCNN(nn.Module):
    """Convolutions, a max-pooling, linear layers."""

    def __init__(self, network, spec, shape):
        super().__init__()
        channels = (shape[2], *spec.channels)
        convolutions = [nn.Conv2d(a, b, 3, padding=spec.padding) for a, b in pairwise(channels)]
        self.convolutions = nn.ModuleList(convolutions)
        self.activation = nn.GELU() if spec.activation == "gelu" else nn.ReLU()
        sizes = [linear.weight.shape[::-1] for linear in (*network.hidden, network.head)]
        self.linear = nn.ModuleList(nn.Linear(*size) for size in sizes)

    def forward(self, x):
        for convolution in self.convolutions:
            x = self.activation(convolution(x))
        x = nn.functional.max_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)  # our order of places and channels
        for linear in self.linear[:-1]:
            x = self.activation(linear(x))
        return self.linear[-1](x)

    def pairs(self, network) -> list:
        convolutions = zip(self.convolutions, network.convolutions, strict=True)
        found = [pair for theirs, ours in convolutions for pair in layer(theirs, ours, weight=kernels(ours))]
        linear = zip(self.linear, (*network.hidden, network.head), strict=True)
        return found + [pair for theirs, ours in linear for pair in layer(theirs, ours)]


class TorchViT(nn.Module):
    """A convolution that embeds patches, a class token, positions, PyTorch's encoder, a head."""

    def __init__(self, network, spec, shape):
        super().__init__()
        self.projection = nn.Conv2d(shape[2], spec.width, spec.patch, spec.patch)
        self.class_token = nn.Parameter(torch.empty(spec.width))
        self.position = nn.Parameter(torch.empty(*network.position.shape))
        encoder = nn.TransformerEncoderLayer(
            spec.width, spec.heads, spec.mlp_width, dropout=0.0, activation=spec.activation, batch_first=True,
            norm_first=spec.norm == "pre",
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(encoder, spec.layers, enable_nested_tensor=False)
        self.head = nn.Linear(*network.head.weight.shape[::-1])

    def forward(self, x):
        x = self.projection(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), 1, -1), x], dim=1) + self.position
        return self.head(self.encoder(x)[:, 0])

    def pairs(self, network) -> list:
        side = network.patch
        embedding = np.asarray(network.embedding.weight).reshape(-1, side, side, self.projection.in_channels)
        found = layer(self.projection, network.embedding, weight=embedding.transpose(0, 3, 1, 2))
        found += [(self.class_token, np.asarray(network.class_token)), (self.position, np.asarray(network.position))]
        for theirs, ours in zip(self.encoder.layers, network.blocks, strict=True):
            projections, attention = (ours.query, ours.key, ours.value), theirs.self_attn
            packed = [np.concatenate([getattr(p, kind) for p in projections]) for kind in ("weight", "bias")]
            found += [(attention.in_proj_weight, packed[0]), (attention.in_proj_bias, packed[1])]
            found += layer(attention.out_proj, ours.output)
            found += layer(theirs.linear1, ours.mlp_in.stored(input_first=False)) + layer(theirs.linear2, ours.mlp_out)
            found += layer(theirs.norm1, ours.attention_norm) + layer(theirs.norm2, ours.mlp_norm)
        return found + layer(self.head, network.head)


class TorchBlock(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        changes = stride != 1 or channels != out
        self.downsample = None
        if changes:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class TorchResNet(nn.Module):
    """torchvision's resnet18, with either stem and any widths."""

    def __init__(self, network, spec, shape):
        super().__init__()
        size, stride = (7, 2) if spec.stem == "7x7" else (3, 1)
        self.conv1 = nn.Conv2d(shape[2], spec.widths[0], size, stride, size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1) if spec.stem == "7x7" else nn.Identity()
        widths, blocks, before = spec.widths, [], spec.widths[0]
        for stage, width in enumerate(widths):
            blocks += [TorchBlock(before, width, 2 if stage else 1), TorchBlock(width, width, 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(*network.head.weight.shape[::-1])

    def forward(self, x):
        x = self.blocks(self.pool(torch.relu(self.bn1(self.conv1(x)))))
        return self.head(x.mean(dim=(2, 3)))

    def norms(self, network) -> dict:
        """PyTorch's norm, and our convolution with its norm, by our name of the norm."""
        found = {"stem": (self.conv1, self.bn1, network.stem)}
        for i, (theirs, ours) in enumerate(zip(self.blocks, network.blocks, strict=True)):
            found |= {f"block{i}_first": (theirs.conv1, theirs.bn1, ours.first)}
            found |= {f"block{i}_second": (theirs.conv2, theirs.bn2, ours.second)}
            assert (theirs.downsample is None) == (ours.shortcut is None)
            if ours.shortcut:
                found |= {f"block{i}_shortcut": (*theirs.downsample, ours.shortcut)}
        return found

    def pairs(self, network) -> list:
        found = []
        for convolution, norm, ours in self.norms(network).values():
            found += layer(convolution, ours.convolution, weight=kernels(ours.convolution)) + layer(norm, ours.norm)
        return found + layer(self.head, network.head)

    def take_running(self, network) -> None:
        """Copy the running averages."""
        for name, (_, norm, _) in self.norms(network).items():
            norm.running_mean.copy_(torch.tensor(np.asarray(network.running[name].mean)))
            norm.running_var.copy_(torch.tensor(np.asarray(network.running[name].variance)))


def twin(kind, network, spec, shape):
    """The PyTorch network with our weights."""
    module = kind(network, spec, shape)
    with torch.no_grad():
        for theirs, ours in module.pairs(network):
            theirs.copy_(torch.tensor(ours))
    return module
