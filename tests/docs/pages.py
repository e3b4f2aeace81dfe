"""The documentation as tests see it: pages, their code blocks, and the command lines in them.

A ```sh block is run, and so is ```python; of ```bash the command lines are only checked (they need a key, a server, data or
minutes). A block with a title is written to that file first; a ```text block behind ```python is what that prints.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from experiments import cli

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:PYTHONPATH=\. )?(?:\.venv/bin/)?(nerc|make) (.*)")


@dataclass(frozen=True)
class Block:
    """A fenced code block: `title` is the file that it is, if it is one."""

    page: str
    language: str
    title: str
    code: str


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page, all or those of some languages, in its order."""
    found = [Block(page.name, *match.groups(default="")) for match in _BLOCK.finditer(text(page))]
    return [block for block in found if not languages or block.language in languages]


def command(line: str) -> tuple[str, list[str]]:
    """Return who is called by a line (nerc, make, or nobody), and with which words; comments are cut off."""
    match = _COMMAND.fullmatch(line.strip())
    return (match[1], shlex.split(match[2], comments=True)) if match else ("", [])


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the command lines of a page, of its blocks and of lines that are indented."""
    fenced = [line for block in blocks(page, "sh", "bash") for line in block.code.splitlines()]
    indented = re.findall(r"^ {4}(\S.*)", _BLOCK.sub("", text(page)), re.MULTILINE)
    for line in [*fenced, *indented]:
        who, words = command(line)
        if who and "..." not in line:
            yield who, words


def parse(words: list[str]) -> None:
    """Have the command line read these words, and do nothing; SystemExit or UsageError for what it does not know."""
    called, name = typer.main.get_command(cli.app), "nerc"
    context = None
    while hasattr(called, "resolve_command"):
        context = called.make_context(name, list(words), parent=context)
        name, called, words = called.resolve_command(context, [*context._protected_args, *context.args])
    called.make_context(name, list(words), parent=context)
