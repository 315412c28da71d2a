"""What holds for every test."""

import pytest
from browsers import browser  # noqa: F401  a fixture


@pytest.fixture(autouse=True, scope="session")
def nobodys_list_of_trusted_packages(tmp_path_factory):
    """Keep what runs trust by being named out of the user's own list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield
