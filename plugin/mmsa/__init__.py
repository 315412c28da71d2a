"""MMSA (Wang and Meger, AAMAS 2026), put here by `scripts/install_plugin.py` of MMSA for PyMARL.

The method's files are copies of that project's `src/`, made to run on older Python and Torch too; docs/mmsa.md there
explains each equation, setting and logged figure. `adapter.py` alone knows of this framework, and nothing here is
imported before a run asks for MMSA.
"""

import sys

import torch

if sys.version_info < (3, 8) or [int(n) for n in torch.__version__.split(".")[:2]] < [1, 12]:
    raise ImportError(
        "src/mmsa needs Python 3.8 or later and torch 1.12 or later; "
        f"this is Python {sys.version.split()[0]} with torch {torch.__version__}"
    )
