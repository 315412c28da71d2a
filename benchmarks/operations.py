"""How many floating-point operations a piece of work takes."""

from typing import Any

import torch as th
from torch.utils._python_dispatch import TorchDispatchMode
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
