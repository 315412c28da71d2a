"""The losses of every learner in their slow form: one episode, one transition, one imagined step at a time.

Written from the paper's equations (MMSA §4.2-4.4) for `wm_sample=false rollout_sample=false`; targets come from the
forward view. Every `detach` is an `sg` of docs/mmsa.md, so the gradients are those that the losses should have.
"""

from collections import defaultdict
from copy import deepcopy

import torch as th
from fixtures_mmsa import slow_lambda_return
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import mse_loss

from components.episode_rows import EpisodeRows
from modules.world_model import Gaussian


def slow_losses(learner, batch):
    """Return the losses by name."""
    terms = defaultdict(list)
    for b in range(batch.batch_size):
        length = int(batch["filled"][b].sum()) - 1
        episode = SlowEpisode(learner, batch[b : b + 1, : length + 1])
        for t in range(length):
            for name, value in episode.terms(t).items():
                terms[name].append(value)
        if episode.model is not None:
            terms["rec_h"] += episode.hidden_errors()
            for name, value in episode.imagined_errors():
                terms[name].append(value)
    means = {name: th.stack(values).mean() for name, values in terms.items()}
    if "rec_h" in means:
        means["loss_rec"] += learner.args.rec_hidden_coef * means.pop("rec_h")
    ahead = [means.pop(name) for name in list(means) if name.startswith("history_")]
    if ahead:
        mean = sum(ahead) / learner.args.imagined_history_steps
        means["loss_imagined_history"] = learner.args.imagined_history_coef * mean
    return means


