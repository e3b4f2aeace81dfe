"""A name is a module: contracts over every component folder (a new file is tested by being there), and what can go wrong."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from ner_programs import ComponentError, NercError, Pool, ProgramSpec
from ner_programs.components import module, names, resolve
from ner_programs.demos import Selector
from ner_programs.errors import UnknownComponent
from ner_programs.formats import Format
from ner_programs.stages.verify import Verifier
from tests.ner_programs.support import DEMO_OPTIONS, LABELS, NOTES, PLAIN, labels_of, ontology

CONTEXT: dict[str, Any] = {
    "labels": labels_of(LABELS), "kb": ontology(), "pool": Pool.of(NOTES), "guidelines": "Be brief.",
    "extract": ProgramSpec(labels=PLAIN).build().extract,
    "inner": lambda of: resolve("ner_programs.verifiers", of, **CONTEXT),
}  # fmt: skip
FOLDERS = {
    "kb.retrievers": CONTEXT, "ner_programs.formats": CONTEXT, "ner_programs.demos": CONTEXT, "ner_programs.verifiers": CONTEXT,
    "ner_programs.attributes": CONTEXT,
    "ner_programs.lms": {}, "optimizers": {}, "kb.sources": {},
}  # fmt: skip
EVERY = [(package, name) for package in FOLDERS for name in names(package)]
NEEDS: dict[str, dict[str, Any]] = {"api": {"model": "openai/x"}, **DEMO_OPTIONS}


def own_options(package: str, name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(importlib.import_module(f"{package}.{name}").build).parameters
    return {n: p for n, p in parameters.items() if n not in FOLDERS[package]}


@pytest.mark.parametrize("package", FOLDERS)
def test_every_folder_has_components_and_no_helpers_among_them(package: str) -> None:
    found = names(package)
    assert found
    assert list(found) == sorted(found)
    assert not [n for n in found if n.startswith("_")]
    folder = Path(str(importlib.import_module(package).__file__)).parent
    assert {p.stem for p in folder.glob("[!_]*.py") if "\ndef build(" in p.read_text()} == set(found)


def test_known_components_are_there() -> None:
    assert {"json_list", "tanl", "dice", "tagged"} <= set(names("ner_programs.formats"))
    assert {"random", "tfidf"} <= set(names("ner_programs.demos"))
    assert {"api", "crf", "replay"} <= set(names("ner_programs.lms"))
    assert "metered" not in names("ner_programs.lms"), "a module without build() is no component"


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_build_is_documented_annotated_and_keyword_only(package: str, name: str) -> None:
    build = importlib.import_module(f"{package}.{name}").build
    assert importlib.import_module(f"{package}.{name}").__doc__
    assert build.__doc__
    hints = get_type_hints(build)
    for option, parameter in inspect.signature(build).parameters.items():
        assert option in hints
        assert parameter.kind is parameter.KEYWORD_ONLY or package == "kb.sources"
    assert "return" in hints


@pytest.mark.parametrize(("package", "name"), [e for e in EVERY if e[0] != "kb.sources"])
def test_a_bare_name_is_a_whole_spec(package: str, name: str) -> None:
    needed = {o: p for o, p in own_options(package, name).items() if p.default is p.empty}
    if needed:
        with pytest.raises(ComponentError, match=f"needs the option '{next(iter(needed))}'"):
            resolve(package, {"name": name}, **FOLDERS[package])
        if name not in NEEDS:
            return
    try:
        made = resolve(package, {"name": name, **NEEDS.get(name, {})}, **FOLDERS[package])
    except NercError as error:
        assert package in ("ner_programs.lms", "ner_programs.attributes")  # an extra is not installed
        assert f"{name} needs" in str(error)
        return
    if package == "ner_programs.formats":
        assert isinstance(made, Format)
        assert made.describe()
    elif package == "ner_programs.lms":
        assert isinstance(made.model, str)
        assert isinstance(made.supports_schema, bool)
    elif package == "optimizers":
        assert set(inspect.signature(made.compile).parameters) == {"program", "train", "dev", "compilation"}
    else:
        assert callable(made)


@pytest.mark.parametrize(("package", "name"), EVERY)
def test_unknown_options_list_the_options(package: str, name: str) -> None:
    with pytest.raises(ComponentError) as caught:
        resolve(package, {"name": name, "no_such": 1}, **FOLDERS[package])
    assert (
        str(caught.value)
        == f"{name} has no option 'no_such'; it has: {', '.join(own_options(package, name)) or 'none'}"
    )


@pytest.mark.parametrize(("package", "name"), [e for e in EVERY if FOLDERS[e[0]]])
def test_context_may_not_stand_in_a_spec(package: str, name: str) -> None:
    for given in CONTEXT:
        with pytest.raises(ComponentError, match=f"has no option '{given}'"):
            resolve(package, {"name": name, given: None}, **CONTEXT)


@pytest.mark.parametrize("package", FOLDERS)
def test_unknown_names_list_the_names(package: str) -> None:
    for name in ("no_such", "_base", "__init__", "", "..", ".tanl", "a..b", "1.2", "os;path"):
        with pytest.raises(UnknownComponent) as caught:
            module(package, name)
        assert all(known in str(caught.value) for known in names(package))
    for spec in ({}, {"name": 3}):
        with pytest.raises(ComponentError, match="needs a name; there are: "):
            resolve(package, spec)


def test_values_are_checked_and_converted() -> None:
    pool = Pool.of(NOTES)
    assert resolve("ner_programs.demos", {"name": "random", "k": "3"}, pool=pool).k == 3
    with pytest.raises(ComponentError, match=r"^random: option 'k': .*\(given: 'many'\)$"):
        resolve("ner_programs.demos", {"name": "random", "k": "many"}, pool=pool)
    with pytest.raises(ComponentError, match=r"^llm: option 'mode': .*'reject' or 'full'"):
        ProgramSpec(labels=PLAIN, verify={"name": "llm", "mode": "all"}).build()
    walk = resolve("kb.retrievers", {"name": "walk", "relations": ["is_a"]}, kb=ontology())
    assert walk.relations == ("is_a",)


# Components of the researcher's own

OWN = {
    "__init__.py": "",
    "mine.py": """
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from somewhere import Pool

