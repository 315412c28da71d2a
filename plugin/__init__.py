"""MMSA as a guest in PyMARL2 and EPyMARL: what `scripts/install_plugin.py` puts there, and how."""