class SlowEpisode:
    """One episode of L actions: rows 0 … L."""

    def __init__(self, learner, episode):
        self.learner, self.args, self.agent = learner, learner.args, learner.agent
        self.length = episode.max_seq_length - 1
        fields = ("obs", "state", "avail_actions", "actions", "reward", "terminated")
        self.obs, self.state, self.avail, actions, reward, ends = (episode[name][0] for name in fields)
        self.actions, self.rewards, self.ended = actions[..., 0], reward[:-1, 0], bool(ends.any())
        rows = EpisodeRows(episode)
        inputs = learner.mac.build_inputs(rows)
        self.h, self.h_target = (agent.encode(inputs, rows.sizes) for agent in (self.agent, learner.target_agent))
        self.model = getattr(learner, "world_model", None)
        if self.model is not None:
            histories = {"online": self.h.detach(), "target": self.h_target}
            self.model_h, self.start_h = histories[self.args.wm_hidden], histories[self.args.rollout_hidden]
            self.dreamer = self.agent if self.args.rollout_hidden == "online" else learner.target_agent
            self.s, self.start = ([self.model.posterior(h).mean for h in hs] for hs in (self.model_h, self.start_h))
            self.held = None if self.model.sale is None else deepcopy(self.model.sale).requires_grad_(False)
        self.next_values = [self.value(t + 1).detach() for t in range(self.length)]

    def best(self, q, t):
        """Return the best available action of each agent at row t."""
        return q.masked_fill(~self.avail[t], -1e9).argmax(dim=-1)

    def rollout(self, t):
        """Return ŝ_t … ŝ_{t+J}, each step by step."""
        latents, q = [self.start[t]], self.dreamer.q_from_hidden(self.start_h[t], self.obs[t])
        for _ in range(self.args.rollout_horizon):
            s, h = self.imagined(latents[-1], self.best(q, t))
            latents.append(s)
            q = self.dreamer.q_imagined(h)
        return th.stack(latents) if self.args.wm_td_grad else th.stack(latents).detach()

    def mixed(self, mixer, qs, t):
        """Return Q_tot at row t, or every agent's own value."""
        if mixer is None:
            return qs
        rollout = [] if self.model is None else [self.rollout(t)[None]]
        return mixer(qs[None], self.state[t, None], *rollout)[0]

    def value(self, t):
        """Return the target's value of row t: the online agents choose (with double Q), the target agents score."""
        target_q = self.learner.target_agent.q_from_hidden(self.h_target[t], self.obs[t])
        online_q = self.agent.q_from_hidden(self.h[t], self.obs[t])
        chosen = self.best(online_q if self.args.double_q else target_q, t)
        qs = th.stack([target_q[i, a] for i, a in enumerate(chosen)])
        return self.mixed(self.learner.target_mixer, qs, t)

    def terms(self, t):
        """Return the share of transition t in every loss but that of reconstructing h."""
        return self.td_term(t) | self.agent_terms(t) | ({} if self.model is None else self.model_terms(t))

    def td_term(self, t):
        """Return (y - Q_tot)²."""
        q = self.agent.q_from_hidden(self.h[t], self.obs[t])
        taken = self.mixed(self.learner.mixer, th.stack([q[i, a] for i, a in enumerate(self.actions[t])]), t)
        y = slow_lambda_return(self.rewards, self.next_values, self.ended, t, self.args.gamma, self.args.td_lambda)
        return {"loss_td": (y - taken).square().mean()}

    def agent_terms(self, t):
        """Return the agents' own SALE loss, and that of the head that speaks in imagination."""
        terms, args, agent = {}, self.args, self.agent
        if not hasattr(args, "agent_sale_loss"):  # IQL, VDN, QMIX
            return terms
        if args.agent_sale_loss:
            history = self.h_target if args.agent_sale_hidden == "target" else self.h
            u = self.obs if args.sale_input == "obs" else history.detach()
            z_a, z_next = agent.sale.g(agent.sale.f(u[t]), self.actions[t, :, None]), agent.sale.f(u[t + 1])
            foreseen = agent.predictor(z_a) if args.agent_sale_predictor else z_a
            terms["loss_sale_agent"] = args.agent_sale_coef * mse_loss(foreseen, z_next.detach())
        if "obs" in (args.sale_input, args.phi_input):
            q = agent.q_from_hidden(self.h[t], self.obs[t])
            memoryless = args.sale_input == args.phi_input and not args.sale_skip
            h = self.h[t] if memoryless else self.h[t].detach()
            terms["loss_distil"] = mse_loss(agent.imagined_head(h), q.detach())
        return terms

    def embedded(self, s, actions):
        """Return z^sa, z^s, φ^sa in one vector; without SALE, φ^sa alone."""
        phi = self.model.phi(s, actions)
        if self.args.wm_normalise_phi:
            phi = phi / phi.abs().mean()
        if not self.args.wm_sale:
            return phi
        read = s if self.args.wm_sale_grad else s.detach()
        z_s = self.held.f(read)
        z_sa = self.held.g(z_s, actions)
        if self.args.wm_normalise_z_sa:
            z_sa = z_sa / z_sa.abs().mean()
        return th.cat([z_sa, z_s, phi])

    def prior(self, s, actions):
        """Return VAE-1's distribution of the next ŝ."""
        given = self.model.prior_encoder(self.embedded(s, actions))
        return Gaussian(s + given.mean, given.std) if self.args.wm_prior == "change" else given

    def imagined(self, s, actions):
        """Return ŝ and h' of the next row."""
        latent = self.prior(s, actions).mean
        outputs = self.model.prior_decoder(latent)
        s = outputs.chunk(3)[1] if self.args.rollout_mode == "decoded" else latent
        return s, self.model.decode_hidden(outputs if self.args.history_from == "embeddings" else s)

    def model_terms(self, t):
        """Return what the world model pays for the pair (t, t+1)."""
        args, model = self.args, self.model
        p, q = self.prior(self.s[t], self.actions[t]), model.posterior(self.model_h[t + 1])
        prior, still_prior, posterior, still_posterior = (
            Independent(Normal(*moments), 1) for moments in (p, p.detach(), q, q.detach())
        )
        normal = Independent(Normal(th.zeros_like(p.mean), th.ones_like(p.std)), 1)
        to_posterior, to_prior = kl_divergence(posterior, still_prior), kl_divergence(still_posterior, prior)
        if args.kl_alpha is None:
            balanced = kl_divergence(Independent(Normal(*q), 1), Independent(Normal(*p), 1))
        else:
            balanced = args.kl_alpha * to_posterior + (1 - args.kl_alpha) * to_prior
        kl = args.kl_normal_coef * kl_divergence(prior, normal) + balanced
        if args.kl_reduction == "mean":
            kl = kl / p.mean.shape[-1]
        terms = {"loss_kl": args.kl_coef * kl}
        if args.wm_sale:
            z_sa = model.sale.g(model.sale.f(self.s[t].detach()), self.actions[t])
            terms["loss_sale"] = args.sale_coef * mse_loss(z_sa, model.sale.f(self.s[t + 1]).detach())
        wanted = t + 1 if args.rec_target == "next" else t
        if wanted < self.length:  # the last row holds no action to embed
            target = self.embedded(self.s[wanted], self.actions[wanted])
            error = mse_loss(model.prior_decoder(p.mean), target.detach() if args.rec_stop_gradient else target)
            outputs = 3 if args.wm_sale else 1  # all of one size
            terms["loss_rec"] = args.rec_coef * outputs * error
        return terms

    def hidden_errors(self):
        """Return the errors of h' in L_REC, of every row or transition that has one."""
        model, h, steps = self.model, self.model_h, range(self.length)
        if self.args.history_target == "next":
            return [mse_loss(self.imagined(self.s[t], self.actions[t])[1], h[t + 1]) for t in steps]
        if self.args.history_from == "latent":
            return [mse_loss(model.decode_hidden(s), real) for s, real in zip(self.s, h, strict=True)]
        return [mse_loss(model.decode_hidden(self.embedded(self.s[t], self.actions[t])), h[t]) for t in steps]

    def imagined_errors(self):
        """Yield the error of every history imagined j steps ahead, by a name for each j."""
        if self.args.imagined_history_coef > 0:
            for start in range(self.length):
                s = self.s[start]
                for j in range(1, min(self.args.imagined_history_steps, self.length - start) + 1):
                    s, h = self.imagined(s, self.actions[start + j - 1])
                    yield f"history_{j}", mse_loss(h, self.model_h[start + j])
