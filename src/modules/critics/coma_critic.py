"""COMA's critic (Foerster et al., AAAI 2018, §4): Q of each of one agent's actions, given the others'."""

from types import SimpleNamespace

from torch import Tensor, nn
from torch.nn import functional

from modules.agents.history_encoder import own_parameters
from modules.critics.inputs import Counterfactual
from modules.linear import Linear
from modules.sale import feature_normaliser


class COMACritic(nn.Module):
    """``Q_i(s, (a_-i, ·))``: two hidden layers on state, own observation, the others' actions and the agent's number.

    Reads from `args`: `state_shape`, `obs_shape`, `n_agents`, `n_actions`, `critic_hidden_dim`,
    `share_parameters`, `normalise_features`.
    """

    def __init__(self, args: SimpleNamespace) -> None:
        super().__init__()
        own, H = own_parameters(args), args.critic_hidden_dim
        self.of_state, self.of_obs = (
            feature_normaliser(args.normalise_features, size) for size in (args.state_shape, args.obs_shape)
        )
        sizes = args.state_shape, args.obs_shape, args.n_agents, args.n_actions, H
        self.first = Counterfactual(*sizes, own is not None)
        self.second = Linear(H, H, n_agents=own)
        self.last = Linear(H, args.n_actions, n_agents=own)

    def forward(self, state: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Return ``Q (R, N, A)`` for ``s (R, S), o (R, N, O)`` and the joint action ``a (R, N, 1)`` int64."""
        x = functional.relu(self.first(self.of_state(state), self.of_obs(obs), actions), inplace=True)
        return self.last(functional.relu(self.second(x), inplace=True))
