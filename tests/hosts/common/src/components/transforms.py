"""What is stored beside a quantity."""

import torch as th


class OneHot:
    def __init__(self, out_dim):
        self.out_dim = out_dim

    def transform(self, x):
        return th.nn.functional.one_hot(x.squeeze(-1), self.out_dim).float()
