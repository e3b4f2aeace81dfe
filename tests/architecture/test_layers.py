"""Who may know whom, what the packages offer, and what is shipped."""

import ast
import builtins
import re
import subprocess
import sys
from importlib import import_module, resources
from pathlib import Path

from experiments.corpora import wardnotes
from kb import KnowledgeBase
from kb.sources import obo
from ner_programs import NercError
from tests.architecture.code import INITS, MODULES, PACKAGES, PROJECT, ROOT, docstring, dotted, imported, nodes, text


def test_import_contracts_hold() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(contracts)} kept, 0 broken." in done.stdout
    assert next(c["layers"] for c in contracts if c["type"] == "layers") == list(reversed(PACKAGES))


def test_every_error_that_a_user_can_mend_is_a_nerc_error() -> None:
    """So no class of errors begins at one of Python's: `NercError` does, and a server's word to its client."""
    begun = {
        node.name
        for file in MODULES
        for node in nodes(file)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(kind := getattr(builtins, getattr(base, "id", ""), None), type) and issubclass(kind, Exception)
    }
    assert begun == {"NercError", "UnknownConceptError"}
    errors = {
        kind
        for package in ("kb", "ner_programs", "experiments")
        for kind in vars(import_module(f"{package}.errors")).values()
        if isinstance(kind, type)
    }
    mend = {kind for kind in errors if issubclass(kind, Exception)}
    assert len(mend) > 10 and all(issubclass(kind, NercError) for kind in mend)


def test_what_a_module_does_is_written_once_for_sync_and_async() -> None:
    """`steps` of `ner_programs.waiting`; only who meets DSPy's two ways to ask an LM has both."""
    async_faces = {
        dotted(file)
        for file in MODULES
        for node in nodes(file)
        if isinstance(node, ast.AsyncFunctionDef)
        and node.name in ("acall", "aforward")
        and ast.unparse(node).count("return")
    }
    assert async_faces == {"ner_programs.waiting", "ner_programs.lms.metered", "ner_programs.lms.direct"}


def test_no_module_knows_those_above_it_or_the_tests() -> None:
    outside = {"tests", "benchmarks", "pytest"}
    libraries = {"mlflow", "typer", "rich", "datasets"}
    for file in MODULES:
        own = PACKAGES.index(file.relative_to(ROOT).parts[0])
        forbidden = {*PACKAGES[own + 1 :], *outside, *(libraries if PACKAGES[own] != "experiments" else ())}
        assert not imported(file) & forbidden, dotted(file)


def test_mlflow_is_known_by_few_modules_only() -> None:
    assert {dotted(file) for file in MODULES if "mlflow" in imported(file)} == {
        "experiments.tracking", "experiments.runs.models", "experiments.runs.registry", "experiments.runs.stores",
        "experiments.runs.traces", "experiments.runs.served", "experiments.runs.served_model",
    }  # fmt: skip


def test_one_place_reads_which_lm_dspy_has_set() -> None:
    """`ner_programs.lms.current_lm`; of the optimizers only `compile` asks it, and hands the LM on in a `Compilation`."""
    reads = re.compile(r"""settings\s*(?:\.\s*lm\b|\.\s*get\(\s*["']lm\b|\[\s*["']lm\b)""")
    readers = {dotted(file) for file in MODULES if reads.search(text(file))}
    assert readers == {"ner_programs.lms"}, "an optimizer asks compilation.lm, other code ner_programs.lms.current_lm()"
    asking = {
        dotted(file) for file in MODULES if file.is_relative_to(ROOT / "optimizers") and "current_lm" in text(file)
    }
    assert asking == {"optimizers"}, "hand `compilation`, or its `lm`, to whoever asks the LM (optimizers/trial.py)"


