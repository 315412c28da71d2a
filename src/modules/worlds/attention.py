"""Attention among a handful of agents: PyTorch's own transformer layers, in the form that is fastest where they run.

Every layer's weights lie in a `torch.nn.TransformerEncoderLayer`, which is also what the result is tested against. On
a GPU that layer does the work, with its fused attention. On a CPU, for thousands of sequences of two to twenty-five
agents, writing it out is faster with a gradient, and where PyTorch multiplies tiny matrices without MKL, in products
and sums over whole tensors (docs/dreams.md has the times).

Letters: M rows (any leading axes), N agents, X width of an agent's vector.
"""

import math

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from modules.worlds.softmax import softmax

FOR_MKL = 400  # multiplications; PyTorch's batched product of smaller matrices is a plain loop


class AgentTransformer(nn.Module):
    """`TransformerEncoder(x^1, …, x^N)`: layers of self-attention over agents, without places: agents have no order.

    Normalised before each part (pre-norm), which trains without a warm-up; the papers do not say.
    """

    def __init__(self, size: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        if size % heads != 0:
            raise ValueError(f"{heads} attention heads do not divide the width {size}")
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, heads, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Let the agents of each row see one another: (…, N, X) -> (…, N, X).

        With ``present (…, N)`` bool nobody sees an agent that is not. Where none is present, all are seen.
        """
        flat = x.flatten(0, -3)
        if present is not None:
            present = present.flatten(0, -2)
            present = present | ~present.any(dim=-1, keepdim=True)
        for layer in self.layers:
            flat = plain_layer(layer, flat, present) if x.device.type == "cpu" else fused_layer(layer, flat, present)
        return flat.view(x.shape)


def fused_layer(layer: nn.TransformerEncoderLayer, x: Tensor, present: Tensor | None) -> Tensor:
    """Apply PyTorch's layer to ``x (M, N, X)``; ``present (M, N)``."""
    return layer(x, src_key_padding_mask=None if present is None else ~present)


def plain_layer(layer: nn.TransformerEncoderLayer, x: Tensor, present: Tensor | None) -> Tensor:
    """Do the same, in whole-tensor operations."""
    x = x + _attend(layer.self_attn, layer.norm1(x), present)
    return x + layer.linear2(functional.gelu(layer.linear1(layer.norm2(x))))


def _attend(attention: nn.MultiheadAttention, x: Tensor, present: Tensor | None) -> Tensor:
    """Return ``softmax(Q Kᵀ / √d) V``, projected, of ``x (M, N, X)``."""
    M, N, X = x.shape
    heads = attention.num_heads
    q, k, v = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias).view(M, N, 3, heads, -1).unbind(2)
    if N * N * (X // heads) < FOR_MKL:
        scores = (q.unsqueeze(2) * k.unsqueeze(1)).sum(dim=-1)  # (M, N, N, heads): who looks, at whom
        weights = _softmax(scores, X // heads, None if present is None else present[:, None, :, None], dim=2)
        seen = (weights.unsqueeze(-1) * v.unsqueeze(1)).sum(dim=2)
    else:
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1)  # (M, heads, N, N)
        weights = _softmax(scores, X // heads, None if present is None else present[:, None, None], dim=3)
        seen = (weights @ v.transpose(1, 2)).transpose(1, 2)
    return attention.out_proj(seen.reshape(M, N, X))


def _softmax(scores: Tensor, size: int, present: Tensor | None, dim: int) -> Tensor:
    scores = scores / math.sqrt(size)
    if present is not None:
        scores = scores.masked_fill(~present, -th.inf)
    return softmax(scores) if dim == 3 else scores.softmax(dim=dim)
