"""Mixers by name. A mixer is built as `mixer(args)`; `none` leaves the agents independent (IQL)."""

from modules.mixers.qmix import QMixer
from modules.mixers.rollout_qmix import RolloutQMixer
from modules.mixers.vdn import VDNMixer

REGISTRY = {"none": None, "vdn": VDNMixer, "qmix": QMixer, "rollout_qmix": RolloutQMixer}
