"""What answers a question without computing anything imports nothing heavy: a second of work is not spent on a list."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import warm

HEAVY = {"mlflow", "dspy", "litellm", "datasets", "sklearn", "matplotlib", "scipy", "pandas", "torch", "sqlalchemy"}
OURS = {"experiments.spec", "experiments.commands.verbs", "ner_programs.components", "ner_programs.program"}
SPIED = HEAVY | OURS | {"openai", "numpy", "networkx", "rich.table"}
SPY = """
import json, sys
from experiments.cli import main
for argv in json.loads(sys.stdin.read()):
    sys.argv, code = ["nerc", *argv], 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    print("spied:", json.dumps([code, sorted(name for name in sys.modules)]))
"""
SPEC = '[corpus]\nname = "wardnotes"\n'
KINDS = ("corpora", "formats", "demos", "retrievers", "sources", "optimizers", "lms", "verifiers")
MISSPELT = {
    "optimizer.name": "rase", "corpus.name": "wardnote", "program.format.name": "tanls", "program.demos.name": "tf_idf",
    "program.retriever.name": "walks", "program.verify.name": "llms", "lm.model": "ofline", "lm.strong.model": "ofline",
    "kb": '{sources=[{name="obi"}]}',
}  # fmt: skip


def spied(commands: Sequence[Sequence[str]], cwd: Path, **env: str) -> tuple[list[tuple[int, set[str]]], str]:
    """Run commands of `nerc` one after another in a new process; return exit codes, what is imported by then, and stdout."""
    ran = subprocess.run(
        [sys.executable, "-c", SPY], input=json.dumps(commands), cwd=cwd, env=warm.environment(cwd) | env,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = [json.loads(line[7:]) for line in ran.stdout.splitlines() if line.startswith("spied: ")]
    return [(code, SPIED & set(modules)) for code, modules in said], ran.stdout


def heavy(commands: Sequence[Sequence[str]], cwd: Path) -> list[tuple[int, set[str]]]:
    return [(code, HEAVY & modules) for code, modules in spied(commands, cwd)[0]]


def test_help_and_completion_import_nothing(tmp_path: Path) -> None:
    helps = [("--help",), ("run", "--help"), ("compare", "--help")]
    found, out = spied(helps, tmp_path)
    assert found == [(0, set())] * len(helps) and out.count("Usage: nerc") == len(helps)
    completion = {"_NERC_COMPLETE": "complete_bash", "COMP_WORDS": "nerc com", "COMP_CWORD": "1"}
    found, out = spied([()], tmp_path, **completion)
    assert found == [(0, set())] and out.split()[0] == "compare"


def test_lists_and_the_checkup_import_nothing_heavy(tmp_path: Path) -> None:
    warm.fresh_home(tmp_path / "mlruns")
    there = ("--home", "mlruns")
    commands = [*(("list", kind) for kind in KINDS), ("list", "runs", *there), ("cache",)]
    commands += [("doctor", *there), ("list", "zz")]
    found = heavy(commands, tmp_path)
    assert found == [(0, set())] * (len(commands) - 1) + [(2, set())]


def test_a_misspelt_name_is_found_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(SPEC)
    commands = [("run", "my.toml", "--set", f"{setting}={name}") for setting, name in MISSPELT.items()]
    assert heavy(commands, tmp_path) == [(2, set())] * len(commands)
