"""World models of several agents, one file each, behind the contract of `contract.py` and `world.py`."""

from modules.worlds.dmawm import DMAWM
from modules.worlds.dreamer import Dreamer
from modules.worlds.mabl import MABL
from modules.worlds.mamba import MAMBA

REGISTRY = {"dreamer": Dreamer, "mamba": MAMBA, "mabl": MABL, "dmawm": DMAWM}
