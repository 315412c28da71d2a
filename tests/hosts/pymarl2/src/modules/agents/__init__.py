from .rnn_agent import RNNAgent

REGISTRY = {}

REGISTRY["rnn"] = RNNAgent
REGISTRY["n_rnn"] = RNNAgent
