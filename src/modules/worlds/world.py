"""What all world models share: loops over time, losses, imagination.

A model keeps a deterministic state h and a latent z per agent, ``h_t = f(h_{t-1}, z_{t-1}, a_{t-1})`` and
``z_t ~ q(· | h_t, o_t)``; its prior ``p(z_t | h_t)`` has not seen o_t. In front of a first row, all three are zeros.
`contract.py` has the letters, and what stands at which row.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch as th
from torch import Tensor, nn

from modules.worlds.contract import (
    Actor,
    Decoded,
    Dream,
    Observed,
    Scalars,
    Segment,
    State,
    each,
    one_step_earlier,
    who_is_absent,
)
from modules.worlds.heads import bernoulli_loss, distance, number_head, symexp, symlog
from modules.worlds.latents import (
    balanced_kl,
    draw,
    entropy,
    latent_kl,
    log_probabilities,
    mode,
    probabilities,
    straight_through,
)
from modules.worlds.mlp import MLP, Hidden
from modules.worlds.pictures import SeenDecoder, SeenEncoder
from modules.worlds.settings import WorldSettings


class World(nn.Module, ABC):
    """A world model of agents that share its parameters.

    A subclass says how a state moves (`recur`), what the latents' distributions are (`posterior`, `prior`) and how a
    row is decoded (`decode`). `decentralised` promises that `act` gives an agent features of its own past alone.
    """

    decentralised: ClassVar[bool] = True

    def __init__(self, settings: WorldSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.n_agents, self.H, self.Z = s.n_agents, s.hidden, s.groups * s.classes
        self.features_size = self.H + self.Z
        self.rewards = number_head(s.reward_head, s.bins, s.bins_range)
        self.register_buffer("ids", th.eye(s.n_agents), persistent=False)
        self.seen = SeenEncoder(s.images, s.obs_size, s.width) if s.images else None
        numbers = s.obs_size if self.seen is None else self.seen.size
        self.encoder = Hidden(numbers + s.n_agents * s.agent_id, s.width, s.layers)
        self.before_gru = Hidden(self.Z + s.action_size, s.width, 1)
        self.gru = nn.GRUCell(s.width, s.hidden)
        self.posterior_net = MLP(s.hidden + s.width, self.Z, s.width, 1)
        self.obs_decoder = Hidden(self.features_size, s.decoder_width, s.decoder_layers)
        self.obs_out = make_obs_out(s)

    # What a method is made of.

    def recur(self, state: Any, actions: Tensor) -> Tensor:
        """Return ``h_t`` from the state and the actions (…, N, V) of the row before: each agent from its own."""
        x = self.before_gru(th.cat([state.z, actions], dim=-1))
        return self.gru(x.flatten(0, -2), state.h.flatten(0, -2)).view(state.h.shape)

    def posterior(self, h: Tensor, embedded: Tensor) -> Tensor:
        """Return ``q(z_t | h_t, o_t)`` as logits (…, N, Z), from observations already embedded."""
        return self.posterior_net(th.cat([h, embedded], dim=-1))

    @abstractmethod
    def prior(self, h: Tensor, present: Tensor | None = None) -> Tensor:
        """Return ``p(z_t | h_t …)`` as logits (…, N, Z)."""

    @abstractmethod
    def decode(self, before: Any, state: Any, present: Tensor | None = None) -> Decoded:
        """Return what is said of a row, from its state and the one before it."""

    def step(
        self, state: Any, actions: Tensor, embedded: Tensor, world_state: Tensor
    ) -> tuple[Any, tuple[Tensor, ...]]:
        """Return the state at the next row and the posteriors' logits it was drawn from; `world_state` is (…, S)."""
        h = self.recur(state, actions)
        q = self.posterior(h, embedded)
        return State(h, self.drawn(q)), (q,)

    def priors(self, states: Any, present: Tensor | None) -> tuple[Tensor, ...]:
        """Return the priors at rows whose states are known, by level as `step` gives posteriors."""
        return (self.prior(states.h, present),)

    def imagine_step(self, state: Any, actions: Tensor, present: Tensor | None) -> Any:
        """Return a next state that nobody has observed: ``z ~ p(· | h)``."""
        h = self.recur(state, actions)
        return State(h, self.drawn(self.prior(h, present)))

    # What all of them do.

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities (…, G, C) that a network's output (…, Z) means."""
        return probabilities(logits, self.settings.classes, self.settings.unimix)

    def drawn(self, logits: Tensor) -> Tensor:
        """Draw latents (…, Z), straight through."""
        p = self.probabilities(logits)
        return straight_through(draw(p), p)

    def log_p(self, logits: Tensor) -> Tensor:
        """Return the same distributions as logarithms, (…, G, C)."""
        return log_probabilities(logits, self.settings.classes, self.settings.unimix)

    def start(self, *shape: int) -> Any:
        """Return the state in front of a first row: zeros, with these axes in front of (N, …)."""
        return State(*(self.ids.new_zeros(*shape, self.n_agents, size) for size in (self.H, self.Z)))

    def features(self, state: Any) -> Tensor:
        """Return what an agent's actor reads: its own h and z, (…, N, F)."""
        return th.cat([state.h, state.z], dim=-1)

    def critic_features(self, state: Any) -> Tensor:
        """Return what a critic reads of each agent."""
        return state.h if self.settings.critic_reads == "h" else self.features(state)

    @property
    def critic_size(self) -> int:
        """Width of `critic_features`."""
        return self.H if self.settings.critic_reads == "h" else self.features_size

    def embed(self, obs: Tensor) -> Tensor:
        """Return what the posterior reads of observations (…, N, I), each with its agent's number: (…, N, width)."""
        obs = symlog(obs) if self.settings.obs_loss == "symlog" else obs
        if self.seen is not None:
            obs = self.seen(obs)
        if self.settings.agent_id:
            obs = th.cat([obs, self.ids.expand(*obs.shape[:-1], self.n_agents)], dim=-1)
        return self.encoder(obs)

    def observe(self, segment: Segment) -> Observed:
        """Infer the states of all rows, one after the other; draws a latent at each."""
        rows = [self.embed(segment.obs), one_step_earlier(segment.actions, segment.first), segment.state]
        resets = segment.first.any(dim=0).tolist()
        state, states, posteriors = self.start(len(segment.first)), [], []
        for t, (embedded, taken, world_state) in enumerate(zip(*(x.unbind(dim=1) for x in rows), strict=True)):
            if resets[t] and t > 0:
                keep = (~segment.first[:, t]).float()[:, None, None]
                state = each(keep.mul, state)
            state, posterior = self.step(state, taken, embedded, world_state)
            states.append(state)
            posteriors.append(posterior)
        together = each(lambda *parts: th.stack(parts, dim=1), *states)
        return Observed(
            together,
            each(lambda x: one_step_earlier(x, segment.first), together),
            tuple(self.log_p(th.stack(level, dim=1)) for level in zip(*posteriors, strict=True)),
            tuple(map(self.log_p, self.priors(together, self.seen_by_others(segment.absent)))),
        )

    def seen_by_others(self, absent: Tensor) -> Tensor | None:
        """Return which agents others can see: all of them, unless absence is predicted instead of absorbed."""
        return ~absent if self.settings.absent == "predicted" else None

    @th.no_grad()
    def act(self, obs: Tensor, carry: Tensor, actions: Tensor, uniforms: Tensor | None) -> Tensor:
        """Return the features (n, N, F) at the next row of episodes that are played; they are the next carry.

        Args:
            obs: (n, N, I).
            carry: what the last call returned; zeros in front of the first row.
            actions: (n, N, V), taken since then; zeros at the first row.
            uniforms: (n, N, G) in [0, 1), from which latents are drawn; None takes the most likely ones.
        """
        state = State(*carry.split([self.H, self.Z], dim=-1))
        h = self.recur(state, actions)
        p = self.probabilities(self.posterior(h, self.embed(obs)))
        z = mode(p) if uniforms is None else draw(p, uniforms)
        return th.cat([h, z.flatten(-2)], dim=-1)

    def obs_of(self, state: Any) -> Tensor:
        """Return the observations that a model sees in its mind, (…, N, I), as they would have been observed."""
        seen = self.obs_out(self.obs_decoder(self.features(state)))
        return symexp(seen) if self.settings.obs_loss == "symlog" else seen

    def losses(self, segment: Segment, observed: Observed) -> Scalars:
        """Return the terms of the model's loss, weighted.

        Sums over agents, means over rows: all of them, or for what arrives, those that something led to.
        """
        s, rows = self.settings, ~segment.first
        decoded = self.decode(observed.before, observed.states, self.seen_by_others(segment.absent))
        hidden = self.obs_decoder(self.features(observed.states))
        there = 1.0 - segment.absent.float() if s.absent in ("masked", "predicted") else th.ones_like(segment.reward)
        arrived = rows.float().unsqueeze(-1) / rows.sum().clamp(min=1)  # a mean over the rows that something led to
        everywhere = 1.0 / rows.numel()
        seen = distance(self.obs_out(hidden), segment.obs, s.obs_loss).sum(dim=-1)
        alone = there if s.absent == "predicted" else th.ones_like(there)
        losses = {
            "loss_obs": (seen * there).sum() * everywhere,
            "loss_reward": (self.rewards.loss(decoded.reward, segment.reward) * arrived * alone).sum(),
            "loss_goes_on": (bernoulli_loss(decoded.goes_on, segment.goes_on) * arrived * alone).sum(),
            "loss_avail": (bernoulli_loss(decoded.avail, segment.avail.float()).sum(dim=-1) * alone).sum() * everywhere,
        }
        if decoded.absent is not None:
            losses["loss_absent"] = bernoulli_loss(decoded.absent, segment.absent.float()).sum() * everywhere
        losses |= self.action_losses(hidden, segment, observed, there)
        losses = {name: s.decoder_weight * loss for name, loss in losses.items()}
        return losses | {"loss_kl": self.divergence(observed, alone)}

    def action_losses(self, hidden: Tensor, segment: Segment, observed: Observed, there: Tensor) -> Scalars:
        """Return the loss of decoding an agent's own action, for the methods that do; `hidden` is the decoder's."""
        return {}

    def divergence(self, observed: Observed, weight: Tensor) -> Tensor:
        """Return the balanced KL of all levels."""
        s, total = self.settings, 0.0
        for q, p in zip(observed.posterior, observed.prior, strict=True):
            loss = balanced_kl(q, p, s.kl_prior, s.kl_posterior, s.free_nats, s.kl_over)
            counts = weight if loss.shape == weight.shape else th.ones_like(loss)
            total = total + (loss * counts).sum(dim=-1).mean()
        return total

    @th.no_grad()
    def figures(self, observed: Observed) -> Scalars:
        """Return for each level its KL and entropies in nats per agent; they are looked up for the log alone."""
        found = {}
        for level, q, p in zip(("", "_global"), observed.posterior, observed.prior, strict=False):
            found[f"kl{level}"] = latent_kl(q, p, self.settings.kl_over).mean()
            found[f"posterior_entropy{level}"] = entropy(q).sum(dim=-1).mean()
            found[f"prior_entropy{level}"] = entropy(p).sum(dim=-1).mean()
        return found

    @th.no_grad()
    def imagine(self, start: Any, avail: Tensor, absent: Tensor, actor: Actor, steps: int) -> Dream:
        """Let agents act in the model for some steps, from K states at once.

        Args:
            start: states (K, N, …), inferred from real rows.
            avail: (K, N, W) bool, what could be done at those rows.
            absent: (K, N) bool, who was absent at them.
            actor: who acts, see `Actor`.
            steps: L.
        """
        state, states, rows = start, [start], []
        for _ in range(steps):
            actions, log_probs, encoded = actor(self.features(state), avail)
            after = self.imagine_step(state, encoded, self.seen_by_others(absent))
            said = self.decode(state, after, self.seen_by_others(absent))
            goes_on = said.goes_on.sigmoid()
            if said.absent is not None:
                goes_on = goes_on * (1 - said.absent.sigmoid())
            rows.append((avail, actions, log_probs, self.rewards.mean(said.reward), goes_on, absent))
            states.append(after)
            avail, absent = self.imagined_avail(said, absent)
            state = after
        together = each(lambda *parts: th.stack(parts, dim=1), *states)
        return Dream(together, *(th.stack(column, dim=1) for column in zip(*rows, strict=True)))

    def imagined_avail(self, said: Decoded, absent: Tensor) -> tuple[Tensor, Tensor]:
        """Say what can be done at an imagined row (at least one thing), and who is absent there."""
        s, p = self.settings, said.avail.sigmoid()
        match s.imagined_avail:
            case "drawn":
                avail = th.rand_like(p) < p
            case "likely":
                avail = p > 0.5
            case "all":
                avail = th.ones_like(p, dtype=th.bool)
        if s.discrete:
            nothing = ~avail.any(dim=-1, keepdim=True)
            if s.noop is None:
                left = p.argmax(dim=-1, keepdim=True)
                avail.scatter_(-1, left, avail.gather(-1, left) | nothing)
            else:
                avail[..., s.noop, None] |= nothing
        if said.absent is None:
            return avail, who_is_absent(avail, s.discrete, s.noop)
        return avail, absent | (th.rand_like(said.absent) < said.absent.sigmoid())


def make_obs_out(settings: WorldSettings) -> nn.Module:
    """Return what turns the decoder's hidden layer into an observation: a linear layer, convolutions for pictures."""
    if not settings.images:
        return nn.Linear(settings.decoder_width, settings.obs_size)
    return SeenDecoder(settings.decoder_width, settings.images, settings.obs_size)
