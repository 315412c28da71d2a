"""What holds for every test."""

import os

import pytest
from browsers import browser  # noqa: F401  a fixture


def pytest_configure(config):
    """Have JAX compile each program once for all processes, and not again where the tests were run before."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax")))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(autouse=True, scope="session")
def nobodys_list_of_trusted_packages(tmp_path_factory):
    """Keep what runs trust by being named out of the user's own list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield
