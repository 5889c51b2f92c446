"""One small run, which several tests look at."""

import pytest

from tests_kit.console_on_run import small_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("finished"))
