"""The controller of agents that live in a world model: the model remembers, the actor chooses.

What is carried from step to step is each agent's features (h, z), and nothing else. Agents of a decentralised model
(`World.decentralised`) act on their own observations and actions alone, with MAMBA's on everybody's.

Letters: N agents, F features, G categoricals of a latent, V size of an action as networks read it, W of availability,
D numbers that drawing an action takes; n episodes that are acting.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import torch as th
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch, Rows, Scheme
from controllers.policy_mac import refuse_settings_of_values
from modules.actors.densities import Density
from modules.actors.dream_actor import DreamActor
from modules.worlds import REGISTRY as WORLDS
from modules.worlds.actions import encode_actions
from modules.worlds.contract import who_is_absent
from modules.worlds.settings import WorldSettings


class DreamMAC:
    """Reads from `args`: `world` and what `world_settings` names, `actor_width`, `actor_layers`, the actor's spread."""

    def __init__(self, scheme: Scheme, groups: Mapping[str, int], args: SimpleNamespace) -> None:
        refuse_settings_of_values(args)
        if not args.share_parameters:
            raise ValueError("a world model's agents share their parameters: take share_parameters=True")
        if not args.use_rnn:
            raise ValueError("a world model is what remembers: use_rnn=False is for agents and actors without one")
        self.args, self.n_agents, self.space = args, groups["agents"], args.action_space
        self.n_avail = scheme["avail_actions"]["vshape"][0]
        settings = world_settings(args)
        self.world: nn.Module = WORLDS[args.world](settings)
        self.actor = DreamActor(
            self.world.features_size, args.actor_width, args.actor_layers, self.space, self.n_avail,
            args.actor_spread, args.actor_initial_std,
        )  # fmt: skip
        self.agent = nn.ModuleDict({"world": self.world, "actor": self.actor})
        self.groups = args.latent_groups
        self.shows = "mean" if self.space.kind == "continuous" else "p"  # what `step` gives

    @property
    def device(self) -> th.device:
        """Where the networks lie."""
        return next(self.actor.parameters()).device

    def init_hidden(self, batch_size: int) -> Tensor:
        """Return what is carried before the first step, (B, N, F): zeros."""
        return th.zeros(batch_size, self.n_agents, self.world.features_size, device=self.device)

    def epsilon(self, t_env: int, test_mode: bool) -> float:
        """Return whether latents and actions are drawn, 1, or the likeliest are taken, 0."""
        return 0.0 if test_mode and not self.args.evaluation_draws else 1.0

    def evaluates(self) -> str:
        """Return which kind of episodes it plays in evaluation, in words."""
        return "episodes with drawn actions" if self.args.evaluation_draws else "greedy episodes"

    def draws(self, generators: Sequence[np.random.Generator], steps: int, epsilon: float) -> np.ndarray | None:
        """Return what acting through whole episodes draws, each episode's from its own generator: (n, steps, N, G + D).

        One uniform number per categorical of a latent, then what the actor's density takes. None with ε = 0,
        where latents and actions are the most likely ones.
        """
        if epsilon == 0.0:
            return None
        return np.stack([self._draw(generator, steps) for generator in generators])

    def _draw(self, generator: np.random.Generator, steps: int) -> np.ndarray:
        of_latents = generator.random((steps, self.n_agents, self.groups))
        shape = (steps, self.n_agents, self.space.size)
        of_actions = generator.standard_normal(shape) if self.space.kind == "continuous" else generator.random(shape)
        return np.concatenate([of_latents, of_actions], axis=-1)

    @th.no_grad()
    def select_actions(
        self,
        batch: EpisodeBatch,
        t_ep: int,
        hidden: Tensor,
        epsilon: float,
        draws: np.ndarray | None,
        bs: Rows = slice(None),
    ) -> tuple[np.ndarray, Tensor]:
        """Choose actions as `BasicMAC.select_actions` does: (n, N, …), as the action space has them.

        What is carried on as `hidden` is (n, N, F), `draws` are (n, N, G + D): with them it draws, without them it
        takes the best; `epsilon` is not read.
        """
        density, features = self._density(batch, t_ep, hidden, bs, draws)
        if draws is None:
            actions = density.mode()
        else:
            actions = density.drawn(self._tensor(draws[..., self.groups :]))
        actions = actions.cpu().numpy()
        return (actions[..., 0] if self.space.kind == "discrete" else actions), features

    def step(self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows) -> tuple[np.ndarray, Tensor]:
        """Return the probabilities of choices, or means of numbers, (n, N, W), and what to carry on; draws nothing."""
        density, features = self._density(batch, t, hidden, bs, None)
        return density.probabilities().cpu().numpy(), features

    def _density(
        self, batch: EpisodeBatch, t: int, hidden: Tensor, bs: Rows, draws: np.ndarray | None
    ) -> tuple[Density, Tensor]:
        """Return the density over actions at one step, and the features (n, N, F) it was made of."""
        obs = self._tensor(batch.array("obs")[bs, t])
        avail = th.from_numpy(batch.array("avail_actions")[bs, t]).to(self.device)
        if self.args.absent_agents == "absorbing":
            absent = who_is_absent(avail, self.space.kind != "continuous", self.args.noop)
            obs = obs * ~absent.unsqueeze(-1)
        uniforms = None if draws is None else self._tensor(draws[..., : self.groups])
        features = self.world.act(obs, hidden, self._last_actions(batch, t, bs, len(obs)), uniforms)
        return self.actor(features, avail), features

    def _last_actions(self, batch: EpisodeBatch, t: int, bs: Rows, n: int) -> Tensor:
        """Return the actions that led to row t as networks read them, (n, N, V): zeros at the first row."""
        if t == 0:
            return th.zeros(n, self.n_agents, self.world.settings.action_size, device=self.device)
        taken = th.from_numpy(batch.array("actions")[bs, t - 1]).to(self.device)
        taken = taken if taken.is_floating_point() else taken.long()
        return encode_actions(taken, self.space, self.n_avail)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return th.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self.device)


def world_settings(args: SimpleNamespace) -> WorldSettings:
    """Return a world model's sizes and forms from a run's settings."""
    space = args.action_space
    return WorldSettings(
        n_agents=args.n_agents,
        obs_size=args.obs_shape,
        state_size=args.state_shape,
        n_avail=args.n_actions,
        action_size=args.n_actions,
        discrete=space.kind != "continuous",
        noop=args.noop,
        images=args.obs_images,
        agent_id=args.obs_agent_id,
        hidden=args.world_hidden,
        groups=args.latent_groups,
        classes=args.latent_classes,
        width=args.world_width,
        layers=args.world_layers,
        decoder_width=args.decoder_width,
        decoder_layers=args.decoder_layers,
        attention_layers=args.attention_layers,
        attention_heads=args.attention_heads,
        attention_hidden=args.attention_hidden,
        unimix=args.unimix,
        kl_prior=args.kl_prior,
        kl_posterior=args.kl_posterior,
        kl_over=args.kl_over,
        free_nats=args.free_nats,
        decoder_weight=args.decoder_weight,
        obs_loss=args.obs_loss,
        reward_head=args.reward_head,
        bins=args.bins,
        bins_range=args.bins_range,
        own_action=args.own_action,
        absent=args.absent_agents,
        imagined_avail=args.imagined_avail,
        critic_reads=args.critic_reads,
        interaction=args.interaction,
        single_global=args.single_global,
        global_reads=args.global_reads,
        prior_reads=args.prior_reads,
    )
