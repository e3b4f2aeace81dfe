"""What [lm] may say: keys of any LM, and the options of the backend that answers, of one's own too; and what it cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import experiments
from experiments import setup
from experiments.errors import SpecError
from experiments.paper.tables import paper_grid
from experiments.session import backend_of, session
from experiments.settings import OF_ANY_LM
from experiments.spec import Model, RunSpec, load
from ner_programs import LMSetupError
from ner_programs.lms.metered import MeteredLM
from ner_programs.privacy import PUBLIC, Privacy
from tests.lab import PRIVATE, Lab
from tests.tiny import write_corpus

SPEC = PRIVATE + '[program]\ndemos = { name = "tfidf", k = 4 }\n'


@pytest.fixture
def my(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "notes")
    (tmp_path / "my.toml").write_text(SPEC)
    return tmp_path / "my.toml"


def build(path: Path, *changes: str, lm: str | None = None) -> Any:
    return setup.build(load(path, changes, lm), path.parent, path.parent / "home")


def test_of_any_lm_are_the_keys_of_the_spec() -> None:
    assert {*OF_ANY_LM, "model"} == set(Model.model_fields)


def test_a_backend_in_a_package_of_ones_own_takes_its_options(my: Path) -> None:
    backend = backend_of(Model.model_validate({"model": "tests.lms", "says": "Mark knees."}))
    assert backend.says == "Mark knees."  # type: ignore[attr-defined]
    spec = load(my, ['lm.model="tests.lms"', 'lm.says="Mark knees."', 'optimizer={name="copro", budget={calls=40}}'])
    assert (spec.lm.options, spec.lm.temperature) == ({"says": "Mark knees."}, None)
    setup.build(spec, my.parent, my.parent / "home")
    with session(spec.lm, privacy=Privacy(private=True)) as lm:
        assert isinstance(lm, MeteredLM) and lm.meter.backend.says == "Mark knees."  # type: ignore[attr-defined]
    assert "lm.says" in spec.flat() and spec.fingerprint() != load(my).fingerprint()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (['lm.model="tests.lms"', "lm.sais=1"], "lm: tests.lms has no option 'sais'; it has: says"),
        (['lm.model="tests.lms"', "lm.says=[1]"], "lm: tests.lms: option 'says'"),
        (["lm.temprature=1"], "lm: crf has no option 'temprature'; it has: processes"),
        (["lm.processes=-1"], "lm: crf: option 'processes'"),
        (["lm.api_key=1"], "lm: crf has no option 'api_key'"),
        (['lm.prompts={model="crf"}'], "lm: crf has no option 'prompts'"),
        *(
            (
                ['lm.strong.model="crf"', f"lm.strong.{key}=1"],
                f"lm.strong: crf has no option '{key}'; it has: processes; of any model: temperature, max_tokens, allow_hosts",
            )
            for key in ("concurrency", "retries", "record", "strong")
        ),
    ],
)
def test_a_wrong_option_is_an_error_in_a_line(my: Path, changes: list[str], said: str) -> None:
    with pytest.raises(SpecError) as error:
        build(my, *changes)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_another_model_has_none_of_the_options_of_the_one_before(my: Path) -> None:
    my.write_text(f'{SPEC}[lm]\nmodel = "openai/x"\napi_base = "http://127.0.0.1:1/v1"\nmax_tokens = 9\n')
    spec = load(my, (), "crf")
    assert (spec.lm.model, spec.lm.options, spec.lm.max_tokens) == ("crf", {}, 9)
    assert load(my, (), "openai/y").lm.api_base == "http://127.0.0.1:1/v1"
    said = load(my, ['lm.api_base="http://127.0.0.1:2/v1"', 'lm.model="hosted_vllm/z"']).lm
    assert (said.model, said.api_base) == ("hosted_vllm/z", "http://127.0.0.1:2/v1")


def test_processes_may_be_said_and_concurrency_follows() -> None:
    for lm, at_once in ((Model(), None), (Model.model_validate({"processes": 3}), 6), (Model(concurrency=5), 5)):
        with session(lm, privacy=PUBLIC) as opened:
            assert at_once in (None, opened.concurrency)


# What the stand-in cannot do

REFUSED = {
    'program.verify={name="llm"}': (
        SpecError,
        "program: verify llm needs a language model, and in-context CRF is none",
    ),
    'program.verify={name="cascade"}': (SpecError, "program: verify llm needs a language model"),
    'program.verify={name="rules", rules=[{kind="short_out"}], of={name="llm"}}': (
        SpecError,
        "verify llm needs a language",
    ),
    'optimizer={name="copro"}': (
        LMSetupError,
        r"optimizer copro needs a language model that writes: give \[lm.prompt\]",
    ),
    'optimizer={name="gepa"}': (LMSetupError, "optimizer gepa needs a language model that writes"),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_needs_a_language_model_is_refused_before_a_run_begins(my: Path, change: str) -> None:
    kind, said = REFUSED[change]
    with pytest.raises(kind, match=said):
        build(my, change)
    more = ['lm.prompt={model="tests.lms"}'] if change.startswith("optimizer") else ['lm.model="tests.lms"']
    build(my, change, *more)


def test_and_the_command_ends_with_2_and_leaves_no_run(tmp_path: Path) -> None:
    lab = Lab(tmp_path, SPEC)
    ran = lab.nerc("run", "my.toml", "--set", 'optimizer={name="simba"}')
    assert ran.code == 2 and ran.stderr.splitlines()[-1].endswith("give [lm.prompt]") and not ran.stdout
    assert not (lab.home / "work").exists()


def test_the_papers_tables_leave_out_what_nobody_can_do() -> None:
    def names(name: str, lm: str | None) -> set[str]:
        return {cell.spec.optimizer["name"] for cell in paper_grid(name, lm=lm, quick=True).cells}

    assert names("optimizers", "openai/x") - names("optimizers", None) == {"copro", "simba", "gepa", "infer_rules"}
    assert {"mipro", "race", "guidelines"} <= names("optimizers", None)
    assert any(c.spec.program.seeds == "lm" for c in paper_grid("dirag", lm="openai/x").cells)
    assert all(c.spec.program.seeds == "text" for c in paper_grid("dirag").cells)


def test_seeds_by_an_lm_are_refused(my: Path) -> None:
    sample = Path(experiments.__file__).parent / "corpora" / "_wardnotes" / "ward.obo"
    changes = (f'kb.sources=[{{name="obo", path="{sample}"}}]', 'program.seeds="lm"')
    with pytest.raises(SpecError, match='program: seeds = "lm" needs a language model'):
        build(my, *changes)
    assert isinstance(load(my, changes), RunSpec)
