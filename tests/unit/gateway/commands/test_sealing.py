"""What is said of a bundle that is not there."""

import pytest

from gateway.commands.sealing import sealed


def test_a_bundle_that_is_not_there_is_said(tmp_path):
    with pytest.raises(
        ValueError, match=r"archive or its folder at .*nofile\.zip, found neither: check the path"
    ):
        sealed(tmp_path / "nofile.zip", None)


def test_a_folder_that_is_no_bundle_says_which_file_it_lacks(tmp_path):
    with pytest.raises(ValueError, match=r"bundle\.json, found: No such file"):
        sealed(tmp_path, None)