class Last:
    def __init__(self, pool, k): self.pool, self.k = pool, k
    def __call__(self, text, exclude=()): return [d for d in self.pool if d.text != text][-self.k:]

def build(*, pool: Pool, k: int = 1) -> Last:
    return Last(pool, k)
""",
    "open.py": "def build(*, labels, **rest): return dict(rest)\n",
    "nobuild.py": "x = 1\n",
    "lacks.py": "import no_such_package_anywhere\ndef build(): ...\n",
    "stale.py": "from json import no_such_function\ndef build(): ...\n",
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "ownlab"
    folder.mkdir()
    for file, text in OWN.items():
        (folder / file).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for loaded in [m for m in sys.modules if m.split(".")[0] == "ownlab"]:
        monkeypatch.delitem(sys.modules, loaded)
    return "ownlab"


def test_a_dotted_name_is_a_module_of_ones_own(own: str) -> None:
    program = ProgramSpec(labels=PLAIN, demos={"name": "ownlab.mine", "k": "2"}).build(pool=Pool.of(NOTES, "document"))
    assert [d["text"] for d in program.extract.demos(NOTES[-1].text)] == [d.text for d in NOTES[-3:-1]]
    with pytest.raises(ComponentError, match="has no option 'j'; it has: k"):
        program.with_settings(demos={"j": 1})
    assert resolve("ner_programs.formats", {"name": "ownlab.open"}, labels=()) == {}


def test_trust(own: str) -> None:
    spec = ProgramSpec(labels=PLAIN, demos={"name": "ownlab.mine"})
    for trust in ([], ["other"], ["ownlab.mine"], ["own"]):
        with pytest.raises(
            ComponentError, match=r"ownlab.mine is code from outside nerc; allow it with trust=\['ownlab'\]"
        ):
            spec.build(trust=trust)
        assert "ownlab" not in sys.modules, "refused code must not have been imported"
    spec.build(trust=["ownlab"])
    assert "ownlab.mine" in sys.modules


def test_what_is_wrong_with_ones_own_module_is_said(own: str) -> None:
    wrong = {
        "ownlab.nobuild": "is no component", 
        "ownlab.lacks": "needs the package 'no_such_package_anywhere', which is not installed",
        "ownlab.stale": "cannot be imported: .*no_such_function", "ownlab.absent": "no module 'ownlab.absent'",
        "absentlab.mine": "no module 'absentlab.mine'",
    }  # fmt: skip
    for name, message in wrong.items():
        with pytest.raises(ComponentError, match=message):
            resolve("ner_programs.formats", {"name": name})
    assert issubclass(ComponentError, NercError)


def test_a_helper_and_a_package_are_no_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ner_programs.formats as formats

    for file in ("_helper.py", "plain.py", "sub/__init__.py", "method.py", "fresh.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("def build(): ...\n")
    (tmp_path / "plain.py").write_text("x = 1\n")
    (tmp_path / "method.py").write_text("class A:\n    def build(self): ...\n")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setattr(formats.__spec__, "submodule_search_locations", [*formats.__path__])
    before = names("ner_programs.formats")
    names.cache_clear()
    try:
        assert set(names("ner_programs.formats")) - set(before) == {"fresh"}
    finally:
        names.cache_clear()


@pytest.mark.parametrize("label", ["a|b", "a]", "", " a", "a ", "a\nb", "_", "a:b", "a;b", "<a>", "x" * 61, '"a"'])
def test_labels_that_no_prompt_could_carry_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="a label is at most 60 letters"):
        ProgramSpec(labels={label: ""})


def test_spec_refuses_unknown_keys_and_no_labels() -> None:
    with pytest.raises(ValueError, match="formatt"):
        ProgramSpec.model_validate({"labels": PLAIN, "formatt": {}})
    with pytest.raises(ValueError, match="labels"):
        ProgramSpec(labels={})


def test_protocols_are_what_the_stages_call() -> None:
    assert {"text", "exclude"} <= set(inspect.signature(Selector.__call__).parameters)
    assert {"text", "knowledge", "candidates"} <= set(inspect.signature(Verifier.__call__).parameters)
