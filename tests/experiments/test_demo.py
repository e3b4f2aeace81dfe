"""What the demo ends with."""

import re
from io import StringIO
from unittest.mock import patch

import pytest
from rich.console import Console

from experiments import demo
from experiments.commands import console
from experiments.spec import load
from ner_programs import Entity
from ner_programs.types import Entities
from tests.experiments.conftest import Place


def test_a_text_is_marked_in_the_terminal() -> None:
    text = "no [b] fever, high fever"
    entities = Entities([Entity.of(text, 7, 12, "x"), Entity.of(text, 14, 24, "y"), Entity.of(text, 19, 24, "x")], text)
    marked = console.marked(entities)
    assert marked.plain == "no [b] [fever] x, [high fever] y"
    assert {str(span.style) for span in marked.spans} and len({str(span.style) for span in marked.spans}) == 4


QUICK = ["corpus.sample={train=3,dev=2,test=2}", 'optimizer={name="none"}', 'program.demos={name="random",k=2}']


@pytest.mark.parametrize(
    ("arguments", "steps", "reuse"),
    [([], "STEPS", '")'), (["--lm", "crf"], "LM_STEPS", '", lm=ner_programs.open_lm("crf"))')],
)
def test_the_demo_ends_with_a_marked_note_and_its_page(
    empty: Place, arguments: list[str], steps: str, reuse: str
) -> None:
    out = StringIO()
    with (
        patch.dict("os.environ", empty.environment),
        patch.object(demo, steps, {"compiled": QUICK}),
        patch.object(console, "err", Console(file=out, width=140)),
    ):
        demo.main(arguments)
    *_, note, blank, page = out.getvalue().rstrip("\n").split("\n")
    (load,) = [line for line in out.getvalue().split("\n") if "ner_programs.load(" in line]
    assert load.endswith(reuse) and ("open_lm" in load) == bool(arguments)
    assert blank == "" and page.startswith("page: ") and page.endswith(".html")
    assert re.sub(r"[\[\]]| (problem|treatment|test)", "", note) == demo.NOTE
    assert (empty.home / "reports" / page.rpartition("/")[2]).is_file()


def test_every_step_of_both_demos_is_a_spec() -> None:
    for lm, steps in ((None, demo.STEPS), (demo.LM, {k: [*demo.SMALL, *v] for k, v in demo.LM_STEPS.items()})):
        for changes in steps.values():
            spec = load(demo.SPEC, changes, lm)
            assert (spec.task.guidelines is None) == bool(lm)
    assert list(demo.STEPS)[-1] == list(demo.LM_STEPS)[-1] == "compiled"
