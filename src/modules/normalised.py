"""Features of one scale, whatever units an environment counts in."""

from torch import Tensor, nn
from torch.nn import functional


class RowNormaliser(nn.Module):
    """``(x - mean(x)) / sqrt(var(x) + 1e-5)`` over the numbers of each row by itself: MAPPO's feature normalisation.

    Layer normalisation (Ba et al., 2016) without its gains and shifts: the linear layer behind it has them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x (…, I)`` normalised, of the same shape; a row of equal numbers becomes zeros."""
        return functional.layer_norm(x, x.shape[-1:])


def feature_normaliser(wanted: bool) -> nn.Module:
    """Return a module for ``x (…, I)``: the normaliser, or one that gives x back."""
    return RowNormaliser() if wanted else nn.Identity()
