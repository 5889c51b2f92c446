"""What the console's files may hold, and where they are served."""

import re
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gateway.console import FOLDER, mount

OURS = sorted(
    file
    for file in FOLDER.rglob("*")
    if file.is_file() and file.parent.name != "vendor" and file.suffix in (".js", ".css", ".html")
)
IMPORT = re.compile(r"""(?:from|import)\s*"(\.[^"]+)\"""")
ELSEWHERE = re.compile(r"""(?:https?:)?//[a-z][a-z0-9.-]*\.[a-z]{2,}""", re.IGNORECASE)


def client():
    app = FastAPI()
    mount(app)
    return TestClient(app, follow_redirects=False)


def test_the_root_and_the_bare_name_lead_to_the_console():
    for path in ("/", "/console"):
        answer = client().get(path)
        assert (answer.status_code, answer.headers["location"]) == (307, "/console/"), path


def test_files_are_served_with_a_tag_and_asked_for_again():
    first = client().get("/console/js/main.js")
    assert first.status_code == 200
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    again = client().get("/console/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert client().get("/console/").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/console/../__init__.py", "/console/%2e%2e/__init__.py", "/console/..%2f__init__.py"])  # fmt: skip
def test_nothing_beside_the_folder_is_served(path):
    assert client().get(path).status_code == 404


@pytest.mark.parametrize("file", OURS, ids=lambda file: str(file.relative_to(FOLDER)))
def test_nothing_comes_from_elsewhere_and_every_import_exists(file):
    text = file.read_text()
    assert ELSEWHERE.findall(text) == [], "the page must work where there is no other host"
    for path in IMPORT.findall(text) if file.suffix == ".js" else ():
        assert (file.parent / path).is_file(), f"{file.name} imports {path}, which is not there"


def test_the_page_has_nothing_inline_because_its_policy_forbids_it():
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            names = dict(attrs)
            found.extend(name for name in names if name.startswith("on") or name == "style")
            if tag == "style" or (tag == "script" and "src" not in names):
                found.append(tag)

    Reader().feed((FOLDER / "index.html").read_text())
    assert found == []


def test_files_of_other_people_are_named_with_version_and_licence():
    table = (FOLDER / "vendor" / "README.md").read_text()
    for file in (FOLDER / "vendor").glob("*.js"):
        assert f"`{file.name}`" in table
    licences = {file.name: file.read_text() for file in (FOLDER / "vendor").glob("*.txt")}
    assert {name for name in licences if f"`{name}`" in table} == set(licences)
    assert "Jason Miller" in licences["preact-10.29.8.LICENSE.txt"]
    assert "Apache License" in licences["htm-3.1.1.LICENSE.txt"]
