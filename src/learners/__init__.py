"""Learners by name. A learner is built as `learner(mac, scheme, logger, args)`."""

from learners.cia_learner import CIALearner
from learners.coma_learner import COMALearner
from learners.dream_learner import DreamLearner
from learners.maser_learner import MASERLearner
from learners.mmsa_learner import MMSALearner
from learners.policy_learner import PolicyLearner
from learners.q_learner import QLearner
from learners.qplex_learner import QPLEXLearner
from learners.qtran_learner import QTRANLearner
from learners.smmae_learner import SMMAELearner
from learners.weighted_qmix_learner import WeightedQMIXLearner

REGISTRY = {
    "q_learner": QLearner,
    "mmsa_learner": MMSALearner,
    "qplex_learner": QPLEXLearner,
    "qtran_learner": QTRANLearner,
    "weighted_qmix_learner": WeightedQMIXLearner,
    "policy_learner": PolicyLearner,
    "cia_learner": CIALearner,
    "maser_learner": MASERLearner,
    "smmae_learner": SMMAELearner,
    "coma_learner": COMALearner,
    "dream_learner": DreamLearner,
}
# The configs of each learner that a person is told of where another one cannot do what is asked.
METHODS = {
    "q_learner": ("iql", "qmix", "vdn"),
    "mmsa_learner": ("mmsa",),
    "qplex_learner": ("qplex",),
    "qtran_learner": ("qtran",),
    "weighted_qmix_learner": ("cw_qmix", "ow_qmix"),
    "policy_learner": ("ia2c", "ippo", "maa2c", "mappo"),
    "cia_learner": ("cia",),
    "maser_learner": ("maser",),
    "smmae_learner": ("smmae",),
    "coma_learner": ("coma",),
    "dream_learner": ("dmawm", "dreamer", "mabl", "mamba"),
}
MIXED = ("qmix", "vdn")  # those of a learner that can use a reward for each agent which cannot: they mix values
