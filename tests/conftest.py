"""What holds for every test."""

import os

import pytest
from browsers import browser  # noqa: F401  a fixture

# The files that take longest. They begin first: one that began last would leave the other processes without work.
# Torture forks, which JAX's threads do not bear well: it is to begin before a process has loaded JAX.
LONG = [f"test_{name}" for name in (
    "torture", "study_runs", "resume", "envs", "mmsa_learner", "benchmarks", "workers", "main", "inspect_world_model",
    "own_task", "side_by_side", "report", "stops", "install_plugin", "lbf", "policy_games", "policy_runs", "absolute",
    "plugin", "study_plan",
)]  # fmt: skip


def pytest_configure(config):
    """Have JAX compile each program once for all processes, and not again where the tests were run before."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax")))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def pytest_collection_modifyitems(items):
    """Put the files that take longest first, in the order of `LONG`; --no-loadscope-reorder keeps it."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True, scope="session")
def nobodys_list_of_trusted_packages(tmp_path_factory):
    """Keep what runs trust by being named out of the user's own list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield
