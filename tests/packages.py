"""Environments' packages that may be missing."""

from importlib.util import find_spec

import pytest

PACKAGES = {"mamujoco": ("gymnasium_robotics", "mujoco"), "gymma": ("rware", "mpe2", "pettingzoo")}


def needs(env):
    """Skip a test where the packages of an environment are not installed."""
    missing = [package for package in PACKAGES.get(env, ()) if find_spec(package) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: pip install -r requirements-dev.txt"
    )
