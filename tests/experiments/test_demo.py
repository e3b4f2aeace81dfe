"""What the demo ends with."""

from io import StringIO
from unittest.mock import patch

from rich.console import Console

from experiments import demo
from experiments.commands import console
from ner_programs import Entity
from ner_programs.types import Entities
from tests.experiments.conftest import Place


def test_a_text_is_marked_in_the_terminal() -> None:
    text = "no [b] fever, high fever"
    entities = Entities([Entity.of(text, 7, 12, "x"), Entity.of(text, 14, 24, "y"), Entity.of(text, 19, 24, "x")], text)
    marked = console.marked(entities)
    assert marked.plain == "no [b] [fever] x, [high fever] y"
    assert {str(span.style) for span in marked.spans} and len({str(span.style) for span in marked.spans}) == 4


def test_the_demo_ends_with_a_marked_note_and_its_page(bare: Place) -> None:
    out = StringIO()
    quick = {"compiled": ["corpus.sample={train=3,dev=2,test=2}", 'optimizer={name="none"}', "program.demos.k=2"]}
    with (
        patch.dict("os.environ", bare.environment),
        patch.object(demo, "STEPS", quick),
        patch.object(console, "err", Console(file=out, width=140)),
    ):
        demo.main()
    *_, note, blank, page = out.getvalue().rstrip("\n").split("\n")
    assert blank == "" and page.startswith("page: ") and page.endswith(".html")
    assert note.startswith("Pt c/o") and (bare.home / "reports" / page.rpartition("/")[2]).is_file()
