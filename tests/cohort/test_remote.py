"""Cases whose files lie behind addresses: read as local ones are, whoever does the work, and nothing stays behind."""

from __future__ import annotations

import functools
import http.server
import json
import socket
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

import twintrack as tt
from twintrack.calibration import save_table
from twintrack.calibration.writing.responses import write_responses
from twintrack.cohort import map_cases
from twintrack.cohort.sources import PredictionSource, RemoteSource
from twintrack.errors import CohortError, GeometryError, InputError, MissingExtraError, OutputError
from twintrack.images import remote

fsspec = pytest.importorskip("fsspec", reason="addresses need the extra remote")
pytest.importorskip("aiohttp", reason="addresses need the extra remote")

SHAPE = (4, 10, 12)
GRID = tt.Grid.plain(SHAPE, spacing=(3.0, 0.75, 0.5))
CASES = ("c1", "c2", "c3")
LABELS = {"background": 0, "pancreas": 1, "tumour": 2}


def write_cohort(root: Path) -> None:
    """Two members as nnU-Net saves them, a third as a map, two raters, an ROI."""
    for number, case in enumerate(CASES):
        rng = np.random.default_rng(number)
        truth = rng.normal(size=SHAPE).cumsum(axis=1).cumsum(axis=2)
        truth /= np.abs(truth).max()
        for member in "ab":
            folder = root / member
            folder.mkdir(parents=True, exist_ok=True)
            p = (1 / (1 + np.exp(-9 * (truth - 0.3 + 0.1 * rng.normal(size=SHAPE))))).astype(np.float32)
            np.savez_compressed(folder / f"{case}.npz", probabilities=np.stack([1 - p, np.zeros_like(p), p]))
            tt.write_volume(folder / f"{case}.nii.gz", tt.Volume((p > 0.5).astype(np.uint8), GRID))
            (folder / "dataset.json").write_text(json.dumps({"labels": LABELS, "file_ending": ".nii.gz"}))
        (root / "maps").mkdir(exist_ok=True)
        tt.write_volume(root / "maps" / f"{case}.mha", tt.Volume(p, GRID))
        for rater in "12":
            (root / rater).mkdir(exist_ok=True)
            mask = (truth + 0.2 * rng.normal(size=SHAPE) > 0.3).astype(np.uint8)
            tt.write_volume(root / rater / f"{case}.nrrd", tt.Volume(mask, GRID))
        (root / "roi").mkdir(exist_ok=True)
        tt.write_volume(root / "roi" / f"{case}.nii.gz", tt.Volume(np.ones(SHAPE, np.uint8), GRID))


def write_list(path: Path, base: str) -> Path:
    rows = ["case,members,raters,roi,vessels,image"]
    for case in CASES:
        members = f"{base}a/{case}.npz;{base}b/{case}.npz;{base}maps/{case}.mha"
        at_raters = f"{base}1/{case}.nrrd;{base}2/{case}.nrrd"
        roi = f"{base}roi/{case}.nii.gz"
        rows.append(f"{case},{members},{at_raters},{roi},{roi},{base}maps/{case}.mha")
    path.write_text("\n".join(rows) + "\n")
    return path


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; what is under /cut/ ends in the middle, what is under /forbidden/ is refused."""

    def do_GET(self):
        if self.path.startswith("/forbidden/"):
            self.send_error(403)
        elif self.path.startswith("/cut/"):
            content = Path(self.directory, self.path.removeprefix("/cut/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    write_cohort(folder)
    return folder


@pytest.fixture(scope="module")
def web(root):
    """The address of a server of that folder."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def memory(root):
    """The address of that folder in memory."""
    system = fsspec.filesystem("memory")
    system.put(f"{root}/", "/elsewhere/", recursive=True)
    yield "memory://elsewhere/"
    system.rm("/elsewhere", recursive=True)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where copies go; nothing may be left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def found(path, **options):
    return tt.find_cohort(cases=path, **{"foreground": ["tumour"], **options})


@pytest.fixture
def here(root, tmp_path):
    return found(write_list(root / "here.csv", ""))


def table_of(cases, folder):
    save_table(tt.tabulate(cases), folder / "table")
    return (folder / "table").read_bytes()


