"""`python -m mmsa_pymarl`, and `python src/mmsa_pymarl` in a checkout: the command `mmsa`."""

import sys
from pathlib import Path

if not __package__:  # run as a folder: the rooms lie one folder up
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from mmsa_pymarl.cli import main

if __name__ == "__main__":
    sys.exit(main())
