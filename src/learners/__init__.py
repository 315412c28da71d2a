"""Learners by name. A learner is built as `learner(mac, scheme, logger, args)`."""

from learners.mmsa_learner import MMSALearner
from learners.q_learner import QLearner

REGISTRY = {"q_learner": QLearner, "mmsa_learner": MMSALearner}
