"""The shipped profiles and links, decoded once, and a seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from devicesim.entropy import Entropy
from devicesim.models.profile import decode_links, decode_profile

FOLDER = Path(__file__).parents[4] / "scenarios" / "profiles"


@pytest.fixture(scope="session")
def entropy():
    return Entropy(7)


@pytest.fixture(scope="session")
def profiles():
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != "links.yaml":
            found[path.stem] = decode_profile(yaml.safe_load(path.read_text("utf-8")), path.name)
    return found


@pytest.fixture(scope="session")
def book():
    return decode_links(yaml.safe_load((FOLDER / "links.yaml").read_text("utf-8")), "links.yaml")
