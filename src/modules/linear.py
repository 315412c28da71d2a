"""Linear layers that take the faster of PyTorch's two matrix products.

On AMD processors whose AVX-512 units are whole (Zen 5), oneDNN multiplies float32 matrices of the shapes found here
about twice as fast as MKL (docs/measurements/performance.md), and PyTorch offers no setting for it. On others it gains
nothing and costs much: it makes a program for every number of rows, and episodes of many lengths have many. The
operator is internal to PyTorch, so where it is missing, and on every other device and dtype,
`torch.nn.functional.linear` does the work; on a CPU in blocks of rows where MKL is slow on all at once.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch as th
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from modules.precision import casts, float32, widened

CPU_INFO = Path("/proc/cpuinfo")  # Linux
ZEN_5 = 26  # AMD's family of processors


def one_dnn() -> Any:
    """Return oneDNN's linear operator, or None where it is missing."""
    if not th.backends.mkldnn.is_available():
        return None
    operator = getattr(th.ops.mkldnn, "_linear_pointwise", None)
    return None if operator is None else operator.default


def gains(cpu_info: str) -> bool:
    """Say whether oneDNN gains anything on the processor that Linux describes so."""
    vendor = re.search(r"^vendor_id\s*: (\w+)", cpu_info, re.MULTILINE)
    family = re.search(r"^cpu family\s*: (\d+)", cpu_info, re.MULTILINE)
    return bool(vendor and family) and vendor[1] == "AuthenticAMD" and int(family[1]) >= ZEN_5


ONE_DNN = one_dnn() if CPU_INFO.exists() and gains(CPU_INFO.read_text()) else None
FEW_ROWS = 256  # oneDNN lays the weights out anew in every call, which for fewer rows costs more than it gains
MANY_ROWS = 4096  # more than these MKL takes up to twice as long for where O is an unround number, say 162
BLOCK = 1024  # rows, of which MKL does not
WIDE = 100  # below this size of a weight's larger side, MKL's product for its gradient is as fast


def prefers_few_sizes() -> bool:
    """Say whether products are faster where the number of rows is one of a few: oneDNN makes a program for each."""
    return ONE_DNN is not None


def _one_dnn_takes(x: Tensor) -> bool:
    return ONE_DNN is not None and x.device.type == "cpu" and x.dtype == th.float32


def _laid_out(weight: Tensor) -> Tensor:
    """Return a weight as oneDNN wants it: on columns of a larger matrix it is up to a thousand times slower."""
    return weight if weight.is_contiguous() or weight.t().is_contiguous() else weight.contiguous()


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x Wᵀ + b`` for ``x (…, K), W (O, K), b (O)``, for code with a gradient of its own.

    With a weight (N, O, K) of every agent's own, x is (N, M, K) and b (N, O).
    """
    if weight.dim() == 3:
        turned = weight.mT
        return th.bmm(x, turned) if bias is None else th.baddbmm(bias.unsqueeze(1), x, turned)
    if x.numel() < FEW_ROWS * x.shape[-1]:
        return functional.linear(x, weight, bias)
    if min(weight.shape) == 1 or not _one_dnn_takes(x):
        return _in_blocks(x, weight, bias) if _better_in_blocks(x, weight, bias) else functional.linear(x, weight, bias)
    return ONE_DNN(x, _laid_out(weight), bias, "none", [], "")


def add_product_(out: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Add ``x Wᵀ`` to `out (…, M, O)` in place, for code with a gradient of its own; shapes as in `product`."""
    if weight.dim() == 3:
        return out.baddbmm_(x, weight.mT)
    if len(x) >= FEW_ROWS and _one_dnn_takes(x):
        return out.add_(product(x, weight))
    return out.addmm_(x, weight.t())