@pytest.mark.parametrize("kind", ["web", "memory", "file"])
def test_a_cohort_elsewhere_is_that_cohort(kind, root, here, request, tmp_path):
    base = f"{root.as_uri()}/" if kind == "file" else request.getfixturevalue(kind)
    cases = found(write_list(tmp_path / "cases.csv", base))
    assert {case.foreground for case in cases} == {("tumour",)}
    for one, other in zip(cases, here, strict=True):
        mine, its = one.read(vessels=True), other.read(vessels=True)
        assert mine.grid == its.grid == GRID == one.grid
        for a, b in zip(mine.members, its.members, strict=True):
            assert (a == b).all()
        assert all((mine.raters[name] == its.raters[name]).all() for name in "12")
        assert (mine.roi == its.roi).all()
        assert (mine.vessels == its.vessels).all()
        assert (one.read_image().array == other.read_image().array).all()
    # Also hashes of the files, by which sites know that they have the same case.
    assert table_of(cases, tmp_path) == table_of(here, tmp_path)


def test_workers_fetch_for_themselves(web, here, tmp_path):
    cases = found(write_list(tmp_path / "cases.csv", web))
    calibration = tt.fit(here, method="isotonic", replicates=0)
    write_responses(calibration, here, folder=tmp_path / "here")
    write_responses(calibration, cases, folder=tmp_path / "there", executor=tt.Processes(1))
    for path in (tmp_path / "here").iterdir():
        assert (tmp_path / "there" / path.name).read_bytes() == path.read_bytes()


def test_copies_live_as_long_as_the_case(web, scratch, tmp_path):
    cases = found(write_list(tmp_path / "cases.csv", web))
    seen = []

    def look(case, data):
        seen.append([path.is_relative_to(scratch) and path.is_file() for path in case.files])
        assert len(list(scratch.iterdir())) == 1
        return case.id

    def fail(case, data):
        raise InputError("no")

    assert list(map_cases(look, cases, label="")) == list(CASES)
    assert seen == [[True] * 6] * 3
    with pytest.raises(InputError, match="no"):
        list(map_cases(fail, cases, label=""))
    assert list(scratch.iterdir()) == []


def test_only_what_is_needed_is_fetched(web, tmp_path):
    cases = found(write_list(tmp_path / "cases.csv", web))
    with cases[0].at_hand(members=False) as near:
        assert [source.files != () for source in near.members] == [False] * 3
        assert all(source.files for source in near.raters.values())
        assert near.read(members=False).members == ()


def test_the_file_beside_a_header_comes_with_it(memory, root, scratch):
    header = (
        "ObjectType = Image\nNDims = 3\nDimSize = 12 10 4\nElementSpacing = 0.5 0.75 3\nElementType = MET_UCHAR\n"
        "BinaryData = True\nElementDataFile = {}\n"
    )
    voxels = np.arange(480, dtype=np.uint8).reshape(SHAPE) % 2
    system = fsspec.filesystem("memory")
    system.pipe("/elsewhere/x.mhd", header.format("x.raw").encode())
    system.pipe("/elsewhere/x.raw", voxels.tobytes())
    case = tt.Case("x", raters=[f"{memory}x.mhd"])
    assert (case.read(members=False).raters["1"] == voxels).all()
    system.pipe("/elsewhere/y.mhd", header.format("../../x.raw").encode())
    with pytest.raises(InputError, match=r"^case y: memory://elsewhere/y.mhd: its voxels are in .*\.mha"):
        tt.Case("y", raters=[f"{memory}y.mhd"]).read(members=False)
    system.pipe("/elsewhere/z.mhd", header.format("z.raw").encode())
    with pytest.raises(InputError, match=r"^case z: memory://elsewhere/z.raw: there is no such file"):
        tt.Case("z", raters=[f"{memory}z.mhd"]).read(members=False)


def case_of(address, **options):
    return tt.Case("c9", raters=[address], **options)


def refused(address, kind=InputError):
    with pytest.raises(kind) as caught:
        list(map_cases(lambda case, data: None, [case_of(address)], label="", members=False))
    return str(caught.value)


def test_a_download_that_ends_early_is_told(web):
    address = f"{web}cut/1/c1.nrrd"
    assert refused(address).startswith(f"case c9: {address}: cannot be fetched: ClientPayloadError")


def test_a_copy_shorter_than_was_said_is_told(memory, monkeypatch):
    address = f"{memory}1/c1.nrrd"

    def half(system, path, target, callback):
        callback.set_size(1000)
        Path(target).write_bytes(b"x" * 500)

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", half)
    assert refused(address) == f"case c9: {address}: was cut short on the way: 500 of 1000 bytes arrived; try again"


def test_what_is_damaged_is_called_by_its_address(memory):
    fsspec.filesystem("memory").pipe("/elsewhere/damaged.nii.gz", b"no image at all")
    assert refused(f"{memory}damaged.nii.gz").startswith(f"case c9: {memory}damaged.nii.gz: ")
    fsspec.filesystem("memory").pipe("/elsewhere/a/dataset.json", b"{")
    member = RemoteSource(f"{memory}a/c1.npz", functools.partial(PredictionSource, foreground=("tumour",)))
    with pytest.raises(InputError, match=r"^case c9: .*memory://elsewhere/a/dataset.json"):
        tt.Case("c9", members=[member]).read(raters=False)


