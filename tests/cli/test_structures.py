import csv
import json
import shutil

import numpy as np
import pytest

from twintrack.cli import main
from twintrack.images import Grid, Volume, write_volume


@pytest.fixture
def study(tmp_path):
    """Two cases with label maps of three raters and a softmax of two structures and background."""
    rng = np.random.default_rng(0)
    grid = Grid.plain((4, 16, 20), spacing=(2, 1, 1))
    member = tmp_path / "member"
    member.mkdir()
    labels = {"background": 0, "kidney": 1, "liver": 2}
    (member / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    _, _, x = np.indices(grid.shape)
    for name in ("c1", "c2"):
        for k in range(3):
            drawn = np.where(x < 6 + rng.integers(-1, 2), 1, np.where(x > 13 + rng.integers(-1, 2), 2, 0))
            (tmp_path / "raters" / name).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "raters" / name / f"annotation_{k + 1}.nii.gz"
            write_volume(path, Volume(drawn.astype(np.uint8), grid))
        logits = np.stack([np.zeros(x.shape), 2.0 * (6 - x), 2.0 * (x - 13)])
        softmax = np.exp(logits) / np.exp(logits).sum(axis=0)
        np.savez_compressed(member / f"{name}.npz", probabilities=softmax.astype(np.float32))
        write_volume(member / f"{name}.nii.gz", Volume(softmax.argmax(axis=0).astype(np.uint8), grid))
    return tmp_path


def run(study, *arguments):
    where = ["--raters", str(study / "raters"), "--members", str(study / "member"), "--out", str(study / "out")]
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *where, *arguments])
    return stopped.value.code


def test_several_structures_are_scored_by_one_command(study, capsys):
    structures = ["--structures", "kidney=1,liver=2", "--repeats", "5"]
    assert run(study, "--protocol", "curvas-2024-corrected", "--ceiling", "--json", *structures) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"] == "curvas-2024-corrected"
    assert {"consensus_dice_of_kidney", "crps_of_liver", "ece"} <= set(found["scores"])
    assert (study / "out" / "scores.csv").exists()


def test_further_predictions_of_all_structures_are_scored_beside_the_first(study, capsys):
    shutil.copytree(study / "member", study / "other")
    given = ["--structures", "kidney=1,liver=2", "--repeats", "5", "--ceiling", "--predictions", str(study / "other")]
    assert run(study, "--protocol", "curvas-2024-corrected", *given) == 0
    assert "other − raw" in capsys.readouterr().out
    with (study / "out" / "scores.csv").open(newline="", encoding="utf-8") as stream:
        rows = {(row["case"], row["prediction"]): {**row, "prediction": ""} for row in csv.DictReader(stream)}
    assert len(rows) == 2 * 5
    for case in ("c1", "c2"):
        assert rows[case, "raw"] == rows[case, "other"]
        assert rows[case, "raw_vs_others"] == rows[case, "other_vs_others"]
    (study / "other" / "c2.npz").unlink()
    assert run(study, "--protocol", "curvas-2024-corrected", *given) == 1
    assert "the predictions 'other', case c2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--structures", "kidney"], "--structures takes name=value pairs"),
        (["--structures", "kidney=1,kidney=2"], "each name once"),
        (["--structures", "kidney=1,spleen=2"], "spleen"),
        (["--structures", "kidney=1,liver=2", "--calibration", "c.json"], "--calibration is of one structure"),
    ],
)
def test_wrong_structures_are_refused(study, capsys, arguments, message):
    assert run(study, "--protocol", "curvas-2024", *arguments) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
