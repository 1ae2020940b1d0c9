"""Compiled kernels are kept where nobody else can put something in their place."""

import os
import sys
from pathlib import Path

import pytest

from floodmark_core import _jit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for kernels of this core, below one that is named in the environment."""
    monkeypatch.setenv("FLOODMARK_CACHE_DIR", str(tmp_path))
    return _jit.cache_folder()


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make no folder writable, for root too."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)


def test_the_folder_is_made_for_its_user_alone(folder: Path) -> None:
    assert _jit.usable_folder() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_folder_is_named_by_the_text_of_the_core(folder: Path) -> None:
    assert folder.name == _jit.source_digest()


def test_the_name_follows_files_in_packages_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "matching.py").write_text("LIMIT = 1\n")
    monkeypatch.setattr(_jit, "__file__", str(tmp_path / "_jit.py"))
    before = _jit.source_digest()
    (tmp_path / "flows" / "matching.py").write_text("LIMIT = 2\n")
    assert _jit.source_digest() != before


def test_a_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert _jit.usable_folder() is None


def test_a_read_only_folder_with_kernels_is_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "core").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    (folder / "core" / "a.nbi").write_bytes(b"index")
    read_only(monkeypatch)
    copy = _jit.usable_folder()
    assert copy is not None
    assert copy != str(folder)
    assert (Path(copy) / "core" / "a.nbi").read_bytes() == b"index"


def test_a_read_only_folder_without_kernels_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True, mode=0o700)
    read_only(monkeypatch)
    assert _jit.usable_folder() is None


def test_a_folder_that_cannot_be_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOODMARK_CACHE_DIR", str(tmp_path / "file"))
    assert _jit.usable_folder() is None


@pytest.mark.parametrize(
    ("named", "wanted"), [({"FLOODMARK_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}, "/a"), ({"XDG_CACHE_HOME": "/b"}, "/b")]
)
def test_the_folder_is_the_one_that_the_environment_names(named: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOODMARK_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, named.get(name, ""))
    assert _jit.cache_folder().parent == Path(wanted) / "floodmark"


@pytest.mark.skipif(sys.platform != "linux", reason="each system has its own folder")
def test_without_a_name_the_folder_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOODMARK_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert _jit.cache_folder().parent == Path("/home/somebody/.cache/floodmark")
