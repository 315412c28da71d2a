"""Where tests find StarCraft II: a stand-in for smac and smacv2, and an installation whose game only sleeps.

With REAL_SC2=1 the packages that are installed are taken, and the game under SC2PATH: see test_sc2_real.py.
"""

import os
import sys
from pathlib import Path

STANDIN = Path(__file__).parent / "sc2_standin"
BUILD = 75689
MAPS = (
    "3m", "8m", "2s3z", "3s5z", "5m_vs_6m", "10m_vs_11m", "3s_vs_5z", "3s5z_vs_3s6z", "6h_vs_8z", "32x32_flat",
)  # fmt: skip


def install(folder):
    """Lay out what pysc2 takes for a StarCraft II of version 4.10."""
    game = folder / "Versions" / f"Base{BUILD}" / "SC2_x64"
    game.parent.mkdir(parents=True)
    game.write_text("#!/bin/sh\nexec sleep 1000\n")
    game.chmod(0o755)
    maps = folder / "Maps" / "SMAC_Maps"
    maps.mkdir(parents=True)
    for name in MAPS:
        (maps / f"{name}.SC2Map").write_text("a map")
    return folder


def sc2_here(monkeypatch, tmp_path):
    """Let a test find StarCraft II, and use either of the two suites, which do not go together."""
    if os.environ.get("REAL_SC2"):
        return
    monkeypatch.setenv("SC2PATH", str(install(tmp_path / "Star Craft II")))
    monkeypatch.syspath_prepend(STANDIN)
    for package in ("smac", "smacv2"):
        monkeypatch.delitem(sys.modules, f"{package}.env", raising=False)
