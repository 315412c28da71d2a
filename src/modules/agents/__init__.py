"""Agent networks by name. An agent is built as `agent(input_shape, args)`.

Agents offer these verbs: ``encode(inputs, sizes, hidden)`` unrolls the histories; ``q_from_hidden(h, obs)``
scores all actions; ``score(h, actions, obs)`` does what an update needs, given actions with gradients and all without;
``q_imagined(h)`` scores all actions where there is no observation, for the world model (`rnn` and `sale_rnn`).
"""

from modules.agents.hpn_rnn_agent import HPNRNNAgent, SetRNNAgent
from modules.agents.rnn_agent import RNNAgent
from modules.agents.sale_rnn_agent import SALERNNAgent

REGISTRY = {"rnn": RNNAgent, "sale_rnn": SALERNNAgent, "hpn_rnn": HPNRNNAgent, "set_rnn": SetRNNAgent}
