REGISTRY = {}

REGISTRY["rnn"] = object
REGISTRY["n_rnn"] = object
