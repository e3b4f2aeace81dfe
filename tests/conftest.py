"""What holds for every test: no network but loopback, nothing written outside temporary folders, DSPy's settings clean."""

import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, configuration, settings
from pytest_socket import socket_allow_hosts

from tests.effort import often
from tests.laws import broken

LOOPBACK = ["localhost", "127.0.0.1", "::1"]
HOME = Path(tempfile.mkdtemp(prefix="nerc-tests-"))
_ADDRESSES: dict[str, set[str]] = {}
_NUMBERS = itertools.count()

os.environ["DSPY_CACHEDIR"] = str(HOME / "dspy")  # read when DSPy is imported
os.environ["NERC_CACHE"] = str(HOME / "cache")
os.environ["NERC_HOME"] = str(HOME / "mlruns")
os.environ.setdefault("NERC_TESTS", str(HOME))  # what all test processes share: the first process's folder
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

configuration.set_hypothesis_home_dir(HOME / "hypothesis")
settings.register_profile(
    "nerc", derandomize=True, deadline=None, max_examples=often(10, 200), database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.load_profile("nerc")


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which laws of components were broken, each once."""
    for said in broken(terminalreporter.getreports("failed")):
        terminalreporter.write_line(said)


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def only_loopback() -> None:
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True, resolution_cache=_ADDRESSES)  # the plugin undoes it


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HOME / f"test-{next(_NUMBERS)}"
    monkeypatch.setenv("NERC_CACHE", str(folder / "cache"))
    monkeypatch.setenv("NERC_HOME", str(folder / "mlruns"))


@pytest.fixture(autouse=True)
def clean_dspy() -> Iterator[None]:
    """DSPy keeps no answers, and its settings are, after each test, what they were before; most tests never import it."""
    if "dspy" not in sys.modules:
        yield
        if "dspy" in sys.modules:
            import dspy

            assert dspy.settings.lm is None, "the test left a global LM behind"
        return
    import dspy

    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    before = dict(dspy.settings.config)
    yield
    changed = {k: v for k, v in before.items() if dspy.settings.config.get(k) is not v}
    if changed:
        dspy.configure(**changed)
