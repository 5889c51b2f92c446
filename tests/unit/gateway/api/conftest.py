"""The stage of the runtime's tests."""

import pytest

from tests_kit.runtime_stage import Stage


@pytest.fixture
async def stage():
    made = Stage()
    await made.up()
    yield made
    made.runtime.close()
