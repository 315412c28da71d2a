"""The controller of SALE agents: acts as every controller does, and answers the world model."""

import torch as th
from torch import Tensor, nn

from controllers.basic_mac import BasicMAC

NEVER = -th.inf


class SaleMAC(BasicMAC):
    """`BasicMAC` with the one verb that imagination needs: the joint greedy action of a joint history (MMSA §4.3)."""

    @staticmethod
    @th.no_grad()
    def imagined_actions(agent: nn.Module, h: Tensor, avail_actions: Tensor) -> Tensor:
        """Return ``â (…, N)`` int64, greedy in ``Q_i(h)`` among the available actions.

        Args:
            agent: whose values to follow: the acting copy or the target copy.
            h: hidden states (…, N, H), real or imagined.
            avail_actions: (…, N, A) bool: what the world model predicts, or where it does not (`avail_coef=0`) the
                availability of the rollout's starting point, at all its steps.
        """
        return agent.q_imagined(h).masked_fill(~avail_actions, NEVER).argmax(dim=-1)
