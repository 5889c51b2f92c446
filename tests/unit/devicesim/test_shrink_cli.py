"""What `fleetdrill shrink` says of what is no failure."""

import pytest
import typer

from devicesim.shrink_cli import shrink


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nofolder", "expected a run, a sweep or a scenario file in {}, found nothing there"),
        ("nofile.yaml", "expected  a file that can be read"),
        (".", "found neither manifest.json nor "),
    ],
)
def test_what_is_not_there_is_said(tmp_path, capsys, name, said):
    with pytest.raises(typer.Exit) as end:
        shrink(tmp_path / name)
    assert end.value.exit_code == 2
    told = capsys.readouterr().err
    assert said.format(tmp_path / name) in told
    assert "Errno" not in told
