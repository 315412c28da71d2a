REGISTRY = {}

REGISTRY["basic_mac"] = object
REGISTRY["n_mac"] = object
