from pysc2.maps import lib

SIZES = {"3m": (3, 3, 8), "3s5z": (8, 8, 12)}  # allies, enemies, limit


def get_smac_map_registry():
    return SIZES


for _name in SIZES:
    globals()[_name] = type(_name, (lib.Map,), {"directory": "SMAC_Maps", "filename": _name})
