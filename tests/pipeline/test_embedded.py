"""The embedded bundle is found, or its absence is said."""

import pytest

import twintrack
from twintrack.errors import ModelError
from twintrack.pipeline.embedded import embedded_bundle


def test_the_embedded_bundle_is_found_in_the_package(tmp_path, monkeypatch):
    folder = tmp_path / "embedded" / "phantom"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text("{}")
    monkeypatch.setattr(twintrack, "__file__", str(tmp_path / "__init__.py"))
    assert embedded_bundle() == folder


def test_an_installation_without_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(twintrack, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match="this installation has no embedded bundle"):
        embedded_bundle()
