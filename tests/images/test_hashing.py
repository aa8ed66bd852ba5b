"""Hashes of files."""

from __future__ import annotations

import hashlib

import pytest

from twintrack.errors import InputError
from twintrack.images.hashing import sha256_of, sha256_of_all


def test_one_file_is_hashed_as_sha256sum_does_and_several_in_their_order(tmp_path):
    content = bytes(range(256)) * 9000  # more than one chunk
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(content)
    two.write_bytes(b"two")
    assert sha256_of(one) == sha256_of_all([one]) == hashlib.sha256(content).hexdigest()
    assert sha256_of_all([one, two]) != sha256_of_all([two, one])
    assert len(sha256_of_all([])) == 64


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot read .*none: No such file"):
        sha256_of(tmp_path / "none")
