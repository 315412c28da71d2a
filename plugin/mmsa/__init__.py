"""MMSA (Wang and Meger, AAMAS 2026), put here by `scripts/install_plugin.py` of MMSA for PyMARL.

The method's files are copies of that project's `src/`, with `mmsa.` before their imports of each other; docs/mmsa.md
there explains each equation, setting and logged figure. `adapter.py` alone knows of this framework.
"""

import sys

if sys.version_info < (3, 10):
    raise ImportError(f"src/mmsa needs Python 3.10 or later and torch 2.6 or later; this is {sys.version.split()[0]}")
