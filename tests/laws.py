"""The laws of components: which one a new component breaks, in the words of the page that states it.

A test that holds every component of a kind to a law is decorated with `law`, quotes the law, and says where it is written. The
quotation is checked when the test is collected: a law that nobody could have read is none.

    .venv/bin/python -m pytest -m law -k lines        # all laws that a component `lines` must keep
"""

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

ROOT = Path(__file__).parents[1]
EXTENDING = "docs/extending.md"
_BROKEN = re.compile(r"LawBroken: (.* breaks a law: .*\n.*It is written in .*\n.*What happened: .*)")
P = ParamSpec("P")
T = TypeVar("T")


class LawBroken(AssertionError):
    """A component does not keep a law of its kind."""


def law(sentence: str, where: str, of: str = "name") -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a test of the law `sentence`, which is written at `where`; the test's argument `of` names the component.

    `where` is a heading of a page (`docs/extending.md#a-format`) or an object with a docstring, by its dotted name.
    """
    assert _flat(sentence) in _flat(_text(where)), f"{where} does not state this law: {sentence}"

    def decorate(test: Callable[P, T]) -> Callable[P, T]:
        @pytest.mark.law
        @wraps(test)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return test(*args, **kwargs)
            except (Exception, pytest.fail.Exception) as error:  # `pytest.raises` fails with the second
                what = (str(error).strip().splitlines() or [""])[0]
                raise LawBroken(
                    f"{_name(kwargs.get(of))} breaks a law: {sentence}\n"
                    f"  It is written in {where}.\n"
                    f"  What happened: {type(error).__name__}: {what}"
                ) from error

        return checked

    return decorate


def broken(reports: Iterable[Any]) -> list[str]:
    """Return each law that was broken, once for each component, with what happened first and in how many tests."""
    found, first = Counter[str](), dict[str, str]()
    for report in reports:
        if match := _BROKEN.search(report.longreprtext):
            law, what = re.sub(r"\n *E? *", "\n  ", match[1]).rpartition("\n")[::2]
            first[law] = first.get(law, what)
            found[law] += 1
    return [f"{law}\n{first[law]}\n  Tests of it that failed: {number}" for law, number in found.items()]


def _name(component: Any) -> str:
    return getattr(component, "__name__", str(component))


@cache
def _text(where: str) -> str:
    """Return the section of a page, without those below it, or a docstring with those of an object's methods."""
    if ".md#" in where:
        page, anchor = where.split("#")
        for section in re.split(r"^(?=##+ )", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE):
            heading = section.partition("\n")[0].lstrip("# ")
            if re.sub(r"[^\w]+", "-", heading.casefold()).strip("-") == anchor:
                return section
        raise ValueError(f"{page} has no heading #{anchor}")
    module, _, name = where.rpartition(".")
    made = getattr(importlib.import_module(module), name)
    return "\n".join(
        filter(None, (made.__doc__, *(getattr(m, "__doc__", "") for m in vars(made).values() if callable(m))))
    )


def _flat(text: str) -> str:
    return " ".join(text.split())
