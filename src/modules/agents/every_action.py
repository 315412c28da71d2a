"""SALE's values of every action, without gradients: in blocks of rows that stay in a core's cache from layer to layer.

What `SALERNNAgent` computes with a gradient, in whole layers, is the form to read; this one is for a CPU and many rows,
where arrays with A times as many rows as there are agents come back from main memory for every layer.

Letters: M rows (of agents), A actions, E embedding size.
"""

import math
from typing import NamedTuple

import torch as th
from torch import Tensor
from torch.nn import functional

BLOCK = 2**17  # numbers in an array; the three of a block stay in the cache together


class Layers(NamedTuple):
    """A matrix (in, out), and a bias, for each layer.

    What is listed by action is A layers side by side on an input with a one at its end, (E + 1, A·E): a product that
    brings its bias along takes half the time of one that is added to copies of it.
    """

    first: Tensor  # z^o to g's first layer, by action
    second: tuple[Tensor, Tensor]
    third: Tensor  # g's third layer and the head's part for z^oa
    of_z: Tensor  # z^o to the head's first layer, by action
    phi: Tensor  # φ's part for what it reads to φ^oa, by action
    of_phi: Tensor  # the same to the head's part for φ^oa, before the normaliser, by action
    last: tuple[Tensor, Tensor]


def rows_of_a_block(layers: Layers) -> int:
    """Return how many rows a block has."""
    return BLOCK // layers.first.shape[1] + 1


def score(layers: Layers, z: Tensor, state: Tensor, eps: float = 1e-8) -> Tensor:
    """Return ``Q (M, A)`` from ``z^o (M, E)`` and φ's part for what it reads (M, E), with AvgL1Norm on φ^oa."""
    (M, E), AE, rows = z.shape, layers.first.shape[1], rows_of_a_block(layers)
    q = z.new_empty(M, AE // E)
    buffers = [z.new_empty(min(rows, M), AE) for _ in range(3)]
    mean = z.new_full((E, 1), 1 / E)
    z, state = (functional.pad(x, (0, 1), value=1.0) for x in (z, state))
    for z_block, state_block, out in zip(z.split(rows), state.split(rows), q.split(rows), strict=True):
        by_row = [buffer[: len(out)] for buffer in buffers]  # (rows, A·E)
        by_action = [buffer.view(-1, E) for buffer in by_row]  # (rows · A, E), the same memory
        th.mm(z_block, layers.first, out=by_row[0])
        _elu_(by_action[0], by_action[2])
        _affine(by_action[0], layers.second, by_action[1])
        _elu_(by_action[1], by_action[2])
        th.mm(z_block, layers.of_z, out=by_row[0])
        by_action[0].addmm_(by_action[1], layers.third)
        th.mm(state_block, layers.phi, out=by_row[1])
        length = (by_action[1].abs_() @ mean).clamp_(min=eps)
        th.mm(state_block, layers.of_phi, out=by_row[1])
        by_action[0].addcdiv_(by_action[1], length).relu_()
        _affine(by_action[0], layers.last, out.view(-1, 1))
    return q


def _affine(x: Tensor, layer: tuple[Tensor, Tensor], out: Tensor) -> None:
    matrix, bias = layer
    th.addmm(bias, x, matrix, out=out)


def _elu_(x: Tensor, spare: Tensor) -> None:
    """Replace x by ELU x as `modules.activations` does, with a tensor to write between."""
    th.mul(x, math.log2(math.e), out=spare).clamp_(max=0).exp2_().sub_(1)
    th.maximum(x, spare, out=x)
