"""The file of a table: it survives the way, holds no name, and no altered byte passes."""

import hashlib
import json

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration.sites.content import SCHEMA_VERSION
from twintrack.errors import CalibrationError, OutputError

from .conftest import make_case


def tiny(name="c", *, p=(0.0, 0.25, 0.25, 1.0), masks=((0, 1, 0, 1), (0, 0, 0, 1)), **options):
    """A case of a few voxels."""
    raters = [np.array([mask], np.uint8) for mask in masks]
    return tt.Case(name, probability=np.array([p], np.float32), raters=raters, **options)


def write(path, content):
    """Write a content of one's own under a checksum that is right."""
    body = json.dumps(content)[1:]
    path.write_text(f'{{"sha256": "{hashlib.sha256(body.encode()).hexdigest()}",\n{body}')


def read(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["sha256"]
    return content


@pytest.fixture
def path(tmp_path):
    return tmp_path / "site_a.table"


@pytest.mark.parametrize("options", [{}, {"weighting": "cases"}, {"target": "rater:2"}, {"target": "staple"}])
@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_fit_to_the_file_is_the_fit_to_the_cases_byte_for_byte(cases, path, method, options):
    tt.save_table(tt.tabulate(cases, **options), path)
    found = tt.fit(tt.load_table(path), method=method, target=options.get("target", "response"))
    assert found.model_dump_json() == tt.fit(cases, method=method, **options).model_dump_json()
    assert None not in (found.volume, found.guard, found.uncertainty)


@pytest.mark.parametrize("options", [{"target": "majority"}, {"weighting": "raters"}, {"pin_zero": False}])
def test_the_options_of_a_fit_are_chosen_after_counting(cases, path, options):
    tt.save_table(tt.tabulate(cases), path)
    found = tt.fit(tt.load_table(path), **options)
    assert found.model_dump_json() == tt.fit(cases, **({"method": "isotonic"} | options)).model_dump_json()


def test_what_the_file_of_a_case_holds_worked_out_by_hand(path):
    tt.save_table(tt.tabulate([tiny(foreground=("tumour",))]), path)
    content = read(path)
    zero, quarter, one = 0, content["counts"]["2"]["level"][1], content["counts"]["2"]["level"][2]
    assert content["counts"]["2"] == {"level": [zero, quarter, one], "votes": [[1, 0, 0], [1, 1, 0], [0, 0, 1]]}
    (case,) = content["cases"]
    assert case["patient"] == 0
    assert case["tally"]["votes"] == content["counts"]["2"]["votes"]
    assert case["tally"]["drawn"] == [1, 2]
    assert (case["record"]["voxels"], case["record"]["foreground"]) == (4, ["tumour"])
    assert (content["target"], content["weighting"], content["withheld"]) == ("response", "voxels", [])


def test_names_and_order_leave_no_trace(path, tmp_path):
    cases = [make_case(k, name=f"case-{k}", patient=f"patient-{k // 2}") for k in range(6)]
    renamed = [make_case(k, name=f"x{9 - k}", patient=f"y{9 - k // 2}") for k in (3, 5, 0, 2, 4, 1)]
    tt.save_table(tt.tabulate(cases), path)
    tt.save_table(tt.tabulate(renamed), tmp_path / "other.table")
    assert path.read_bytes() == (tmp_path / "other.table").read_bytes()
    assert b"case-" not in path.read_bytes()
    assert b"patient-" not in path.read_bytes()
    assert [case["patient"] for case in read(path)["cases"]].count(0) == 2


def test_a_loaded_table_can_be_written_again(cases, path, tmp_path):
    tt.save_table(tt.tabulate(cases), path)
    tt.save_table(tt.load_table(path), tmp_path / "again.table")
    assert path.read_bytes() == (tmp_path / "again.table").read_bytes()


def test_cases_that_were_skipped_are_counted(cases, path):
    bad = tt.Case("bad", probability=np.full((2, 2), 1.5, np.float32), raters=[np.ones((2, 2), np.uint8)])
    tt.save_table(tt.tabulate([*cases, bad], on_bad=lambda case, error: None), path)
    assert tt.fit(tt.load_table(path)) == tt.fit([*cases, bad], method="isotonic", on_bad=lambda case, error: None)
    assert tt.fit(tt.load_table(path)).provenance.n_skipped == 1


def test_a_case_with_nothing_inside_its_roi_keeps_its_place(path):
    empty = tiny("e", roi=np.zeros((1, 4), np.uint8), masks=((0, 1, 0, 1),))
    cases = [tiny(), empty]
    tt.save_table(tt.tabulate(cases), path)
    assert tt.fit(tt.load_table(path), replicates=2) == tt.fit(cases, method="isotonic", replicates=2)


def test_every_altered_byte_is_noticed(path):
    tt.save_table(tt.tabulate([tiny()]), path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (1, 128):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with pytest.raises(CalibrationError, match=r"site_a\.table"):
                tt.load_table(path)


def test_every_length_but_the_whole_is_noticed(path):
    tt.save_table(tt.tabulate([tiny()]), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CalibrationError, match=r"site_a\.table (is not|was altered or cut short)"):
            tt.load_table(path)
    path.write_bytes(whole + b"\n")
    with pytest.raises(CalibrationError, match="was altered or cut short after it was written: its checksum is"):
        tt.load_table(path)


def change_counts(content):
    content["counts"]["2"]["votes"][1] = [2, 0, 0]


def change_voxels(content):
    content["cases"][0]["record"]["voxels"] += 1


def change_drawn(content):
    content["cases"][0]["tally"]["drawn"].append(1)


def swap_levels(content):
    content["counts"]["2"]["level"].reverse()


def widen_a_row(content):
    content["counts"]["2"]["votes"][1].append(0)


def drop_a_row(content):
    content["counts"]["2"]["votes"].pop()


def drop_a_probability(content):
    content["cases"][0]["tally"]["probability"].pop()


def rename_counts(content):
    content["counts"]["3"] = content["counts"].pop("2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content.update(levels="per-mille"),
            r"another levels of probability: 'per-mille'; this .*symm",
        ),
        (lambda content: content.update(merge="maximum"), r"another merging of members: 'maximum'"),
        (lambda content: content.update(schema_version=SCHEMA_VERSION + 1), "Upgrade TwinTrack"),
        (lambda content: content.update(schema_version="1"), "is not a response table: it does not say so"),
        (lambda content: content.update(kind="calibration"), "is not a response table: it does not say so"),
        (lambda content: content.update(target="truth"), "unknown target 'truth'"),
        (lambda content: content.update(target="majority"), "a table of votes counts them as response"),
        (lambda content: content.update(weighting="raters"), "is not a valid response table: weighting"),
        (lambda content: content.update(extra=1), "is not a valid response table: extra"),
        (lambda content: content.update(cases=[]), "there is no case"),
        (lambda content: content["cases"].append(content["cases"][0]), "counts of 2 raters are not the sum"),
        (change_counts, "contradicts itself: its counts of 2 raters are not the sum of its cases"),
        (change_voxels, "contradicts itself: its case 1 has 5 voxels"),
        (change_drawn, "contradicts itself: its case 1 has 4 voxels and 2 raters"),
        (swap_levels, "places are not strictly increasing"),
        (widen_a_row, "every row needs a number for each number of votes"),
        (drop_a_row, "not as many rows as places"),
        (drop_a_probability, "probabilities or votes do not go with the groups"),
        (rename_counts, "the counts of 3 raters have 3 numbers of votes, expected 4"),
    ],
)
def test_content_that_makes_no_sense_is_refused_whatever_its_checksum(path, change, message):
    tt.save_table(tt.tabulate([tiny()]), path)
    content = read(path)
    write(path, content)
    assert tt.load_table(path).n_cases == 1
    change(content)
    write(path, content)
    with pytest.raises(CalibrationError, match=message) as refused:
        tt.load_table(path)
    assert "site_a.table" in str(refused.value)


def test_what_is_not_a_table_is_refused(cases, path):
    with pytest.raises(CalibrationError, match=r"cannot read the table .*site_a\.table: No such file"):
        tt.load_table(path)
    tt.fit(cases).save(path)
    with pytest.raises(CalibrationError, match="is not a response table"):
        tt.load_table(path)
    body = "no JSON\n"
    path.write_text(f'{{"sha256": "{hashlib.sha256(body.encode()).hexdigest()}",\n{body}')
    with pytest.raises(CalibrationError, match="it is not JSON"):
        tt.load_table(path)


def test_a_table_that_cannot_be_written_leaves_what_was_there(cases, path, monkeypatch):
    path.write_text("precious")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OutputError, match="No space left"):
        tt.save_table(tt.tabulate(cases), path)
    assert path.read_text(encoding="utf-8") == "precious"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
