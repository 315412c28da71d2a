"""How networks start, where it is not PyTorch's way."""

import torch as th
from torch import Tensor, nn

from modules.gru import AgentsGRU
from modules.linear import Linear

RELU_GAIN = 2**0.5
SMALL = 0.01  # what last layers start with, times the usual: actions then are about as likely, values about zero


def start_orthogonally(module: nn.Module, last: nn.Linear, last_gain: float) -> None:
    """Draw orthogonal weights, and set biases to 0, as MAPPO does (Yu et al., 2022; Engstrom et al., 2020, §3).

    Layers before a ReLU get a gain of √2, recurrent weights 1, and `last` the one given. Agents with parameters of
    their own draw one matrix each.
    """
    for layer in module.modules():
        if isinstance(layer, Linear):
            _orthogonal(layer.weight, last_gain if layer is last else RELU_GAIN)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.GRU | AgentsGRU):
            for name, parameter in layer.named_parameters():
                nn.init.zeros_(parameter) if name.startswith("bias") else _orthogonal(parameter, 1.0)


@th.no_grad()
def _orthogonal(weight: Tensor, gain: float) -> None:
    for matrix in weight if weight.dim() == 3 else [weight]:
        nn.init.orthogonal_(matrix, gain)
