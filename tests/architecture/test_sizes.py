"""Files, functions and parameter lists stay small enough to be read."""

import ast

from tests.architecture.code import BENCHMARKS, MODULES, ROOT, nodes, short, text

FILES = [*MODULES, *BENCHMARKS]
COMMAND_LINE = ("experiments/cli.py", "experiments/commands/")  # a verb has as many parameters as options
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = [(short(file), node) for file in FILES for node in nodes(file) if isinstance(node, Function)]


def test_no_file_is_above_300_lines() -> None:
    assert len(FILES) > 80
    assert [short(file) for file in FILES if len(text(file).splitlines()) > 300] == []


def test_no_function_is_above_60_lines() -> None:
    assert len(FUNCTIONS) > 500
    assert [f"{file}: {f.name}" for file, f in FUNCTIONS if (f.end_lineno or 0) - f.lineno >= 60] == []


def test_no_function_has_more_than_7_parameters() -> None:
    def count(f: Function) -> int:
        named = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
        return len([a for a in named if a.arg not in ("self", "cls")])

    others = [(file, f) for file, f in FUNCTIONS if not file.startswith(COMMAND_LINE)]
    assert [f"{file}: {f.name}" for file, f in others if count(f) > 7] == []


def test_the_reference_run_is_a_page() -> None:
    assert len(text(ROOT / "experiments" / "reference_run.py").splitlines()) <= 120
