"""Who may know whom, what the packages offer, and what is shipped."""

import ast
import builtins
import subprocess
import sys
import tomllib
from importlib import import_module, resources
from pathlib import Path

import pytest

from experiments.corpora import wardnotes
from kb import KnowledgeBase
from kb.sources import obo
from ner_programs import NercError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kb", "ner_programs", "optimizers", "experiments")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
INITS = [file for file in MODULES if file.name == "__init__.py"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


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
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
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


def imported(file: Path) -> set[str]:
    """Top-level packages that a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("file", MODULES, ids=dotted)
def test_no_module_knows_those_above_it_or_the_tests(file: Path) -> None:
    own = PACKAGES.index(file.relative_to(ROOT).parts[0])
    known = imported(file)
    assert not known & {*PACKAGES[own + 1 :], "tests", "benchmarks", "pytest"}
    if own < PACKAGES.index("experiments"):
        assert not known & {"mlflow", "typer", "rich", "datasets"}


def test_mlflow_is_known_by_three_modules_only() -> None:
    assert {dotted(file) for file in MODULES if "mlflow" in imported(file)} == {
        "experiments.tracking",
        "experiments.runs.registry",
        "experiments.runs.stores",
    }


@pytest.mark.parametrize(
    "file", [file for file in MODULES if "__all__" in file.read_text(encoding="utf-8")], ids=dotted
)
def test_what_a_module_offers_is_there_and_in_order(file: Path) -> None:
    module = import_module(dotted(file))
    if file in INITS:  # in the other modules ruff keeps the order: constants, classes, functions
        assert list(module.__all__) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_every_package_says_what_it_offers() -> None:
    assert all(hasattr(import_module(package), "__all__") for package in PACKAGES)
    assert not [dotted(file) for file in INITS if len(ast.get_docstring(ast.parse(file.read_text())) or "") < 20]


def test_every_module_says_what_it_is_for() -> None:
    assert not [dotted(file) for file in MODULES if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))]


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


def modules_imported(file: Path) -> set[str]:
    """Our modules that a module imports, anywhere in it."""
    known = {dotted(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named & known or {str(node.module)}
    return found & known


@pytest.mark.parametrize("file", MODULES, ids=dotted)
def test_a_private_module_is_imported_within_its_package_only(file: Path) -> None:
    """`a.b._c` belongs to `a.b`: modules of `a.b`, and of what lies in it, may import it."""
    for name in modules_imported(file):
        parts = name.split(".")
        owner = next((parts[:n] for n, part in enumerate(parts) if part.startswith("_")), [])
        assert dotted(file).split(".")[: len(owner)] == owner, f"{name} is private: make public what others use"


def run_time_imports(file: Path) -> set[str]:
    """Our modules that a module imports when it runs, in functions too; not those that only a type checker sees."""
    known = {dotted(module) for module in MODULES}
    found, waiting = set[str](), [ast.parse(file.read_text(encoding="utf-8")).body]
    while waiting:
        for node in waiting.pop():
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named = {f"{node.module}.{alias.name}" for alias in node.names} & known
                found |= named or {str(node.module)}
            waiting += [getattr(node, name) for name in ("body", "orelse", "finalbody") if hasattr(node, name)]
            waiting += [handler.body for handler in getattr(node, "handlers", ())]
    return found & known


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Modules are taken away that import nothing of what is left; a circle would remain."""
    left = {dotted(file): run_time_imports(file) for file in MODULES}
    while free := {name for name, imports in left.items() if not imports & left.keys()}:
        left = {name: imports for name, imports in left.items() if name not in free}
    assert not left, f"these import one another in a circle, or what does: {sorted(left)}"
