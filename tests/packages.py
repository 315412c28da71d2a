"""Environments' packages that may be missing."""

from importlib.util import find_spec

import pytest

PACKAGES = {
    "gymma": ("rware", "mpe2", "pettingzoo"),
    "sc2": ("pysc2",),  # the tests bring a stand-in for the rest, unless told otherwise: see sc2_here.py
    "sc2v2": ("pysc2",),
    "mamujoco": ("gymnasium_robotics", "mujoco"),
    "smax": ("jaxmarl",),
    "overcooked": ("jaxmarl",),
    "vmas": ("vmas",),
    "smaclite": ("smaclite",),
    "flatland": ("flatland",),
}


def needs(env):
    """Skip a test where the packages of an environment are not installed."""
    suite = {"sc2v2": "sc2", "overcooked": "smax"}.get(env, env)
    missing = [package for package in PACKAGES.get(env, ()) if find_spec(package) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: pip install -r requirements-{suite}.txt"
    )