def test_another_grid_is_told_by_addresses(memory, root):
    other = tt.Volume(np.zeros(SHAPE, np.uint8), tt.Grid.plain(SHAPE, spacing=(1.0, 1.0, 1.0)))
    tt.write_volume(root / "other.mha", other)
    fsspec.filesystem("memory").put(f"{root}/other.mha", "/elsewhere/other.mha")
    case = tt.Case("c9", raters=[f"{memory}1/c1.nrrd", f"{memory}other.mha"])
    with pytest.raises(GeometryError, match=r"memory://elsewhere/1/c1.nrrd.*memory://elsewhere/other.mha"):
        case.read(members=False)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("1/c8.nrrd", "there is no such file"),
        ("forbidden/c1.nrrd", "cannot be fetched: ClientResponseError: 403"),
        ("1/", "is the address of a folder"),
    ],
)
def test_what_is_not_there_or_not_given_is_told(web, path, reason):
    assert refused(f"{web}{path}").startswith(f"case c9: {web}{path}: {reason}")


def test_a_folder_in_memory_is_no_file(memory):
    assert "is the address of a folder" in refused(f"{memory}1")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_an_address_that_nobody_answers_is_told():
    address = f"http://127.0.0.1:{free_port()}/c1.nrrd"
    assert refused(address).startswith(f"case c9: {address}: cannot be fetched: ClientConnectorError")


def test_an_unreachable_member_is_known_before_any_work(root, web, tmp_path):
    gone = f"http://127.0.0.1:{free_port()}/"
    path = tmp_path / "cases.csv"
    path.write_text(
        f"case,members,raters\nc1,{web}a/c1.npz,{web}1/c1.nrrd\nc2,{gone}a/c2.npz,{web}1/c2.nrrd\n"
        f"c3,{gone}a/c3.npz,{web}1/c3.nrrd\n"
    )
    cases = found(path)
    assert [case.id for case in cases.problems] == ["c2", "c3"]
    assert f"{gone}a/dataset.json: cannot be fetched" in cases[2].problem
    with pytest.raises(CohortError, match="2 of 3 cases cannot be used"):
        cases.require_sound()


def test_an_unclear_foreground_elsewhere_is_told_with_case_and_address(web, tmp_path):
    with pytest.raises(InputError, match=rf"^case c1: {web}a: .*pancreas"):
        found(write_list(tmp_path / "cases.csv", web), foreground=None)


def test_an_unknown_protocol_is_told():
    assert refused("gopher://x/c1.nrrd").startswith("case c9: gopher://x/c1.nrrd: is no address that can be read")


def test_a_missing_package_of_a_protocol_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    said = refused("s3://bucket/c1.nrrd", MissingExtraError)
    assert said.startswith("case c9: s3://bucket/c1.nrrd: a package for this kind of address is not installed")
    assert "s3fs" in said


def test_a_missing_package_is_no_fault_of_a_case(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError):
        list(map_cases(print, [case_of("s3://b/c.nrrd")], label="", members=False, on_bad=lambda *_: None))


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert "pip install 'twintrack[remote]'" in refused("memory://c1.nrrd", MissingExtraError)


def test_no_room_for_the_copy_is_no_fault_of_the_case(memory, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", full)
    with pytest.raises(OutputError, match=r"cannot copy memory://elsewhere/1/c1.nrrd to .*TMPDIR"):
        list(map_cases(print, [case_of(f"{memory}1/c1.nrrd")], label="", members=False, on_bad=lambda *_: None))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a/c1.nii.gz", Path("a/c1.nii.gz")),
        ("C:/a/c1.nii.gz", Path("C:/a/c1.nii.gz")),
        ("s3://b/c1.nii.gz", "s3://b/c1.nii.gz"),
        ("simplecache::https://h/c1.nii.gz", "simplecache::https://h/c1.nii.gz"),
        ("file:///a/c%201.nii.gz", Path("/a/c 1.nii.gz")),
        (Path("a"), Path("a")),
    ],
)
def test_paths_and_addresses_are_told_apart(text, place):
    assert remote.place_of(text) == place


def test_a_query_is_no_part_of_the_name():
    address = "https://h/a/c1.npz?key=1/2"
    assert remote.name_of(address) == "c1.npz"
    assert remote.sibling(address, "dataset.json") == "https://h/a/dataset.json?key=1/2"
