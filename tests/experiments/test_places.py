"""Where things lie, and who may read them."""

import os
import stat
from pathlib import Path

import pytest

from experiments import places


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NERC_DATA", "NERC_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NERC_CACHE", str(tmp_path / "deep" / "cache"))
    monkeypatch.chdir(tmp_path)


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert places.home() == tmp_path / "mlruns"
    monkeypatch.setenv("NERC_HOME", "elsewhere")
    assert places.home() == tmp_path / "elsewhere"
    assert places.home(Path("given")) == tmp_path / "given"
    assert list(tmp_path.iterdir()) == []


def test_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert places.data_directory() == tmp_path / "deep" / "cache" / "data"
    monkeypatch.setenv("NERC_DATA", "elsewhere")
    assert places.data_directory() == tmp_path / "elsewhere"
    assert places.data_directory(Path("given")) == tmp_path / "given"


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert places.cache() == tmp_path / "deep" / "cache"
    monkeypatch.delenv("NERC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert places.cache().is_relative_to(tmp_path / "xdg")
    assert places.cache().name == "nerc"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_answers_are_for_their_owner_only(umask: int) -> None:
    before = os.umask(umask)
    try:
        file = places.answers("notes", "0123456789abcdef")
    finally:
        os.umask(before)
    assert file.name == "answers.db"
    assert file.parent.name == "notes-0123456789ab"
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(places.cache().stat().st_mode) == 0o700
    assert places.answers("notes", "0123456789abcdef") == file
    assert places.answers("notes", "f123456789abcdef") != file


def test_answers_that_others_could_read_are_closed_again() -> None:
    folder = places.answers("notes", "0123456789abcdef").parent
    folder.chmod(0o755)
    places.answers("notes", "0123456789abcdef")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_libraries_are_kept_quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "DSPY_CACHEDIR",
        "LITELLM_LOCAL_MODEL_COST_MAP",
        "MLFLOW_DISABLE_TELEMETRY",
        "HF_HUB_DISABLE_TELEMETRY",
    ):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("DSPY_CACHEDIR")
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY")
    places.prepare_environment()
    assert os.environ["DSPY_CACHEDIR"] == str(tmp_path / "deep" / "cache" / "dspy")
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "true"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
