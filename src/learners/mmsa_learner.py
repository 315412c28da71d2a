"""MMSA (Wang and Meger, AAMAS 2026), §4.4: ``L_total = L_KL + L_REC + L_TD + L(f, g)``.

One update, in order: encode histories, infer latents, imagine, mix, compare with the target, add up the losses.
What each loss trains is the gradient table of docs/mmsa.md, which tests/test_gradient_table.py checks cell by cell.

Letters: B episodes, T transitions (a batch has T+1 rows, 0 … T), N agents, A actions, H hidden size, D latent size of
the team, J rollout horizon.
"""

from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor
from torch.nn import functional

from components.episode_batch import EpisodeBatch, Scheme
from learners.base_learner import BaseLearner, transition_mask
from learners.losses import kl_loss, masked_mean, reconstruction_loss, sale_loss
from modules.world_model import Embeddings, WorldModel


class MMSALearner(BaseLearner):
    """`BaseLearner` with a world model; without one (`use_world_model=False`) the losses of the agents are left.

    Reads from `args` besides: `use_world_model`, `latent_dim`, `wm_embed_dim`, `wm_width`, `wm_sample`,
    `sale_normaliser`, `rollout_mode`, `rollout_horizon` (J), `wm_hidden`, `wm_td_grad`, `rec_target`, `kl_alpha`,
    `agent_sale_loss`, `sale_input`, and the loss weights `kl_coef`, `rec_coef`, `sale_coef`, `agent_sale_coef`.
    """

    def __init__(self, mac: Any, scheme: Scheme, logger: Any, args: SimpleNamespace) -> None:
        if args.use_world_model and (args.mac, args.mixer) != ("sale_mac", "rollout_qmix"):
            raise ValueError(f"imagination needs mac=sale_mac and mixer=rollout_qmix, not {args.mac} and {args.mixer}")
        self.world_model = (
            WorldModel(
                n_agents=args.n_agents,
                n_actions=args.n_actions,
                hidden_size=args.rnn_hidden_dim,
                latent_size=args.latent_dim,
                embed_size=args.wm_embed_dim,
                width=args.wm_width,
                normaliser=args.sale_normaliser,
                rollout_mode=args.rollout_mode,
                sample=args.wm_sample,
            )
            if args.use_world_model
            else None
        )
        super().__init__(
            mac, scheme, logger, args, {} if self.world_model is None else {"world_model": self.world_model}
        )

    def losses(self, batch: EpisodeBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return L_TD, L_KL, L_REC and L(f, g), weighted, and their parts."""
        inputs = self.mac.build_inputs(batch)
        h = self.agent.encode(inputs)  # (B, T+1, N, H)
        with th.no_grad():
            target_h = self.target_agent.encode(inputs)
        q = self.agent.q_from_hidden(h, batch["obs"])  # (B, T+1, N, A)

        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        rollout = None
        if self.world_model is not None:
            model_h = target_h if self.args.wm_hidden == "target" else h.detach()
            s, losses, metrics = self.world_model_losses(batch, model_h)
            rollout = self.imagine(batch, s, model_h)  # (B, T+1, J+1, D)
        losses["loss_td"], td_metrics = self.td(batch, q, target_h, rollout)
        losses |= self.agent_losses(batch, h, q)
        return losses, {**metrics, **td_metrics}

    def world_model_losses(self, batch: EpisodeBatch, h: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Infer the latents ``ŝ_t ~ q(·|h_t)`` and return them (B, T+1, D), the model's losses, and their parts.

        `h (B, T+1, N, H)` carries no gradient. The model is trained on the actions that were taken.
        """
        model, args = self.world_model, self.args
        pairs = transition_mask(batch)  # (B, T): 1 where ŝ_t and ŝ_{t+1} belong to one episode
        actions = batch["actions"].squeeze(-1)[:, :-1]  # (B, T, N)
        T = actions.shape[1]

        posterior = model.posterior(h)
        s = model.draw(posterior)
        z_s, z_sa = model.sale(s[:, :-1].detach(), actions)
        embeddings = model.embed(s[:, :-1], actions, sale=(z_s, z_sa))
        prior = model.prior(embeddings)  # of ŝ_{t+1}, for t = 0 … T-1
        kl, kl_parts = kl_loss(posterior.narrow(1, 1, T), prior, pairs, args.kl_alpha)

        decoded = model.decode_embeddings(model.draw(prior))
        wanted, steps = embeddings, pairs
        if args.rec_target == "next":  # the pair at t+1 needs an action there
            decoded = Embeddings(*(e[:, :-1] for e in decoded))
            wanted = Embeddings(*(e[:, 1:] for e in embeddings))
            steps = pairs[:, 1:]
        h_mask = batch["filled"].squeeze(-1).float()
        rec, rec_parts = reconstruction_loss(decoded, wanted, steps, model.decode_hidden(s), h, h_mask)

        with th.no_grad():
            z_s_next = model.sale.f(s[:, 1:])
        losses = {
            "loss_kl": args.kl_coef * kl,
            "loss_rec": args.rec_coef * rec,
            "loss_sale": args.sale_coef * sale_loss(z_sa, z_s_next, pairs),
        }
        return s, losses, {**kl_parts, **rec_parts}

    def imagine(self, batch: EpisodeBatch, s: Tensor, h: Tensor) -> Tensor:
        """Roll out J steps from all B·(T+1) starting points at once: (B, T+1, J+1, D).

        The agents act greedily in imagination, the target agents where `h` is theirs. L_TD reaches the model through
        the rollout with `wm_td_grad`; never f_s and g_s.
        """
        actor = self.target_agent if self.args.wm_hidden == "target" else self.agent
        avail = batch["avail_actions"]
        with th.set_grad_enabled(self.args.wm_td_grad):
            start = s if self.args.wm_td_grad else s.detach()
            return self.world_model.imagine(
                start,
                h,
                policy=lambda hidden: self.mac.imagined_actions(actor, hidden, avail),
                horizon=self.args.rollout_horizon,
            )

    def agent_losses(self, batch: EpisodeBatch, h: Tensor, q: Tensor) -> dict[str, Tensor]:
        """Return the losses of the agents besides L_TD: their own L(f, g), and imagination's distilled head.

        Both stand on ``sg u``: the history is trained by L_TD alone.
        """
        losses = {}
        mask = transition_mask(batch)
        if self.args.agent_sale_loss:
            u = self.agent.sale_input(h, batch["obs"]).detach()
            _, z_oa = self.agent.sale(u[:, :-1], batch["actions"][:, :-1])
            with th.no_grad():
                z_o_next = self.agent.sale.f(u[:, 1:])
            losses["loss_sale_agent"] = self.args.agent_sale_coef * sale_loss(z_oa, z_o_next, mask)
        if self.args.sale_input == "obs":
            error = functional.mse_loss(self.agent.q_imagined(h.detach()), q.detach(), reduction="none")
            losses["loss_distil"] = masked_mean(error.mean(dim=(-2, -1))[:, :-1], mask)
        return losses
