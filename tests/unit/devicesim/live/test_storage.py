"""A disk that a fault can fill."""

from __future__ import annotations

import pytest

from devicesim.live.storage import LiveStorage
from devicesim.world.store import GatewayStore
from gateway.ports import StorageError


def test_while_it_is_full_no_commit_succeeds_and_nothing_is_lost():
    kept = GatewayStore()
    storage = LiveStorage(kept)
    storage.put("table", "a", 1)
    storage.full = True
    with pytest.raises(StorageError, match="disk full"):
        storage.commit()
    assert list(storage.rows()) == []
    storage.full = False
    storage.commit()
    assert list(storage.rows()) == [("table", "a", 1)]
