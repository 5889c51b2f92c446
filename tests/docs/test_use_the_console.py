"""The table of docs/how-to/use-the-console.md names the console's screens and their keys."""

import re
from pathlib import Path

from gateway.console import FOLDER

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-console.md"


def test_the_page_names_every_screen_with_its_key():
    screens = (FOLDER / "js" / "screens.js").read_text()
    there = re.findall(r'title: "([^"]+)", key: "(.)"', screens)
    told = re.findall(r"^\| `g` `(.)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    assert there, "expected screens with keys"
    assert sorted(there) == sorted((title.strip(), key) for key, title in told)
