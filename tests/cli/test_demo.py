import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from twintrack.cli import demo
from twintrack.cli.main import main
from twintrack.segmentation import extra
from twintrack.segmentation.bundle import Bundle, MemberEntry
from twintrack.segmentation.bundle_files import LoadedBundle
from twintrack.segmentation.segmenter import Segmenter


class Member:
    """Says what is as bright as the tumour and near the middle."""

    def __init__(self, name, brightness):
        self.name, self.brightness, self.foreground, self.n_asked = name, brightness, ("tumour",), 0

    def probability(self, view):
        self.n_asked += 1
        return np.exp(-(((view.image - np.float32(self.brightness)) / 30) ** 2)).astype(np.float32)


class Coarse:
    """Finds the middle of every CT."""

    name = "coarse"

    def locate(self, ct):
        lattice = np.zeros((8, 8, 8), np.bool_)
        lattice[3:5, 3:5, 3:5] = True
        return lattice


class Ensemble:
    def __init__(self):
        self.coarse, self.members = Coarse(), (Member("a", 60), Member("b", 80))


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    demo._make_phantoms(folder / "cohort-seed-0-cases-4", n_cases=4, seed=0)
    return folder


@pytest.fixture
def ensemble(monkeypatch):
    """The demo's networks replaced by models that need no torch."""
    entries = tuple(MemberEntry(name=name, path=name) for name in "ab")
    bundle = Bundle(name="fake", structure="tumour", foreground=("tumour",), members=entries)
    fakes = Ensemble()
    segmenter = Segmenter(LoadedBundle(bundle, Path("fake"), "0" * 64), networks=fakes)
    monkeypatch.setattr(demo, "_segmenter", lambda device, threads: segmenter)
    return fakes


def test_the_demo_goes_from_ct_to_scores_and_resumes(phantoms, ensemble, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(phantoms, out)
    for _ in range(2):
        said = run_demo(out, capsys, "--method", "temperature")
        # Four phantoms are segmented to calibrate and score; the two of the test half are predicted from their CT.
        assert [member.n_asked for member in ensemble.members] == [6, 6]
    data = out / "cohort-seed-0-cases-4"
    tested = {
        row.split(",")[0]
        for row in (data / "cases.csv").read_text(encoding="utf-8").splitlines()
        if row.endswith(",test")
    }
    assert {path.name.removesuffix(".json") for path in (data / "prediction" / "summaries").iterdir()} == tested
    assert len(list((data / "segmentation" / "members" / "a").iterdir())) == 4
    for name in ("responses", "levels", "rois", "summaries"):
        assert len(list((data / "prediction" / name).iterdir())) == 2
    assert json.loads((out / "calibration.json").read_text(encoding="utf-8"))["map"]["method"] == "temperature"
    for name, protocol in (("pdacvi", "pdacvi-official"), ("response", "response")):
        summary = json.loads((out / "scores" / name / "summary.json").read_text(encoding="utf-8"))
        assert (summary["protocol"], summary["n_cases"]) == (protocol, 2)
    assert (out / "case.png").is_file()
    assert "responses, agreement levels, ROIs and summaries of 2 cases" in said.out
    assert "not how well on patients" in said.out


def test_each_step_is_announced_and_timed(phantoms, ensemble, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(phantoms, out)
    said = run_demo(out, capsys).err
    beginnings = [
        "making 4",
        "finding the pancreas",
        "calibrating",
        "predicting",
        "scoring",
        "drawing",
        "making the report",
        "the demo took",
    ]
    places = [said.index(beginning) for beginning in beginnings]
    assert places == sorted(places)
    assert said.count("done in") == 7


def run_demo(out, capsys, *options):
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(out), "--n-cases", "4", *options])
    said = capsys.readouterr()
    assert stop.value.code == 0, said.err
    return said


def written(said):
    return [line.removeprefix("wrote ").partition(" (")[0] for line in said.out.splitlines() if "wrote" in line]


def test_the_simulated_demo_runs_the_main_job_and_names_its_files(phantoms, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(phantoms, out)
    said = run_demo(out, capsys, "--simulated")
    assert [Path(line).name for line in written(said)] == [
        "calibration.json",
        "prediction-simulated",
        "pdacvi",
        "response",
        "case.png",
        "report.html",
    ]
    for name, score in (("pdacvi", "dsc_staple"), ("response", "mse")):
        summary = json.loads((out / "scores" / name / "summary.json").read_text(encoding="utf-8"))
        assert summary["n_cases"] == 2
        assert summary["n_cases_seen_by_the_fit"] == 0
        assert set(summary["scores"][score]["predictions"]) == {"raw", "calibrated"}
    assert "MSE to response" in said.out
    assert "protocol pdacvi-official" in said.out
    assert "the median test case by the raw ensemble's Dice" in said.out
    assert (out / "case.png").read_bytes().startswith(b"\x89PNG")
    (cohort,) = out.glob("cohort-*")
    first, _ = sorted((cohort / "prediction-simulated" / "responses").glob("*.nii.gz"))
    image = sitk.ReadImage(str(cohort / "raters" / first.name.removesuffix(".nii.gz") / "image.nii.gz"))
    response = sitk.ReadImage(str(first))
    assert response.GetSpacing() == image.GetSpacing()
    assert response.GetSize() == image.GetSize()
    picture, report = (out / "case.png").read_bytes(), (out / "report.html").read_text(encoding="utf-8")
    assert "TwinTrack on CT phantoms" in report
    again = run_demo(out, capsys, "--simulated")
    assert "using the phantoms of an earlier run" in again.err
    assert json.loads((out / "scores" / "response" / "summary.json").read_text(encoding="utf-8")) == summary
    assert (out / "case.png").read_bytes() == picture
    assert (out / "report.html").read_text(encoding="utf-8") == report


def test_without_the_networks_the_demo_says_what_to_do_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path / "out")])
    assert stop.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "pip install 'twintrack[nnunet]'" in said
    assert "twintrack demo --simulated" in said
    assert not (tmp_path / "out").exists()


def test_interrupted_while_making_phantoms_the_demo_begins_anew(tmp_path, monkeypatch):
    from twintrack import synthetic

    def interrupted(folder, **options):
        folder.mkdir(parents=True)
        (folder / "half").touch()
        raise KeyboardInterrupt

    made = []
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "write_cohort", interrupted)
        with pytest.raises(KeyboardInterrupt):
            demo._make_phantoms(tmp_path / "cohort", n_cases=4, seed=0)
    assert not (tmp_path / "cohort").exists()
    monkeypatch.setattr(synthetic, "write_cohort", lambda folder, **_: (folder.mkdir(), made.append(folder)))
    demo._make_phantoms(tmp_path / "cohort", n_cases=4, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]
    assert len(made) == 1
