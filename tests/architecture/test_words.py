"""What may stand in no file: a particular disease, code from data, an index, a path of somebody's machine."""

import ast
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.code import MODULES, PACKAGES, PROJECT, ROOT, nodes, short, text

DISEASES = (
    "addison|alzheimer|amnesia|anaemia|anemia|angina|aneurysm|anorexia|apnea|arrhythmia|arthritis|asthma|ataxia|"
    "autism|botulism|bronchitis|cancer|carcinoma|cataract|cholera|chorea|cirrhosis|colitis|copd|covid|crohn|dementia|"
    "dengue|dermatitis|diabetes|diabetic|diphtheria|dystrophy|ebola|eczema|embolism|emphysema|encephalitis|"
    "endometriosis|epilepsy|fibrosis|gangrene|gastritis|glaucoma|goiter|gonorrhea|gout|haemophilia|hemophilia|"
    "hepatitis|hernia|hiv|htn|huntington|hyperlipidemia|hypertension|hyperthyroidism|hypothyroidism|ibd|infarction|"
    "influenza|jaundice|leprosy|leukaemia|leukemia|lupus|lymphoma|malaria|measles|melanoma|meningitis|migraine|mumps|"
    "myeloma|narcolepsy|nephritis|neuropathy|obesity|osteoporosis|pancreatitis|parkinson|pertussis|pneumonia|polio|"
    "psoriasis|rabies|retinopathy|rickets|rubella|sarcoma|scabies|schizophrenia|sclerosis|scurvy|sepsis|smallpox|"
    "syphilis|tetanus|thrombosis|tuberculosis|tumor|tumors|tumour|typhoid|urticaria|vasculitis"
)
PARTICULAR = re.compile(rf"(?<![a-z])({DISEASES})(?![a-z])", re.IGNORECASE)


@cache
def tracked() -> list[Path]:
    """Files that git has or would take."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_the_word_list_finds_words() -> None:
    assert PARTICULAR.search("an Asthma attack")
    assert PARTICULAR.search("HTN_NOTES")
    assert not PARTICULAR.search("tumorous disease ncbi_disease syndrome ibdx")


def test_no_module_names_a_particular_disease() -> None:
    """Definitions of a corpus's labels are its own."""
    found = {
        f"{short(file)}:{n}: {match[0]}"
        for file in MODULES
        if not file.is_relative_to(ROOT / "experiments" / "corpora")
        for n, line in enumerate(text(file).splitlines(), 1)
        if (match := PARTICULAR.search(line))
    }
    assert found == set()


LOADERS = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "imp"}
CALLS = {"eval", "exec", "compile", "__import__", "globals"}


def makes_code(node: ast.AST) -> bool:
    match node:
        case ast.Import():
            return bool({alias.name.split(".")[0] for alias in node.names} & LOADERS)
        case ast.ImportFrom():
            return str(node.module).split(".")[0] in LOADERS
        case ast.Call(func=ast.Name(id=name)):
            return name in CALLS
        case ast.Attribute():
            return node.attr in ("dump_state_pickle", "save_program", "autolog")
        case ast.keyword(value=ast.Constant(value=False)):
            return False
        case ast.keyword():
            return node.arg in ("shell", "allow_pickle")
    return False


def test_no_module_makes_code_of_data() -> None:
    assert [f"{short(file)}: {ast.unparse(node)}" for file in MODULES for node in nodes(file) if makes_code(node)] == []


PRINTING = tuple(f"experiments/{name}.py" for name in ("commands/verbs", "commands/console", "cli", "demo"))
NOTE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|breakpoint\(\)")
PRINT = re.compile(r"^\s*print\(", re.MULTILINE)


def test_no_module_prints_or_leaves_a_note_to_do() -> None:
    assert [short(file) for file in MODULES if NOTE.search(text(file))] == []
    assert [short(file) for file in MODULES if PRINT.search(text(file)) and short(file) not in PRINTING] == []


INDEX = re.compile(
    r"index[-_]url|find[-_]links|trusted[-_]host|tool\.uv\.index|/simple\b|pypi\.org|pythonhosted", re.IGNORECASE
)
MACHINE = re.compile(r"(?<![\w.*}>/$-])/(home|Users|root|work|mnt|opt|srv|scratch)/\w|[A-Z]:\\Users")


@cache
def texts() -> list[tuple[Path, str]]:
    found = []
    for file in tracked():
        if file == Path(__file__).resolve():
            continue
        try:
            found.append((file, file.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    assert len(found) > 150
    return found


def test_the_patterns_find_what_they_are_for() -> None:
    assert INDEX.search("--extra-index-url https://x")
    assert MACHINE.search('path = "/home/me/x"')
    assert not MACHINE.search("mlruns/work/x */work/y")


@pytest.mark.parametrize("pattern", [INDEX, MACHINE], ids=["index", "machine"])
def test_no_address_of_an_index_and_no_path_of_a_machine(pattern: re.Pattern[str]) -> None:
    assert {f"{short(file)}: {match[0]}" for file, said in texts() if (match := pattern.search(said))} == set()


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-local.lock", "requirements-spacy.lock", "requirements-docs.lock"]
)
def test_the_lock_files_have_no_addresses(name: str) -> None:
    lock = ROOT / name
    if not lock.exists():
        pytest.skip("there is no lock file")
    assert "://" not in lock.read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock.read_text(encoding="utf-8")


def test_mlruns_is_data() -> None:
    inside = [short(file) for file in tracked() if file.is_relative_to(ROOT / "mlruns")]
    assert inside == ["mlruns/README.md"]


def test_nothing_is_left_lying_about() -> None:
    top = {file.relative_to(ROOT).parts[0] for file in tracked()}
    expected = {*PACKAGES, "tests", "mlruns", "docs", "benchmarks", ".ci", ".gitignore", ".github", "pyproject.toml"}
    expected |= {
        "requirements.lock", "requirements-local.lock", "requirements-spacy.lock", "requirements-docs.lock", "mkdocs.yml",
        "Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
    }  # fmt: skip
    assert top <= expected


def test_the_sample_data_is_not_ignored() -> None:
    names = {short(file) for file in tracked()}
    assert {
        f"experiments/corpora/_wardnotes/{name}" for name in ("ward.obo", "train.txt", "dev.txt", "test.txt")
    } <= names


def test_the_distribution_is_called_nerc() -> None:
    assert PROJECT["project"]["name"] == "nerc"
    assert PROJECT["project"]["scripts"] == {"nerc": "experiments.cli:main"}
