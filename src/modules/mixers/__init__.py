"""Mixers by name. A mixer is built as `mixer(args)`; `none` leaves the agents independent (IQL).

All but `qplex`, which reads the joint action too, take agents' values and the state.
"""

from modules.mixers.qmix import QMixer
from modules.mixers.qplex import QPLEXMixer
from modules.mixers.rollout_qmix import RolloutQMixer
from modules.mixers.vdn import VDNMixer

REGISTRY = {"none": None, "vdn": VDNMixer, "qmix": QMixer, "rollout_qmix": RolloutQMixer, "qplex": QPLEXMixer}
