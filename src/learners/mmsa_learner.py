"""MMSA (Wang and Meger, AAMAS 2026), §4.4: ``L_total = L_KL + L_REC + L_TD + L(f, g)``.

One update, in order: encode histories, infer latents, imagine, mix, compare with the target, add up the losses.
What each loss trains is the gradient table of docs/mmsa.md, which tests/test_gradient_table.py checks cell by cell.

Letters: R rows and K transitions of a batch (see `EpisodeRows`), N agents, A actions, H hidden size, D latent size of
the team, J rollout horizon.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch as th
from torch import Tensor, nn
from torch.nn import functional

from components.episode_rows import Batch, EpisodeRows
from learners.learner import Scalars
from learners.losses import avail_loss, history_loss, kl_loss, reconstruction_losses, sale_loss, weighted_sum
from learners.mmsa_diagnostics import diagnose
from learners.targets import greedy_actions
from learners.value_learner import ValueLearner
from modules.world_model import Embeddings, Gaussian, WorldModel, joined


class MMSALearner(ValueLearner):
    """`ValueLearner` with a world model; without one (`use_world_model=False`) the losses of the agents are left.

    Reads from `args` besides: `use_world_model`, `wm_sale`, `wm_sale_grad`, `wm_normalise_phi`, `wm_normalise_z_sa`,
    `wm_prior`, `wm_per_agent`, `wm_own_from`, `latent_dim`, `wm_embed_dim`, `wm_width`, `wm_sample`, `rollout_sample`,
    `sale_normaliser`, `rollout_mode`, `history_from`, `rollout_horizon` (J), `wm_hidden`, `rollout_hidden`,
    `wm_td_grad`, `wm_interval`, `rec_target`, `history_target`, `rec_stop_gradient`, `kl_alpha`, `kl_reduction`,
    `imagined_history_steps`, `agent_sale_loss`, `agent_sale_hidden`, `sale_input`, `phi_input`, `sale_fixed`, and the
    loss weights `kl_coef`, `kl_normal_coef`, `rec_coef`, `rec_hidden_coef`, `avail_coef`, `imagined_history_coef`,
    `sale_coef`, `agent_sale_coef`.
    """

    SUMS_OVER_ROWS = True
    AUTOCASTS = True
    READS_LATER = (
        *ValueLearner.READS_LATER, "agent_sale_loss", "agent_sale_coef", "agent_sale_hidden", "sale_input", "phi_input",
        "sale_fixed", "kl_alpha", "kl_coef", "kl_normal_coef", "kl_reduction", "rec_coef", "rec_hidden_coef",
        "rec_target", "rec_stop_gradient", "history_target", "imagined_history_coef", "imagined_history_steps",
        "sale_coef", "rollout_horizon", "rollout_sample", "rollout_hidden", "wm_hidden", "wm_td_grad",
        "wm_interval",
    )  # fmt: skip

    def __init__(self, mac: Any, scheme: Mapping[str, Any], logger: Any, args: SimpleNamespace) -> None:
        if args.use_world_model and (args.mac, args.mixer) != ("sale_mac", "rollout_qmix"):
            raise ValueError(f"imagination needs mac=sale_mac and mixer=rollout_qmix, not {args.mac} and {args.mixer}")
        if args.agent != "sale_rnn" and (args.agent_sale_loss or args.sale_fixed):
            raise ValueError(f"agent_sale_loss and sale_fixed need agent=sale_rnn, not {args.agent}")
        if args.sale_fixed and not args.agent_sale_loss:
            raise ValueError("sale_fixed=True needs agent_sale_loss=True: nothing else would train f and g")
        if args.sale_fixed and args.target_update_tau is not None:
            raise ValueError("sale_fixed=True fixes f and g when targets are copied: take target_update_tau=null")
        if args.use_world_model and args.agent not in ("rnn", "sale_rnn"):
            raise ValueError(f"agent={args.agent} scores what it sees; imagination shows nothing: take agent=sale_rnn")
        if args.use_world_model and not args.use_rnn and args.memoryless != "tanh":
            raise ValueError(f"a world model decodes h in (-1, 1): take memoryless=tanh, not {args.memoryless}")
        if args.use_world_model and args.wm_interval > 1 and args.cuda_graph:
            raise ValueError(
                "wm_interval above 1 makes updates differ, cuda_graph=True records one: take False, or wm_interval=1"
            )
        self.world_model = build_world_model(args) if args.use_world_model else None
        super().__init__(
            mac, scheme, logger, args, {} if self.world_model is None else {"world_model": self.world_model}
        )

    @property
    def dreamer(self) -> nn.Module:
        """The copy of the agents in whose histories rollouts start, and who acts in imagination."""
        return self.target_agent if self.args.rollout_hidden == "target" else self.agent

    @property
    def model_learns(self) -> bool:
        """Whether this update takes the world model's own losses: every `wm_interval`-th does, the first too."""
        return self.updates % self.args.wm_interval == 0

    def update_targets(self) -> None:
        """Move the targets, then the fixed encoders: TD7's values read f, g one period old, its targets two."""
        super().update_targets()
        if self.args.sale_fixed:
            self.agent.fix_encoders()

    def losses(self, rows: EpisodeRows) -> tuple[Scalars, Scalars]:
        """Return L_TD and, where the `model_learns`, L_KL, L_REC and L(f, g), weighted, and their parts."""
        inputs, obs = self.mac.build_inputs(rows), rows["obs"]
        h = self.agent.encode(inputs, rows.sizes)  # (R, N, H)
        q_taken, q = self.agent.score(h, rows["actions"], obs)  # (R, N) and, without gradients, (R, N, A)
        target_h, target_q = self.target_values(rows, inputs)

        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        rollout = None
        if self.world_model is not None:
            histories, values = {"target": target_h, "online": h.detach()}, {"target": target_q, "online": q}
            learnt_from, starts_from = self.args.wm_hidden, self.args.rollout_hidden
            if self.model_learns:
                s, losses, metrics = self.world_model_losses(rows, histories[learnt_from])
            if not self.model_learns or starts_from != learnt_from:
                s = self.start(histories[starts_from])
            rollout = self.imagine(rows, s, values[starts_from], draw=self.args.rollout_sample)  # (R, J+1, D)
        losses["loss_td"], td_metrics = self.td(rows, q_taken, q, target_q, rollout)
        losses.update(self.agent_losses(rows, h, target_h, q))
        return losses, {**metrics, **td_metrics}

    def diagnose(self, batch: Batch) -> dict[str, Tensor]:
        """Return what is logged of the world model and the embeddings, see `mmsa_diagnostics`."""
        return diagnose(self, batch)

    def world_model_losses(self, rows: EpisodeRows, h: Tensor) -> tuple[Tensor, Scalars, Scalars]:
        """Infer the latents ``ŝ_t ~ q(·|h_t)`` and return where rollouts start (R, D), the model's losses, their parts.

        `h (R, N, H)` carries no gradient. The model is trained on the actions that were taken.
        """
        model, args, weights = self.world_model, self.args, rows.weights(1)
        actions = rows.now(rows["actions"]).squeeze(-1)  # (K, N)

        posterior = model.posterior(h)
        s = model.draw(posterior)
        sale = None
        if model.sale is not None:
            z_s = model.sale.f(s.detach())
            z_s_now = rows.now(z_s)
            sale = z_s_now, model.sale.g(z_s_now, actions)
        embeddings = model.embed(rows.now(s), actions, sale)
        prior = model.prior(embeddings, rows.now(s))  # of ŝ_{t+1}
        ahead = Gaussian(*map(rows.then, posterior))
        kl, kl_parts = kl_loss(ahead, prior, weights, args.kl_alpha, args.kl_normal_coef, args.kl_reduction)
        rec_losses, rec_parts = self.reconstruction(rows, h, s, embeddings, model.draw(prior))

        losses = {"loss_kl": args.kl_coef * kl, **rec_losses}
        if sale is not None:
            losses["loss_sale"] = args.sale_coef * sale_loss(sale[1], rows.then(z_s), weights)
        if args.imagined_history_coef > 0:
            losses["loss_imagined_history"] = args.imagined_history_coef * self.imagined_history_loss(rows, h, s)
        return s if args.rollout_sample else posterior.mean, losses, {**kl_parts, **rec_parts}

    def start(self, h: Tensor) -> Tensor:
        """Return where rollouts start (R, D) from other histories ``h (R, N, H)`` than those the model learns from."""
        posterior = self.world_model.posterior(h)
        return self.world_model.draw(posterior) if self.args.rollout_sample else posterior.mean

    def reconstruction(
        self, rows: EpisodeRows, h: Tensor, s: Tensor, embeddings: Embeddings, latent: Tensor
    ) -> tuple[Scalars, Scalars]:
        """Return L_REC and, with `avail_coef`, MBVD's loss of available actions, weighted, and their parts.

        Args:
            rows: the batch.
            h: (R, N, H), the histories.
            s: (R, D), the latents of the posterior.
            embeddings: what VAE-1 read at every transition, each (K, E_s).
            latent: (K, D), VAE-1's latents.
        """
        model, args = self.world_model, self.args
        outputs = model.decode_embeddings(latent)
        decoded, wanted, counted = outputs, embeddings, rows.weights(1)
        if args.rec_target == "next":  # the pair at t+1 needs an action there
            decoded = {name: rows.now(output, after=1) for name, output in decoded.items()}
            wanted = {name: rows.then(embedding, after=1) for name, embedding in embeddings.items()}
            counted = rows.weights(2)
        if args.rec_stop_gradient:  # what is to be reconstructed must not move to be easier
            wanted = {name: embedding.detach() for name, embedding in wanted.items()}
        parts = reconstruction_losses(decoded, wanted, counted)
        rec = args.rec_coef * sum(parts.values())

        if args.history_target == "next":
            told, told_of, counted = model.imagined(latent, outputs).told, rows.then, rows.weights(1)
        elif args.history_from == "embeddings":
            told, told_of, counted = joined(embeddings), rows.now, rows.weights(1)
        else:
            told, told_of, counted = s, lambda x: x, rows.weights()
        decoded_h = model.decode_hidden(told)
        parts["rec_h"] = history_loss(decoded_h, told_of(h), counted)
        losses = {"loss_rec": rec + args.rec_hidden_coef * parts["rec_h"]}
        if model.avail_decoder is not None:
            avail = told_of(rows["avail_actions"])
            loss, parts["avail_right"] = avail_loss(model.avail_decoder(decoded_h), avail, counted)
            losses["loss_avail"] = args.avail_coef * loss
        return losses, parts

    def imagined_history_loss(self, rows: EpisodeRows, h: Tensor, s: Tensor) -> Tensor:
        """Return the mean over j = 1 … `imagined_history_steps` of ``MSE(h'_{t+j}, sg h_{t+j})``; not in the paper.

        Histories are imagined from ``s (R, D)`` along the actions taken, against ``h (R, N, H)``. A step that no
        episode reaches adds nothing.
        """
        model, steps, actions = self.world_model, self.args.imagined_history_steps, rows["actions"].squeeze(-1)
        total = s.new_zeros(())
        for j in range(min(steps, len(rows.sizes) - 1)):
            imagined = model.step(rows.now(s, after=j), rows.now(actions, after=j), draw=self.args.wm_sample)
            s, actions, h = imagined.s, rows.then(actions, after=j), rows.then(h, after=j)
            total = total + history_loss(model.decode_hidden(imagined.told), h, rows.weights(j + 1))
        return total / steps

    def imagine(self, rows: EpisodeRows, s: Tensor, q: Tensor, draw: bool) -> Tensor:
        """Roll out J steps from all R starting points at once: (R, J+1, D); imagined latents are drawn, or are means.

        The agents act greedily in imagination: at the first step in `q (R, N, A)`, the values of the real histories,
        then in the values of imagined ones; both the target agents' with `rollout_hidden=target`. L_TD reaches the
        model through the rollout with `wm_td_grad`; never f_s and g_s.
        """
        avail = rows["avail_actions"]

        def policy(hidden: Tensor) -> Tensor:
            return self.imagined_actions(hidden, avail)

        with th.set_grad_enabled(self.args.wm_td_grad):
            return self.world_model.imagine(
                s if self.args.wm_td_grad else s.detach(),
                greedy_actions(q, avail),
                policy,
                horizon=self.args.rollout_horizon,
                draw=draw,
            )

    def imagined_actions(self, hidden: Tensor, at_start: Tensor) -> Tensor:
        """Return what agents do in imagined histories ``h' (…, N, H)``: (…, N).

        They choose among the actions that the model predicts to be available, or where it does not (`avail_coef=0`)
        among those that were `at_start` (…, N, A).
        """
        predicts = self.world_model.avail_decoder is not None
        avail = self.world_model.available(hidden) if predicts else at_start
        return self.mac.imagined_actions(self.dreamer, hidden, avail)

    def agent_losses(self, rows: EpisodeRows, h: Tensor, target_h: Tensor, q: Tensor) -> dict[str, Tensor]:
        """Return the losses of the agents besides L_TD: their own L(f, g), and imagination's distilled head.

        Both stand on ``sg u``: the history is trained by L_TD alone. But where Q reads nothing of it (`forgets`) the
        distilled head does, and then trains it: else nothing would.
        """
        losses = {}
        if self.args.agent_sale_loss:
            history = target_h if self.args.agent_sale_hidden == "target" else h
            u = self.agent.sale_input(history, rows["obs"]).detach()
            predicted = self.agent.predict_next(rows.now(u), rows.now(rows["actions"]))
            with th.no_grad():
                z_o_next = self.agent.sale.f(rows.then(u))
            losses["loss_sale_agent"] = self.args.agent_sale_coef * sale_loss(predicted, z_o_next, rows.weights(1))
        if self.args.agent == "sale_rnn" and self.agent.reads_obs:
            history = h if self.agent.forgets else h.detach()
            error = functional.mse_loss(self.agent.q_imagined(history), q, reduction="none")
            losses["loss_distil"] = weighted_sum(rows.now(error.mean(dim=(-2, -1))), rows.weights(1))
        return losses


def build_world_model(args: SimpleNamespace) -> WorldModel:
    """Return a world model as the settings have it."""
    many = args.wm_own_from is not None and args.n_agents >= args.wm_own_from
    return WorldModel(
        n_agents=args.n_agents,
        n_actions=args.n_actions,
        hidden_size=args.rnn_hidden_dim,
        latent_size=args.latent_dim,
        embed_size=args.wm_embed_dim,
        width=args.wm_width,
        normaliser=args.sale_normaliser,
        rollout_mode=args.rollout_mode,
        history_from=args.history_from,
        prior_change=args.wm_prior == "change",
        per_agent=args.wm_per_agent or many,
        sale=args.wm_sale,
        sale_grad=args.wm_sale_grad,
        normalise_phi=args.wm_normalise_phi,
        normalise_z_sa=args.wm_normalise_z_sa,
        sample=args.wm_sample,
        avail=args.avail_coef > 0,
    )
