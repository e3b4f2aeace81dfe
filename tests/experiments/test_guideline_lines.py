"""What a run says of the guideline lines that the offline engine reads."""

from pathlib import Path

from experiments import setup
from experiments.estimate import estimate
from experiments.guideline_lines import remarks
from experiments.spec import load
from ner_programs import ProgramSpec

SPEC = """
name = "lines"
[corpus]
name = "wardnotes"
[task]
guidelines = "page.md"
"""
PAGE = "# Our rules\n\n- Leave out articles.\n- Leave out articles unless they are part of a name.\n- A sign is a problem.\n"


def test_a_run_says_how_many_lines_the_offline_engine_reads_and_nothing_of_an_lm(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "spec.toml").write_text(SPEC)
    said = "guidelines: the in-context CRF reads 1 of 2 lines"
    spec = load(tmp_path / "spec.toml")
    _, program, _ = setup.build(spec, tmp_path, tmp_path)
    assert remarks(spec, program) == estimate(spec, tmp_path, tmp_path).remarks == (said,)
    assert remarks(load(tmp_path / "spec.toml", lm="openai/some-model"), program) == ()
    bare = ProgramSpec(labels={"problem": ""}).build()
    assert remarks(spec, bare) == ()
    bare.extract.predict.signature = bare.extract.predict.signature.with_instructions('Find all.\nNever mark "it".')
    assert remarks(spec, bare) == ("guidelines: the in-context CRF reads 1 of 1 lines",)
