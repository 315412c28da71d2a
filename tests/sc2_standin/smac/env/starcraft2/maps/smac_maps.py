from pysc2.maps import lib

SIZES = {  # allies, enemies, limit
    "3m": (3, 3, 8), "3s5z": (8, 8, 12), "8m": (8, 8, 12), "2s3z": (5, 5, 12), "5m_vs_6m": (5, 6, 12),
    "10m_vs_11m": (10, 11, 12), "3s_vs_5z": (3, 5, 12), "3s5z_vs_3s6z": (8, 9, 12), "6h_vs_8z": (6, 8, 12),
}  # fmt: skip


def get_smac_map_registry():
    return SIZES


for _name in SIZES:
    globals()[_name] = type(_name, (lib.Map,), {"directory": "SMAC_Maps", "filename": _name})
