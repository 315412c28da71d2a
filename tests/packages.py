"""Environments' packages that may be missing."""

from importlib.util import find_spec

import pytest

PACKAGES = {
    "gymma": ("rware", "mpe2", "pettingzoo"),
    "mamujoco": ("gymnasium_robotics", "mujoco"),
    "smax": ("jaxmarl",),
}


def needs(env):
    """Skip a test where the packages of an environment are not installed."""
    missing = [package for package in PACKAGES.get(env, ()) if find_spec(package) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} not installed: pip install -r requirements-{env}.txt"
    )
