"""Which error an answer of the API is."""

import json

import pytest

from gateway.client.problems import error_of
from gateway.runtime.knock import NoGatewayError
from gateway.runtime.verbs import VerbError

URL = "https://gateway.example"
MEDIA = "application/problem+json"


def problem(**more):
    return json.dumps({"type": "about:blank", "title": "t", "status": 1, "detail": "d", **more}).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, "/problems/unknown", "unknown"),
        (409, "/problems/exists", "exists"),
        (412, "/problems/changed", "changed"),
        (403, "about:blank", "forbidden"),
        (422, "about:blank", "invalid"),
        (500, "/problems/broken", "broken"),
        (503, "about:blank", "busy"),
        (418, "about:blank", "refused"),
    ],
)
def test_a_problem_keeps_its_kind_and_its_words(status, kind, code):
    found = error_of(URL, status, MEDIA, problem(type=kind, detail="expected x, found y"))
    assert isinstance(found, VerbError)
    assert (found.code, str(found)) == (code, "expected x, found y")


def test_somebody_unknown_is_told_where_a_token_goes():
    found = error_of(URL, 401, MEDIA, problem(type="/problems/unknown", detail="expected a token"))
    assert found.code == "forbidden"
    assert "--token-file" in str(found)


def test_each_field_that_is_wrong_is_said():
    errors = [{"at": "body.waves", "message": "too short"}, {"at": "body.soak", "message": "odd"}]
    found = error_of(URL, 422, MEDIA, problem(errors=errors))
    assert str(found) == "body.waves: too short; body.soak: odd"


@pytest.mark.parametrize(
    ("status", "media", "body", "said"),
    [
        (302, "text/html", b"", "a way to elsewhere"),
        (404, "text/html; charset=x", b"<html>", "found 404 with text/html"),
        (500, MEDIA, b"{", "found 500"),
        (502, "", b"", "found 502 with nothing"),
    ],
)
def test_whoever_is_no_gateway_is_named(status, media, body, said):
    found = error_of(URL, status, media, body)
    assert isinstance(found, NoGatewayError)
    assert said in str(found)
    assert URL in str(found)
