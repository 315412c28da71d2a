"""Linear layers that take the faster of PyTorch's two matrix products.

On a CPU with AVX-512, oneDNN multiplies float32 matrices of the shapes found here about twice as fast as MKL does on
processors that are not Intel's (docs/performance.md), and PyTorch offers no setting for it. The operator is internal
to PyTorch, so where it is missing, and on every other device and dtype, `torch.nn.functional.linear` does the work.
"""

from typing import Any

import torch as th
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def _one_dnn() -> Any:
    """Return oneDNN's linear operator, or None where it is missing or gains nothing."""
    if not th.backends.mkldnn.is_available() or "AVX512" not in th.backends.cpu.get_cpu_capability():
        return None
    return getattr(th.ops.mkldnn, "_linear_pointwise", None)


ONE_DNN = _one_dnn()
FEW_ROWS = 256  # oneDNN lays the weights out anew in every call, which for fewer rows costs more than it gains


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x Wᵀ + b`` for ``x (…, K), W (O, K), b (O)``, for code with a gradient of its own."""
    if (
        ONE_DNN is None
        or x.numel() < FEW_ROWS * x.shape[-1]
        or min(weight.shape) == 1
        or x.device.type != "cpu"
        or x.dtype != th.float32
    ):
        return functional.linear(x, weight, bias)
    if not (weight.is_contiguous() or weight.t().is_contiguous()):
        weight = weight.contiguous()  # oneDNN is a thousand times slower on columns of a larger matrix
    return ONE_DNN(x, weight, bias, "none", [], "")


class _Linear(th.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        rows = product(x.reshape(-1, x.shape[-1]), weight, bias)
        # Not a view of another tensor, so that an activation may overwrite it.
        return th.ops.aten._unsafe_view(rows, (*x.shape[:-1], weight.shape[0]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            product(grad, weight.t()) if for_x else None,
            # oneDNN would copy both to turn them round
            rows.t() @ x.reshape(-1, x.shape[-1]) if for_weight else None,
            rows.sum(dim=0) if for_bias else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x Wᵀ + b``: ``(…, K), (O, K), (O) -> (…, O)``, as `torch.nn.functional.linear`."""
    return _Linear.apply(x, weight, bias) if th.is_grad_enabled() else product(x, weight, bias)


class Linear(nn.Linear):
    """`torch.nn.Linear` (same parameters, same start) on the faster product."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply to ``x (…, in) -> (…, out)``."""
        return linear(x, self.weight, self.bias)
