"""The digest of a file."""

from __future__ import annotations

from autodir_core.serialization.hashing import sha256


def test_sha256(tmp_path):
    (tmp_path / "weights").write_bytes(b"abc")
    assert sha256(tmp_path / "weights") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
