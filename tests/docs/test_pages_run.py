"""Every command and snippet of every page is run, on made-up data, or excused with a reason.

A page that is added is run too. What its commands name and the world does not have, an earlier block of the page must
make, or `world.py`; what cannot be run belongs into `excused.py`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer

from twintrack.cli import main
from twintrack.cli.main import app
from twintrack.errors import TwinTrackWarning
from twintrack.segmentation.extra import has_nnunet

from .excused import EXCUSED
from .pages import NOT_RUN, PAGES, PYTHON, REPOSITORY, SHELL, blocks_of, inline_commands, name_of

if not has_nnunet():
    pytest.skip("pages show networks: the extra nnunet is not installed", allow_module_level=True)
pytest.importorskip("monai")

from twintrack.integrations.monai import CalibrateResponsed

from .world import lay, make_world, variables

SHOWN = [(block, step) for page in PAGES for block in blocks_of(page) for step in block.steps]
RUN = [page for page in PAGES if any(block.language in (*SHELL, *PYTHON) for block in blocks_of(page))]
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def excuse(step: str) -> str | None:
    return next((reason for pattern, reason in EXCUSED.items() if re.match(pattern, step)), None)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pages") / "template"
    root.mkdir()
    make_world(root)
    return root


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_commands_and_snippets_of_a_page_run(page, template, tmp_path, monkeypatch, capsys):
    world = tmp_path / "world"
    shutil.copytree(template, world)
    monkeypatch.chdir(world)
    names = {"__name__": "__main__", **variables(template)}
    for block in blocks_of(page):
        if block.language in NOT_RUN:
            continue
        for step in block.steps:
            if excuse(step) is not None:
                continue
            if block.language in PYTHON:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", TwinTrackWarning)  # made-up cases are few and unlike real ones
                    exec(compile(step, block.where, "exec"), names)
            else:
                run(step, world, template, where=block.where)
    capsys.readouterr()


def run(command: str, world: Path, template: Path, *, where: str) -> None:
    words = shlex.split(command)
    for before, word in zip(["", *words], words, strict=False):
        if before == "--out":
            # An earlier page, or the world, may have it; most commands do not write over a folder.
            shutil.rmtree(world / word, ignore_errors=True)
        else:
            lay(word, world, template)
    if words[0] == "twintrack":
        with pytest.raises(SystemExit) as stopped:
            main(words[1:])
        code = stopped.value.code or 0
    else:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        code = subprocess.run(["bash", "-c", command], cwd=world, env=environment, check=False).returncode
    assert code == 0, f"{where}: {command}"


def test_blocks_are_in_languages_that_are_known_to_be_run_or_not():
    known = {*SHELL, *PYTHON, *NOT_RUN}
    assert [block.where for page in PAGES for block in blocks_of(page) if block.language not in known] == []


def test_json_on_a_page_is_json():
    found = [json.loads(block.text) for page in PAGES for block in blocks_of(page) if block.language == "json"]
    names = [content["_target_"] for content in found if "_target_" in content]
    assert names == [f"{CalibrateResponsed.__module__}.{CalibrateResponsed.__qualname__}"]


def test_no_excuse_is_left_over():
    shown = [step for block, step in SHOWN if block.language in (*SHELL, *PYTHON)]
    assert [pattern for pattern in EXCUSED if not any(re.match(pattern, step) for step in shown)] == []


def test_a_command_that_is_neither_runnable_nor_excused_fails(template, tmp_path, monkeypatch):
    world = tmp_path / "world"
    shutil.copytree(template, world)
    monkeypatch.chdir(world)
    for command in ("twintrack nothing", "twintrack apply none.json --members MEMBER_1 --out x", "no-such-program x"):
        with pytest.raises(AssertionError, match="page.md:7"):
            run(command, world, template, where="page.md:7")


def test_the_pages_show_every_command():
    shown = {step.split()[1] for _, step in SHOWN if step.startswith("twintrack ")}
    inline = {command.split()[1] for page in PAGES for command in inline_commands(page)}
    assert shown | inline >= set(typer.main.get_command(app).commands)


def twintrack_commands() -> list[str]:
    """The commands that are not run: those in the running text, and those excused."""
    inline = [command for page in PAGES for command in inline_commands(page)]
    excused = [step for _, step in SHOWN if excuse(step) is not None]
    return sorted({command for command in (*inline, *excused) if command.startswith("twintrack ")})


@pytest.mark.parametrize("command", twintrack_commands())
def test_a_command_that_is_not_run_has_the_options_it_names(command):
    words = shlex.split(command)[1:]
    entry = typer.main.get_command(app)
    while hasattr(entry, "commands"):
        entry = entry.commands[words.pop(0)]
    known = {name for parameter in entry.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scripts_and_targets_that_are_named_exist(page):
    for command in inline_commands(page):
        program, first, *_ = command.split()
        if program == "python" and first.endswith(".py"):
            assert (REPOSITORY / first).is_file(), command
        if program == "make":
            assert re.search(rf"^{re.escape(first)}:", MAKEFILE, flags=re.MULTILINE), command
