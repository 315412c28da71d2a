"""Agent networks by name. An agent is built as `agent(input_shape, args)`.

Every agent offers these verbs: ``encode(inputs, hidden)`` unrolls the histories, ``q_from_hidden(h)`` scores all
actions, and ``score(h, actions)`` what an update needs: given actions with gradients, and all without.
"""

from modules.agents.rnn_agent import RNNAgent
from modules.agents.sale_rnn_agent import SALERNNAgent

REGISTRY = {"rnn": RNNAgent, "sale_rnn": SALERNNAgent}
