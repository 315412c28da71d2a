"""The host's own agent: one step at a time, the hidden state handed in and out."""

from torch import nn


class RNNAgent(nn.Module):
    def __init__(self, input_shape, args):
        super().__init__()
        self.rnn = nn.GRUCell(input_shape, args.n_actions)

    def forward(self, inputs, hidden_state):
        q = self.rnn(inputs, hidden_state)
        return q, q
