"""The stage that most tests of the runtime stand on."""

import pytest

from tests_kit.runtime_stage import Stage


@pytest.fixture
async def stage():
    made = Stage()
    await made.up()
    yield made
    made.runtime.close()
