from pysc2.maps import lib

for _race in ("protoss", "terran", "zerg"):
    globals()[f"10gen_{_race}"] = type(
        f"10gen_{_race}", (lib.Map,), {"directory": "SMAC_Maps", "filename": "32x32_flat"}
    )
