"""Small torch networks as ONNX nodes: linear layers and rectifiers, one after the other."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from learning.export.graph import Builder


def layers(sizes: tuple[int, ...], seed: int) -> nn.Sequential:
    """Linear layers of these sizes with rectifiers between them, initialised by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: list[nn.Module] = []
        for before, after in pairwise(sizes):
            made += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*made[:-1])


def export_layers(builder: Builder, network: nn.Sequential, inputs: str, name: str) -> str:
    """Append the network; returns the name of its output."""
    tensor = inputs
    for position, layer in enumerate(network):
        output = f"{name}_{position}"
        if isinstance(layer, nn.Linear):
            weight = builder.constant(f"{output}_w", layer.weight.detach().numpy())
            bias = builder.constant(f"{output}_b", layer.bias.detach().numpy())
            tensor = builder.add("Gemm", [tensor, weight, bias], output, transB=1)
        else:
            tensor = builder.add("Relu", [tensor], output)
    return tensor


def run_layers(network: nn.Sequential, rows: np.ndarray) -> np.ndarray:
    """The network's output in torch's own arithmetic."""
    with torch.no_grad():
        answered: np.ndarray = network(torch.from_numpy(rows.astype(np.float32))).numpy()
    return answered
