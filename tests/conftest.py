"""Make `tests/kit` importable as `tests_kit` (tests have no packages of their own)."""

import importlib.machinery
import importlib.util
import logging
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

KIT = Path(__file__).parent / "kit"


def _expose() -> None:
    spec = importlib.machinery.ModuleSpec("tests_kit", None, is_package=True)
    spec.submodule_search_locations = [str(KIT)]
    sys.modules.setdefault("tests_kit", importlib.util.module_from_spec(spec))


_expose()
# A shell ignores Ctrl-C for what it starts in the background, and whatever is started there inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Gateways of tests that run side by side listen on ports of their own.
os.environ.setdefault("FLEETDRILL_HTTP_PORT", "0")
# What an example takes says nothing where others want the processor too: neither one that is slow (the
# deadline, 200 ms) nor a slow beginning (the health check, a second) is a finding.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


OURS = ("fleetdrill", "gateway", "devicesdk", "devicesim")


@pytest.fixture(autouse=True)
def _logs_are_heard():
    """A command or a library that ran in this process may have arranged logs for itself: not for the next test."""
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith(OURS) and isinstance(logger, logging.Logger):
            logger.disabled = False
            logger.propagate = logger.propagate or name != "fleetdrill.paho"


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for tests that say nothing about a crash of it; each makes its own database."""
    from tests_kit.postgres import cluster

    with cluster() as server:
        yield server
