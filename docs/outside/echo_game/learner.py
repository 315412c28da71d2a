"""Cautious: what `learners.q_learner.QLearner` does, and a term that holds down the values of what was not done."""

import torch as th
from learners.losses import weighted_sum
from learners.q_learner import QLearner


class Cautious(QLearner):
    """Reads from `args` besides: `caution`."""

    SUMS_OVER_ROWS = True

    def losses(self, rows):
        inputs, obs = self.mac.build_inputs(rows), rows["obs"]
        q = self.agent.q_from_hidden(self.agent.encode(inputs, rows.sizes), obs)
        q_taken = q.gather(-1, rows["actions"]).squeeze(-1)
        with th.no_grad():
            target_q = self.target_agent.q_from_hidden(self.target_agent.encode(inputs, rows.sizes), obs)
        loss, figures = self.td(rows, q_taken, q.detach(), target_q)
        above = q.masked_fill(~rows["avail_actions"], -th.inf).logsumexp(dim=-1) - q_taken
        cautious = self.args.caution * weighted_sum(rows.now(above).mean(dim=-1), rows.weights(1))
        return {"loss_td": loss, "loss_cautious": cautious}, figures
