"""How many floating-point operations a piece of work takes, and how many bytes it moves."""

from typing import Any

import torch as th
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# PyTorch has formulas for these under the names that do not work in place.
IN_PLACE = {th.ops.aten.addmm_: th.ops.aten.addmm, th.ops.aten.baddbmm_: th.ops.aten.baddbmm}


class OperationCounter(TorchDispatchMode):
    """Adds up the floating-point operations of the matrix products within."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry an operation out, and count it where PyTorch has a formula."""
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(IN_PLACE.get(func._overloadpacket, func._overloadpacket))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


class TrafficCounter(TorchDispatchMode):
    """Adds up the bytes that every operation within reads and writes, each operand once; views move nothing."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry an operation out, and count what goes in and out, unless what comes out lies where something did."""
        out = func(*args, **(kwargs or {}))
        read, written = (_tensors(part) for part in ((args, kwargs or {}), out))
        places = {tensor.untyped_storage().data_ptr() for tensor in read}
        in_place = func._schema.is_mutable
        if in_place or any(tensor.untyped_storage().data_ptr() not in places for tensor in written):
            self.total += sum(tensor.numel() * tensor.element_size() for tensor in (*read, *written))
        return out


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
