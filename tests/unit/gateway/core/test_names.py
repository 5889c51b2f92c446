"""Names that nobody could ask for afterwards."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from gateway.core import names

HERE = "http://gateway/v1/kills/"


@pytest.mark.parametrize("name", ["gauge", "...", ".a", "a..b", "..a", "a/..", "köln", " "])
def test_what_has_an_address_may_be_a_name(name):
    assert names.refusal(name) == ""


@pytest.mark.parametrize("name", names.UNASKABLE)
def test_what_leads_elsewhere_may_not(name):
    assert repr(name) in names.refusal(name)
    assert urljoin(HERE, name).rstrip("/") in HERE, "an address of its own: why refuse it?"
