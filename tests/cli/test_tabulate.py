"""`twintrack tabulate` and `twintrack fit --tables`: sites that share no voxel fit one calibration."""

import json
import shutil

import pytest

from twintrack.calibration import load_calibration, load_table

SITES = {"a": ("c1", "c3"), "b": ("c2", "c4", "c5")}


@pytest.fixture
def sites(files, run):
    """Each site's cases, by a list of its own, and where its table goes."""
    found = {}
    for name, cases in SITES.items():
        chosen = files.root / f"{name}.csv"
        chosen.write_text("case\n" + "".join(f"{case}\n" for case in cases))
        found[files.root / f"site_{name}.table"] = ("--cases", chosen)
    return found


@pytest.fixture
def tables(files, run, sites):
    for path, chosen in sites.items():
        assert run("tabulate", *files.drawn, *files.predicted, *chosen, "--out", path).code == 0
    return list(sites)


def test_the_tables_of_two_sites_give_the_calibration_of_all_cases(process, files, sites):
    before = files.tree()
    for path, chosen in sites.items():
        done = process("tabulate", *files.drawn, *files.predicted, *chosen, "--out", path)
        assert (done.code, done.err.count("Fitting")) == (0, len(SITES[path.stem[-1]]))
        n = len(SITES[path.stem[-1]])
        assert done.out.splitlines() == [f"{n} cases of {n} patients, {n * 864:,} voxels", f"wrote {path}"]
    out = files.root / "joined.json"
    done = process("fit", "--tables", *sites, "--out", out)
    assert done.code == 0
    assert "5 cases (1 with 2 raters, 4 with 3 raters)" in done.out
    assert out.read_bytes() == files.calibration.read_bytes()
    assert files.new_since(before) == {"site_a.table", "site_b.table", "joined.json"}


@pytest.mark.parametrize(
    ("counting", "fitting"),
    [
        ((), ("--method", "platt")),
        ((), ("--target", "majority")),
        ((), ("--weighting", "raters")),
        ((), ("--no-pin-zero", "--replicates", 3, "--seed", 1)),
        (("--weighting", "cases"), ()),
        (("--target", "rater:1"), ("--target", "rater:1")),
    ],
)
def test_options_mean_the_same_for_tables(run, files, sites, counting, fitting):
    for path, chosen in sites.items():
        run("tabulate", *files.drawn, *files.predicted, *chosen, *counting, "--out", path)
    joined, whole = files.root / "joined.json", files.root / "whole.json"
    assert run("fit", "--tables", *sites, *fitting, "--out", joined).code == 0
    given = (*counting, *fitting) if counting != fitting else fitting
    assert run("fit", *files.drawn, *files.predicted, *given, "--out", whole).code == 0
    assert joined.read_bytes() == whole.read_bytes()


def test_a_machine_is_told_what_was_counted(run, files):
    path = files.root / "site.table"
    done = run("tabulate", *files.drawn, *files.predicted, "--min-count", 2, "--out", path, "--json")
    rows = len(load_table(path).withheld[0].level)
    assert json.loads(done.out) == {
        "table": str(path),
        "n_cases": 5,
        "n_patients": 5,
        "n_voxels": 5 * 864,
        "min_count": 2,
        "target": "response",
        "weighting": "voxels",
        "rows": [rows],
        "skipped": {},
    }
    assert rows > 10


def test_a_minimum_count_is_said_to_people_and_kept_by_the_fit(run, files):
    path, out = files.root / "site.table", files.root / "k.json"
    done = run("tabulate", *files.drawn, *files.predicted, "--min-count", 3, "--out", path)
    assert "rows, each of at least 3 patients; nothing of a single case is in the table" in done.out
    done = run("fit", "--tables", path, "--out", out)
    assert "5 cases (numbers of raters withheld)" in done.out
    assert "of 5 cases only sums are known: the calibration has no guard, no volumes and no bands" in done.out
    fitted = load_calibration(out)
    assert (fitted.guard, fitted.volume, fitted.uncertainty, fitted.provenance.cases) == (None, None, None, ())
    done = run("apply", out, *files.predicted, "--out", files.root / "r")
    assert "withheld by a minimum count" in done.err
    scoring = (*files.drawn, *files.predicted, "--out", files.root / "s", "--repeats", 5)
    for calibration, n_said in ((out, 1), (files.calibration, 0)):
        done = run("evaluate", *scoring, "--calibration", calibration)
        assert done.err.count("5 cases of the calibration are withheld by a minimum count: whether") == n_said


def test_bad_cases_are_left_out_if_asked(run, files):
    files.npz("b", "c1").unlink()
    path = files.root / "site.table"
    assert run("tabulate", *files.drawn, *files.predicted, "--out", path).code == 1
    assert not path.exists()
    done = run("tabulate", *files.drawn, *files.predicted, "--skip-bad", "--out", path)
    assert done.code == 0
    assert "cases left out: 1\n  c1: " in done.err
    assert load_table(path).n_skipped == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (cut, "site_b.table was altered or cut short"),
        (flip, "site_b.table was altered or cut short"),
        (lambda path: path.write_text("{}"), "site_b.table is not a response table"),
        (lambda path: path.unlink(), "site_b.table: No such file"),
        (lambda path: shutil.copy(path.with_name("site_a.table"), path), "have 2 cases in common"),
    ],
)
def test_a_bad_table_is_refused_and_nothing_is_lost(request, files, tables, spoil, fragment):
    spoil(tables[1])
    before = files.tree()
    done = request.getfixturevalue("process")("fit", "--tables", *tables, "--out", files.calibration)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert fragment in done.err
    assert files.new_since(before) == set()


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        (("--method", "auto"), ("auto needs the cases", "leaves patients out", "isotonic")),
        (("--method", "conditional"), ("conditional needs the cases", "surroundings of voxels")),
        (("--exact",), ("an exact fit needs the cases",)),
        (("--raters", "r", "--members", "m"), ("--tables does not go with --raters, --members", "twintrack tabulate")),
        (("--skip-bad",), ("--tables does not go with --skip-bad",)),
        (("--rater-labels", "1"), ("--tables does not go with --rater-labels",)),
        (("--weighting", "cases"), ("counted with weighting voxels", "twintrack tabulate --weighting cases")),
        (("--target", "staple"), ("this table counts response; it cannot be fitted to staple",)),
    ],
)
def test_what_a_table_cannot_tell_is_refused(run, files, tables, given, fragments):
    before = files.tree()
    done = run("fit", "--tables", *tables, *given, "--out", files.root / "k.json")
    assert (done.code, done.out) == (1, "")
    assert all(fragment in done.err for fragment in fragments)
    assert files.new_since(before) == set()


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        (("--min-count", "6"), "a minimum count of 6 patients withholds everything: the cases are of 5"),
        (("--target", "truth"), "unknown target 'truth'"),
    ],
)
def test_what_cannot_be_counted_is_refused(run, files, given, fragment):
    before = files.tree()
    done = run("tabulate", *files.drawn, *files.predicted, *given, "--out", files.root / "a.table")
    assert (done.code, done.out) == (1, "")
    assert fragment in done.err
    assert files.new_since(before) == set()


def test_help_shows_an_example(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "Example: twintrack tabulate" in run("tabulate", "--help").out
    assert "twintrack fit --tables" in run("fit", "--help").out
