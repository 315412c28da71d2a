REGISTRY = {}

REGISTRY["basic_mac"] = object
REGISTRY["non_shared_mac"] = object
