"""What a command makes of errors."""

import pytest

from devicesim.guarded import GivenUp, guarded
from devicesim.scenario import load


def failing(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("expected a seed, found soup"), 2),
        (FileNotFoundError("expected a file, found no day.yaml"), 2),
        (ModuleNotFoundError("expected the package ray, found none"), 2),
        (GivenUp("expected workers that live, found none"), 3),
    ],
)
def test_what_is_no_bug_of_ours_is_told_in_one_line(capsys, error, code):
    assert guarded(failing(error)) == code
    told = capsys.readouterr()
    assert told.err == f"fleetdrill: {error}\n"
    assert told.out == "", "errors go to standard error"


@pytest.mark.parametrize("name", ["nope", ".", "file/in"], ids=["none", "folder", "in a file"])
def test_a_path_that_cannot_be_read_is_told_in_words(tmp_path, capsys, name):
    (tmp_path / "file").touch()
    assert guarded((tmp_path / name).read_bytes) == 2
    said = capsys.readouterr().err
    assert "Errno" not in said
    assert "Traceback" not in said
    assert f"{tmp_path / name}, found: " in said
    assert "check the path" in said


def test_a_bug_of_ours_says_so_and_where(capsys):
    assert guarded(failing(ZeroDivisionError("division by zero")), "sweep") == 3
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.endswith("the sweep itself failed; this is a bug, please report it\n")


def test_interrupted_is_not_held(capsys):
    assert guarded(failing(KeyboardInterrupt())) == 3
    assert capsys.readouterr().err == "fleetdrill: interrupted\n"


def test_a_scenario_says_where_it_is_wrong(capsys):
    assert guarded(lambda: load("scenario: lab\nfleat: []\n", (), None)) == 2
    assert "fleat" in capsys.readouterr().err


def test_a_command_names_refusals_of_its_own(capsys):
    assert guarded(failing(PermissionError("no broker")), "soak", (PermissionError,)) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_work_says_its_own_code():
    assert [guarded(lambda code=code: code) for code in (0, 1, 4)] == [0, 1, 4]
