"""What people may write against: every public name with its signature, as it stands in `surface.txt`.

After a change that is meant: `python -m tests.architecture.test_surface`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.architecture.code import MODULES, PACKAGES, dotted, nodes

ADDRESS = re.compile(" at 0x[0-9a-f]+")
SURFACE = Path(__file__).with_name("surface.txt")


def lines() -> Iterator[str]:
    for package in PACKAGES:
        module = import_module(package)
        for name in module.__all__:
            yield from (ADDRESS.sub("", line) for line in described(f"{package}.{name}", getattr(module, name)))


def described(name: str, thing: Any) -> Iterator[str]:
    """Yield a line for a name, and one for each public method that nerc gives a class."""
    if not isinstance(thing, type):
        yield f"{name}{inspect.signature(thing)}"
        return
    bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
    yield f"{name}({bases})" if bases else name
    special = ("__call__",) if "Protocol" in bases else ("__call__", "__init__")
    for own in sorted(vars(thing)):
        part = inspect.getattr_static(thing, own)
        function = getattr(part, "__func__", part)
        if isinstance(part, property):
            yield f"  .{own}"
        elif inspect.isfunction(function) and (not own.startswith("_") or own in special):
            yield f"  .{own}{inspect.signature(function)}"


def test_the_surface_is_as_it_was_written_down() -> None:
    assert list(lines()) == SURFACE.read_text(encoding="utf-8").splitlines()


def test_the_base_of_the_errors_is_caught_in_one_place() -> None:
    """`one_line` tells our errors from others, for the command line; nothing on the way catches them all."""
    handlers = [
        dotted(file)
        for file in MODULES
        for node in nodes(file)
        if isinstance(node, ast.ExceptHandler) and node.type is not None and "NercError" in ast.unparse(node.type)
    ]
    assert handlers == []
    told = {
        dotted(file)
        for file in MODULES
        for node in nodes(file)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "one_line"
    }
    assert told == {"experiments.cli", "experiments.errors"}


if __name__ == "__main__":
    SURFACE.write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")
