import json

import numpy as np
import pytest

from twintrack.cli import main
from twintrack.images import Grid, Volume, write_volume


@pytest.fixture
def study(tmp_path):
    """One case, 3-D, with two raters, a member and a folder of vessel labels."""
    grid = Grid.plain((50, 60, 60), spacing=(1, 1, 1))
    z, y, x = np.indices(grid.shape)
    distance = np.sqrt((z - 25) ** 2 + (y - 30) ** 2 + (x - 30) ** 2)
    for k, radius in enumerate((5, 6), start=1):
        (tmp_path / "raters" / "c1").mkdir(parents=True, exist_ok=True)
        mask = (distance < radius).astype(np.uint8)
        write_volume(tmp_path / "raters" / "c1" / f"annotation_{k}.nii.gz", Volume(mask, grid))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, 28:33, 35:39] = 7
    for folder, array in (("member", np.exp(-distance / 8).astype(np.float32)), ("vessels", labels)):
        (tmp_path / folder).mkdir()
        write_volume(tmp_path / folder / "c1.nii.gz", Volume(array, grid))
    return tmp_path


def run(study, *arguments):
    where = ["--raters", str(study / "raters"), "--members", str(study / "member"), "--out", str(study / "out")]
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *where, "--repeats", "2", "--vessels", str(study / "vessels"), *arguments])
    return stopped.value.code


def test_vessels_of_a_folder_are_scored_under_the_users_names(study, capsys):
    assert run(study, "--protocol", "pdacvi-corrected", "--vessel-names", "SPLENIC=7", "--json") == 0
    assert "vi_SPLENIC" in json.loads(capsys.readouterr().out)["scores"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "pdacvi-corrected"], "7"),  # a label without a name
        (["--protocol", "pdacvi-corrected", "--vessel-names", "SPLENIC=seven"], "whole numbers for labels"),
        (
            ["--protocol", "response", "--vessel-names", "SPLENIC=7"],
            "goes with the pdacvi protocols",
        ),
    ],
)
def test_vessels_that_cannot_be_named_are_refused(study, capsys, arguments, message):
    assert run(study, *arguments) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
