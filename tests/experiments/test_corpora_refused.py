"""What a writer refuses whatever the entities are, its `refused` says of a document alone, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.corpora import bioc, brat, conll, pubtator
from experiments.errors import WriteError
from ner_programs import Document

ODD = "ab .\t\n\r\x00\x0b\x1c\x85\u2028\ufeff\u00a0𝔘|'/\\-"
TEXTS = (
    "",
    *ODD,
    *(a + b for a in ODD for b in ODD),
    *(f"x{a}y" for a in ODD),
    "-DOCSTART- x",
    "1|t|x",
    "T1\tx 0 1\tx",
)
IDS = (*ODD, *(f"x{a}y" for a in ODD), "\ufeffx", "..", ".x", "x.txt", "x.", "a" * 251, "a" * 252, "é" * 126)


@pytest.mark.parametrize(
    ("writer", "name"), [(bioc, "o.xml"), (brat, "o"), (conll, "o.conll"), (pubtator, "o.pubtator")]
)
def test_what_is_refused_is_known_before(writer: Any, name: str, tmp_path: Path) -> None:
    known = 0
    documents = (*(Document("a", text) for text in TEXTS), *(Document(id, "x y") for id in IDS))
    for number, document in enumerate(documents):
        why = writer.refused(document)
        known += why is not None
        (tmp_path / str(number)).mkdir()
        if why is None:
            writer.write([document], tmp_path / str(number) / name)
        else:
            with pytest.raises(WriteError) as raised:
                writer.write([document], tmp_path / str(number) / name)
            assert str(raised.value).endswith(why)
    assert known
