"""`twintrack report` through the entry point: one file, and what is refused, in words."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def scores(files, run):
    out = files.root / "scores"
    given = [*files.drawn, *files.predicted, "--calibration", files.calibration, "--repeats", 5, "--out", out]
    done = run("evaluate", *given)
    assert done.code == 0, done.err
    return out


def test_a_report_is_one_file_and_the_same_every_time(files, scores, run):
    before = files.tree()
    given = ["report", "--evaluation", scores, "--calibration", files.calibration, "--title", "Kidneys & <co>"]
    done = run(*given, "--out", files.root / "report.html")
    assert done.code == 0, done.err
    assert files.new_since(before) == {"report.html"}
    page = (files.root / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<h1>Kidneys &amp; &lt;co&gt;</h1>" in page
    assert f"wrote {files.root / 'report.html'}" in " ".join(done.out.split())
    run(*given, "--out", files.root / "again.html")
    assert (files.root / "again.html").read_text(encoding="utf-8") == page


def test_refusals_say_what_to_do_and_write_nothing(files, scores, run):
    before = files.tree()
    out = files.root / "report.html"
    refusals = {
        ("--evaluation", files.root / "raters", "--out", out): "is not an evaluation",
        ("--evaluation", scores, "--out", files.root / "none" / "r.html"): "there is no folder",
        ("--evaluation", scores, "--out", files.root / "r.pdf"): "a report is written as .html",
        ("--evaluation", scores, "--out", out, "--calibration", files.root / "no.json"): "cannot read the calibration",
        ("--evaluation", scores, "--out", out, "--calibration", scores / "summary.json"): "is not a calibration",
        ("--evaluation", scores, "--out", out, "--learning-curve", scores / "summary.json"): "not a learning curve",
        ("--evaluation", scores, "--out", out, "--prediction", "platt"): "it has calibrated",
    }
    for given, words in refusals.items():
        done = run("report", *given)
        assert done.code == 1
        assert words in " ".join(done.err.split())
    assert files.new_since(before) == set()


def test_another_calibration_is_refused(files, scores, run):
    other = files.root / "other.json"
    done = run("fit", *files.drawn, *files.predicted, "--method", "platt", "--replicates", 0, "--out", other)
    assert done.code == 0, done.err
    done = run("report", "--evaluation", scores, "--calibration", other, "--out", files.root / "report.html")
    assert done.code == 1
    assert "is not the calibration that was evaluated. It is of method platt" in " ".join(done.err.split())
    assert not (files.root / "report.html").exists()


def test_cts_lie_where_images_says(files, run, write_image):
    for case in ("c1", "c2", "c3", "c5"):
        write_image(files.root / "cts" / f"{case}_0000.nii.gz", np.full((6, 12, 12), 40, np.int16))
    given = [*files.drawn, *files.predicted, "--repeats", 5]
    done = run("evaluate", *given, "--images", files.root / "cts", "--out", files.root / "with")
    assert done.code == 0, done.err
    run("report", "--evaluation", files.root / "with", "--out", files.root / "report.html")
    page = (files.root / "report.html").read_text(encoding="utf-8")
    assert page.count('data-panel="ct"') >= 2
    assert page.count('data-panel="ct"') + page.count("none was named (--images)") == 3
    done = run("evaluate", *given, "--images", files.root / "raters" / "c1", "--out", files.root / "bad")
    assert done.code == 1
    assert "no image is of a case (--images): they are called annotation_1" in " ".join(done.err.split())
    (files.root / "empty").mkdir()
    done = run("evaluate", *given, "--images", files.root / "empty", "--out", files.root / "bad")
    assert done.code == 1
    assert "no image found; expected <case>.nii.gz" in " ".join(done.err.split())
    write_image(files.root / "more" / "c1.nii.gz", np.zeros((6, 12, 12), np.int16))
    done = run("evaluate", *given, "--images", files.root / "cts", files.root / "more", "--out", files.root / "bad")
    assert done.code == 1
    assert "case c1 has two images" in " ".join(done.err.split())