SPEAK_OF_PRIVATE = {
    "ner_programs.privacy": "decides", "ner_programs.program": "says so of itself",
    "ner_programs.bundle.schema": "the key of program.json", "ner_programs.bundle.folder": "the same key",
    "experiments.setup": "the option of [corpus]", "experiments.corpora._reader": "the option of a reader",
    "experiments.corpora.hf": "says how to set the option", "experiments.corpora.statistics": "the key of its JSON",
    "experiments.commands.traces": "says how to set the option", "experiments.runs.models": "the tag of a run",
    "experiments.runs.registry": "says why a bundle is gone", "experiments.baselines.finetuning": "says who may read",
}  # fmt: skip
"""The modules with the word, and what for."""


def test_privacy_is_asked_and_not_branched_on() -> None:
    """A caller asks `privacy.may_log`, `may_connect`, `file_mode` or `seal`: what is private is decided in one place."""
    named = {dotted(file) for file in MODULES if re.search(r"\bprivate\b", text(file))}
    said = "take a Privacy and ask what may be done with the text (ner_programs/privacy.py)"
    assert named == SPEAK_OF_PRIVATE.keys(), f"{sorted(named ^ SPEAK_OF_PRIVATE.keys())}: {said}"


def test_what_a_package_offers_is_there_and_in_order() -> None:
    for file in INITS:
        module = import_module(dotted(file))
        names = list(getattr(module, "__all__", ()))
        assert names == sorted(set(names)), dotted(file)
        assert all(getattr(module, name) is not None for name in names), dotted(file)
    assert all(hasattr(import_module(package), "__all__") for package in PACKAGES)


def test_every_module_says_what_it_is_for() -> None:
    assert not [dotted(file) for file in MODULES if not docstring(file)]
    assert not [dotted(file) for file in INITS if len(docstring(file)) < 20]


def test_the_wheel_has_four_names() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == sorted(PACKAGES)
    assert set(wheel) == {"packages"}
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


def test_the_sample_is_shipped() -> None:
    sample = resources.files("experiments.corpora") / "_wardnotes"
    names = {file.name for file in sample.iterdir()}
    assert {"ward.obo", "train.txt", "dev.txt", "test.txt", "guidelines.md"} <= names
    with resources.as_file(sample / "ward.obo") as path:
        assert len(KnowledgeBase.of(obo.build(path))) > 50
    assert all(wardnotes.read(part) for part in wardnotes.SPLITS)
    assert (resources.files("experiments") / "specs" / "wardnotes.toml").is_file()


KNOWN = frozenset(map(dotted, MODULES))


def modules_imported(file: Path) -> set[str]:
    """Our modules that a module imports, anywhere in it."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named & KNOWN or {str(node.module)}
    return found & KNOWN


def test_a_private_module_is_imported_within_its_package_only() -> None:
    """`a.b._c` belongs to `a.b`: modules of `a.b`, and of what lies in it, may import it."""
    for file in MODULES:
        for name in modules_imported(file):
            parts = name.split(".")
            owner = next((parts[:n] for n, part in enumerate(parts) if part.startswith("_")), [])
            inside = dotted(file).split(".")[: len(owner)] == owner
            assert inside, f"{dotted(file)}: {name} is private: make public what others use"


def run_time_imports(file: Path) -> set[str]:
    """Our modules that a module imports when it runs, in functions too; not those that only a type checker sees."""
    found, waiting = set[str](), [ast.parse(text(file)).body]
    while waiting:
        for node in waiting.pop():
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named = {f"{node.module}.{alias.name}" for alias in node.names} & KNOWN
                found |= named or {str(node.module)}
            waiting += [getattr(node, name) for name in ("body", "orelse", "finalbody") if hasattr(node, name)]
            waiting += [handler.body for handler in getattr(node, "handlers", ())]
    return found & KNOWN


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Modules are taken away that import nothing of what is left; a circle would remain."""
    left = {dotted(file): run_time_imports(file) for file in MODULES}
    while free := {name for name, imports in left.items() if not imports & left.keys()}:
        left = {name: imports for name, imports in left.items() if name not in free}
    assert not left, f"these import one another in a circle, or what does: {sorted(left)}"
