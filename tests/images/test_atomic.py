"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from twintrack.errors import InputError, OutputError
from twintrack.images.atomic import replacing, write_text


def test_the_temporary_is_hidden_beside_the_target_and_keeps_the_whole_ending(tmp_path: Path) -> None:
    target = tmp_path / "a.nii.gz"
    with replacing(target) as first, replacing(target) as second:
        assert first.parent == tmp_path
        assert first.name.startswith(".")
        assert first.name.endswith(".nii.gz")
        assert first != second
        first.write_text("1")
        second.write_text("2")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "1"  # the outer one is renamed last
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, InputError])
def test_whatever_is_raised_the_old_file_stays_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), replacing(target) as temporary:  # noqa: PT012 - the block is what is tested
        temporary.write_text("new")
        raise error
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text(encoding="utf-8") == "old"


def test_a_refusal_of_the_system_names_the_file_and_the_reason(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt: No space left on device"), replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_trouble_with_another_file_is_not_said_to_be_trouble_with_this_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_bytes((tmp_path / "missing").read_bytes())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_a_target_that_is_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_text(tmp_path / "none" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        write_text(tmp_path / "folder", "x")
    with pytest.raises(OutputError, match="not a regular file"):
        write_text(Path(os.devnull), "x")


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError), replacing(tmp_path / "a.txt"):
        pass


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "σ\nb\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "σ\nb\r\n".encode()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("old")
    link = tmp_path / "a.txt"
    link.symlink_to(tmp_path / "real" / "a.txt")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text(encoding="utf-8") == "new"


def test_very_long_names_are_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 250), "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x" * 250]
