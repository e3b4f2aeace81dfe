"""No test depends on how fast the machine is, or how busy: nothing is measured, and nothing waited for a short while only."""

import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
BACKSTOP = 1800
MEASURES = re.compile(r"\b(perf_counter|process_time|thread_time|monotonic)(_ns)?\(")
PATIENCE = re.compile(r"\btimeout[=(](\d[\d_.]*)|\.(?:wait|join|result)\((\d[\d_.]*)\)")
ASKS = re.compile(r"\bopen_(?:lm|at)\(")  # how long an LM is waited for is what such a test is about


def about_time(line: str) -> bool:
    given = [float((one or other).replace("_", "")) for one, other in PATIENCE.findall(line)]
    return bool(MEASURES.search(line)) or (any(seconds < BACKSTOP for seconds in given) and not ASKS.search(line))


def test_no_test_is_about_time() -> None:
    files = [file for file in TESTS.rglob("*.py") if file not in (TESTS / "effort.py", Path(__file__))]
    lines = [(file.name, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 1000 and [(name, line) for name, line in lines if about_time(line)] == []


def test_the_backstop_of_every_test_is_far_off() -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert said["tool"]["pytest"]["ini_options"]["timeout"] >= BACKSTOP