def _better_in_blocks(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    wide = len(weight) >= 128 or (len(weight) > 64 and len(weight) % 8 != 0)
    return wide and len(x) > MANY_ROWS and x.dim() == 2 and bias is not None and x.device.type == "cpu"


def _in_blocks(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = x.new_empty(len(x), len(weight))
    for rows, result in zip(x.split(BLOCK), out.split(BLOCK), strict=True):
        th.mm(rows, weight.t(), out=result).add_(bias)
    return out


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Return ``gradᵀ x``, (O, K), for ``grad (M, O), x (M, K)``: the gradient of W in ``x Wᵀ``.

    With ``grad (N, M, O), x (N, M, K)`` that of every agent's own, (N, O, K).
    """
    if x.dim() == 3:
        return th.bmm(grad.mT, x)
    O, K = grad.shape[-1], x.shape[-1]  # noqa: E741  the letter of the shapes
    if max(O, K) < WIDE or min(O, K) == 1 or not _one_dnn_takes(x):
        return (x.t() @ grad).t() if K < O else grad.t() @ x
    # oneDNN is fastest with the narrower of the two as its input.
    narrow, wide = (x.t(), grad.t()) if K < O else (grad.t(), x.t())
    out = ONE_DNN(narrow, _laid_out(wide), None, "none", [], "")
    return out.t() if K < O else out


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
            weight_gradient(rows, x.reshape(-1, x.shape[-1])) if for_weight else None,
            rows.sum(dim=0) if for_bias else None,
        )


class _AgentsLinear(th.autograd.Function):
    """``x (…, N, K), W (N, O, K), b (N, O) -> (…, N, O)`` by one batched product; memory lies agent after agent."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        *lead, N, _ = x.shape
        n_lead, O = len(lead), weight.shape[1]  # noqa: E741  the letter of the shapes
        # Not a view of another tensor, so that an activation may overwrite it.
        out = th.empty_permuted(
            (*lead, N, O), (n_lead, *range(n_lead), n_lead + 1), dtype=x.dtype, device=x.device
        )
        rows, turned, into = _agents_rows(x), weight.mT, _agents_rows(out)
        if bias is None:
            th.bmm(rows, turned, out=into)
        else:
            th.baddbmm(bias.unsqueeze(1), rows, turned, out=into)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight, _ = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        rows = _agents_rows(grad)
        return (
            th.bmm(rows, weight).view(len(weight), *x.shape[:-2], -1).movedim(0, -2) if for_x else None,
            weight_gradient(rows, _agents_rows(x)) if for_weight else None,
            rows.sum(dim=1) if for_bias else None,
        )


def _agents_rows(x: Tensor) -> Tensor:
    """Return ``(…, N, K)`` as (N, M, K)."""
    return x.movedim(-2, 0).reshape(x.shape[-2], -1, x.shape[-1])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x Wᵀ + b``: ``(…, K), (O, K), (O) -> (…, O)``, as `torch.nn.functional.linear`.

    With parameters of every agent's own: ``(…, N, K), (N, O, K), (N, O) -> (…, N, O)``. With autocast it reads and
    gives bfloat16, and so do its gradients.
    """
    if casts():
        x, weight, bias = (None if each is None else each.to(th.bfloat16) for each in (x, weight, bias))
        with float32(x.device):  # nothing is left to be cast
            return linear(x, weight, bias)
    if weight.dim() == 3:
        return _AgentsLinear.apply(x, weight, bias)
    return _Linear.apply(x, weight, bias) if th.is_grad_enabled() else product(x, weight, bias)


def stacked(make: Callable[[], nn.Module], n: int) -> dict[str, nn.Parameter]:
    """Return the parameters of n modules that `make` makes, each on a new first axis, by name."""
    made = [dict(make().named_parameters()) for _ in range(n)]
    return {name: nn.Parameter(th.stack([one[name].detach() for one in made])) for name in made[0]}


class Linear(nn.Linear):
    """`torch.nn.Linear` (same parameters, same start) on the faster product.

    With `n_agents` it is as many layers, one for each agent: parameters have a first axis of agents, and x one before
    its last.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, n_agents: int | None = None) -> None:
        super().__init__(in_features, out_features, bias)
        if n_agents is not None:
            for name, parameter in stacked(lambda: nn.Linear(in_features, out_features, bias), n_agents).items():
                setattr(self, name, parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to ``x (…, in) -> (…, out)``."""
        return linear(x, self.weight, self.bias)


class Float32Linear(Linear):
    """`Linear` that stays in float32 where autocast is on: the last layer before values.

    Values of actions differ by less than bfloat16's 8 bits tell apart (docs/measurements/precision.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply to ``x (…, in) -> (…, out)``."""
        with float32(x.device):
            return super().forward(widened(x))
