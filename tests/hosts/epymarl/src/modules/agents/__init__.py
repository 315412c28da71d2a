REGISTRY = {}
REGISTRY["rnn"] = object
REGISTRY["rnn_ns"] = object
