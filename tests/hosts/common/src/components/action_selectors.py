"""Chooses actions by name, as the hosts do; ε falls linearly."""

import torch as th


class EpsilonGreedy:
    def __init__(self, args):
        self.args, self.epsilon = args, args.epsilon_start

    def select_action(self, q, avail, t_env, test_mode=False):
        a = self.args
        decayed = a.epsilon_start - (a.epsilon_start - a.epsilon_finish) * t_env / a.epsilon_anneal_time
        self.epsilon = getattr(a, "evaluation_epsilon", 0.0) if test_mode else max(a.epsilon_finish, decayed)
        greedy = q.masked_fill(avail == 0, -th.inf).argmax(dim=-1)
        random = th.distributions.Categorical(avail.float()).sample()
        return th.where(th.rand(greedy.shape) < self.epsilon, random, greedy)


REGISTRY = {"epsilon_greedy": EpsilonGreedy}
