REGISTRY = {}

REGISTRY["q_learner"] = object
REGISTRY["nq_learner"] = object
