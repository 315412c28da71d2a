REGISTRY: dict = {"q_learner": object}
REGISTRY["ppo_learner"] = object
