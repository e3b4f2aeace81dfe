"""Every module in kb/sources and kb/retrievers is a component; a new file is tested by being there."""

import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from pydantic import ConfigDict, ValidationError, validate_call

import kb
import kb.retrievers
import kb.sources
from kb import Knowledge, KnowledgeBase
from kb.sources import tsv
from tests.laws import EXTENDING, law

OTHERS = f"{EXTENDING}#the-other-kinds"


def components(package: ModuleType) -> list[Any]:
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    return [pytest.param(import_module(f"{package.__name__}.{name}"), id=name) for name in names]


sources, retrievers = components(kb.sources), components(kb.retrievers)


@pytest.mark.parametrize("module", [*sources, *retrievers])
@law(
    "A component of any kind is documented: its module says what it is, and its `build` has a docstring and annotated options.",
    OTHERS,
    of="module",
)
def test_build_is_annotated_documented_and_plain(module: ModuleType) -> None:
    assert module.__doc__
    assert module.build.__doc__
    hints = get_type_hints(module.build)
    for name, parameter in inspect.signature(module.build).parameters.items():
        assert name in hints
        assert name == "path" or parameter.kind is parameter.KEYWORD_ONLY
        needed = name in ("path", "kb") or (
            module is tsv and name == "columns"
        )  # otherwise a bare name is a whole spec
        assert needed or parameter.default is not parameter.empty
    assert "return" in hints


@pytest.mark.parametrize("module", sources)
@law("A source opens nothing before it is iterated.", OTHERS, of="module")
def test_sources_take_a_path_and_open_nothing_yet(module: ModuleType) -> None:
    hints = get_type_hints(module.build)
    assert hints["path"] == str | Path
    assert hints["return"] is kb.Source
    build = validate_call(module.build)
    with pytest.raises(ValidationError, match="no_such_option"):
        build("nowhere", no_such_option=1)


@pytest.mark.parametrize("module", retrievers)
@law(
    "A retriever returns what is most relevant first, with a `surface` that is in the text; the same for the same text.",
    OTHERS,
    of="module",
)
def test_retrievers(module: ModuleType, birds: KnowledgeBase) -> None:
    hints = get_type_hints(module.build)
    assert hints["kb"] == KnowledgeBase | None
    assert hints["return"] is kb.Retriever
    build = validate_call(module.build, config=ConfigDict(arbitrary_types_allowed=True))
    with pytest.raises(ValidationError, match="no_such_option"):
        build(kb=birds, no_such_option=1)
    retriever = build(kb=birds)
    for text in ("", "?", "nothing known", "An owl, a blue tit, a singer and SBD — İ owl"):
        items = retriever(text)
        assert items == retriever(text)
        assert all(isinstance(item, Knowledge) and 0 <= item.relevance <= 1 for item in items)
        assert [item.relevance for item in items] == sorted((item.relevance for item in items), reverse=True)
        assert all(item.surface in text for item in items)
        assert len({(item.surface, item.concept.type) for item in items if item.surface}) == sum(
            bool(item.surface) for item in items
        )


def test_the_package_says_what_it_offers() -> None:
    assert sorted(kb.__all__) == kb.__all__
    assert all(hasattr(kb, name) for name in kb.__all__)
