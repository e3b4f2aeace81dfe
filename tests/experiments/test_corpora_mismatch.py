"""Mentions that are not what the text has at their place: an error that says what it is, repaired or left out, and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from experiments.corpora._passages import Passages
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError

Mentions = list[tuple[int, int, str]]  # start and end in the file's count, and the surface that it says


def jsonl(text: str, found: Mentions) -> dict[str, str]:
    spans = [{"start": a, "end": b, "label": "X", "text": said} for a, b, said in found]
    return {"train.jsonl": json.dumps({"id": "d", "text": text, "entities": spans})}


def prodigy(text: str, found: Mentions) -> dict[str, str]:
    return {"train.jsonl": jsonl(text, found)["train.jsonl"].replace('"entities"', '"answer": "accept", "spans"')}


def doccano(text: str, found: Mentions) -> dict[str, str]:
    return jsonl(text, found)


def hf(text: str, found: Mentions) -> dict[str, str]:
    return jsonl(text, found)


def hf_bigbio(text: str, found: Mentions) -> dict[str, str]:
    items = [{"type": "X", "offsets": [[a, b]], "text": [said]} for a, b, said in found]
    row = {"document_id": "d", "passages": [{"text": [text], "offsets": [[0, len(text)]]}], "entities": items}
    return {"train.jsonl": json.dumps(row)}


def label_studio(text: str, found: Mentions) -> dict[str, str]:
    regions = [
        {"type": "labels", "value": {"start": a, "end": b, "labels": ["X"], "text": said}} for a, b, said in found
    ]
    return {"train.json": json.dumps([{"id": 1, "data": {"text": text}, "annotations": [{"result": regions}]}])}


def pubtator(text: str, found: Mentions) -> dict[str, str]:
    return {"train.txt": f"1|t|{text}\n" + "".join(f"1\t{a}\t{b}\t{said}\tX\n" for a, b, said in found)}


def brat(text: str, found: Mentions) -> dict[str, str]:
    rows = (f"T{i}\tX {a} {b}\t{said}\n" for i, (a, b, said) in enumerate(found, 1))
    return {"train/n.txt": text, "train/n.ann": "".join(rows)}


def bioc(text: str, found: Mentions) -> dict[str, str]:
    rows = (
        f'<annotation id="1"><infon key="type">X</infon><location offset="{a}" length="{b - a}"/>'
        f"<text>{said}</text></annotation>"
        for a, b, said in found
    )
    passage = f"<passage><offset>0</offset><text>{text}</text>{''.join(rows)}</passage>"
    return {"train.xml": f"<collection><document><id>d</id>{passage}</document></collection>"}


WRITERS: dict[str, Callable[[str, Mentions], dict[str, str]]] = {
    f.__name__: f for f in (bioc, brat, doccano, hf, hf_bigbio, jsonl, label_studio, prodigy, pubtator)
}
every_writer = pytest.mark.parametrize("kind", WRITERS)


def build(tmp_path: Path, kind: str, files: dict[str, str], mismatch: str | None = None) -> Corpus:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content.encode())
    reader = kind.partition("_")[0] if kind.startswith("hf") else kind
    options: dict[str, Any] = {"mismatch": mismatch} if mismatch else {}
    options |= {"offsets": "characters"} if kind == "doccano" else {}
    path = str(tmp_path) if reader == "hf" else tmp_path
    corpus: Corpus
    if reader == "hf":
        path, options["split"] = str(tmp_path / "train.jsonl"), Split(dev=0, test=0)
    corpus = import_module(f"experiments.corpora.{reader}").build(path=path, data=tmp_path, **options)
    return corpus


def found(corpus: Corpus) -> list[tuple[int, str]]:
    return [(e.start, e.text) for d in corpus.train for e in d.entities]


DIFFERENT = [
    ("An Owl sat.", "owl", "case"), ("An Owl sat.", "OWL", "case"),
    ("A β-owl sat.", "beta-owl", "Greek or other letter forms"),
    ("A beta-owl sat.", "β-owl", "Greek or other letter forms"),
    ("A Δ-owl sat.", "delta-owl", "Greek or other letter forms"),
    ("A 𝛽-owl sat.", "β-owl", "Greek or other letter forms"), ("An owl‘s ear.", "owl's ear", "quotes"),
    ('An "owl ear.', "“owl ear", "quotes"), ("A barn–owl sat.", "barn-owl", "dashes"),
    ("A barn  owl sat.", "barn owl", "blanks"), ("A barn\u00a0owl sat.", "barn owl", "blanks"),
    ("A Barn–Owl sat.", "barn-owl", "case and dashes"),
]  # fmt: skip


@every_writer
@pytest.mark.parametrize(("text", "said", "what"), DIFFERENT)
def test_a_surface_that_is_written_otherwise(tmp_path: Path, kind: str, text: str, said: str, what: str) -> None:
    start = 3 if text.startswith("An ") else 2
    end = text.rindex(" sat") if " sat" in text else text.rindex(".")
    surface = text[start:end]
    files = WRITERS[kind](text, [(start, end, said), (start, end, surface)])
    with pytest.raises(
        ReadError, match=rf'differ in {what}: mismatch = "repair" takes it as the text has it'
    ) as caught:
        build(tmp_path, kind, files)
    assert surface not in str(caught.value) and said not in str(caught.value).rpartition("/")[2]
    repaired = build(tmp_path, kind, files, "repair")
    assert found(repaired) == [(start, surface)] * 2
    (remark,) = repaired.remarks
    assert remark.startswith("mentions that differ from the text in ") and remark.endswith("as the text has them: 1")
    skipped = build(tmp_path, kind, files, "skip")
    assert found(skipped) == [(start, surface)]
    assert skipped.remarks == ("mentions that are not what the text has at their place, left out: 1",)


TEXT = "𝛽 owls, é oaks and 🐦 elms."
WORDS = ("owls", "oaks", "elms")


def counted(unit: str, *moved: str) -> Mentions:
    """Return the mentions of WORDS, in the unit or (those that are `moved`) in characters."""
    widths = {"UTF-16 units": lambda c: 1 + (c > "\uffff"), "UTF-8 bytes": lambda c: len(c.encode())}
    places = []
    for word in WORDS:
        start = TEXT.index(word)
        before = start if word in moved else sum(widths[unit](c) for c in TEXT[:start])
        places.append((before, before + 4, word))
    return places


@every_writer
@pytest.mark.parametrize("unit", ["UTF-16 units", "UTF-8 bytes"])
def test_offsets_in_code_units(tmp_path: Path, kind: str, unit: str) -> None:
    files = WRITERS[kind](TEXT, counted(unit))
    with pytest.raises(ReadError, match=f'all offsets of the file fit as {unit}: mismatch = "repair" moves them'):
        build(tmp_path, kind, files)
    corpus = build(tmp_path, kind, files, "repair")
    assert found(corpus) == [(TEXT.index(word), word) for word in WORDS]
    assert corpus.remarks == (f"mentions whose offsets count {unit}, moved: 3",)
    assert corpus.train[0].text == TEXT
    assert found(build(tmp_path, kind, files, "skip")) == []


@every_writer
@pytest.mark.parametrize("mismatch", ["error", "repair"])
def test_code_units_are_never_guessed_for_one_line(tmp_path: Path, kind: str, mismatch: str) -> None:
    """One mention counts characters: then not all fit as UTF-16 units, and none is moved."""
    files = WRITERS[kind](TEXT, counted("UTF-16 units", "oaks"))
    with pytest.raises(ReadError, match=r"not what lies at 3\.\.7 .* \"skip\" leaves such mentions out"):
        build(tmp_path, kind, files, mismatch)
    assert found(build(tmp_path, kind, files, "skip")) == [(TEXT.index("oaks"), "oaks")]


@every_writer
def test_another_word_is_not_repaired(tmp_path: Path, kind: str) -> None:
    files = WRITERS[kind]("An owl sat.", [(3, 6, "oak"), (3, 6, "owl")])
    with pytest.raises(ReadError, match='"skip" leaves such mentions out, this is none to repair'):
        build(tmp_path, kind, files, "repair")
    assert found(build(tmp_path, kind, files, "skip")) == [(3, "owl")]


@pytest.mark.parametrize("kind", ["brat", "jsonl"])
def test_the_unit_is_that_of_all_notes_of_a_folder_or_all_lines_of_a_file(tmp_path: Path, kind: str) -> None:
    first = WRITERS[kind](TEXT, counted("UTF-16 units"))
    if kind == "brat":
        other = {"train/m.txt": "Plain owls.", "train/m.ann": "T1\tX 7 11\towls\n"}
    else:
        line = {"text": "Plain owls.", "entities": [{"start": 7, "end": 11, "label": "X", "text": "owls"}]}
        other = {"train.jsonl": first["train.jsonl"] + "\n" + json.dumps(line)}
    with pytest.raises(ReadError, match="not what lies at") as caught:
        build(tmp_path, kind, first | other, "repair")
    assert "UTF" not in str(caught.value)


def test_offsets_alone_are_no_ground_to_move_them(tmp_path: Path) -> None:
    row = {"text": TEXT, "label": [[len(TEXT) - 2, len(TEXT) + 1, "X"]]}
    with pytest.raises(ReadError, match="is no span"):
        build(tmp_path, "doccano", {"train.jsonl": json.dumps(row)}, "repair")


def test_i2b2_writes_lower_case_and_the_rest_is_checked(tmp_path: Path) -> None:
    files = {"train/n.txt": "A Barn “owl” sat .\n", "train/n.con": 'c="barn "owl"" 1:1 1:2||t="x"\n'}
    with pytest.raises(ReadError, match="differ in case and quotes"):
        build(tmp_path, "i2b2", files)
    assert found(build(tmp_path, "i2b2", files, "repair")) == [(2, "Barn “owl”")]
    assert found(build(tmp_path, "i2b2", files, "skip")) == []


def test_webanno_tokens(tmp_path: Path) -> None:
    head = "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.Thing|value\n\n\n#Text=A 🐦’s owl\n"
    rows = "1-1\t0-1\tA\t_\t\n1-2\t2-6\t🐦's\tBird[1]\t\n1-3\t7-10\towl\tBird[1]\t\n1-4\t7-10\towl\tX\t\n"
    files = {"train/n.tsv": head + rows}
    with pytest.raises(ReadError, match=r"n\.tsv:7: the token is not what lies at 2\.\.5 .*differ in quotes"):
        build(tmp_path, "webanno", files)
    repaired = build(tmp_path, "webanno", files, "repair")
    assert found(repaired) == [(2, "🐦’s owl"), (6, "owl")]
    assert repaired.remarks == ("mentions that differ from the text in quotes, taken as the text has them: 1",)
    assert found(build(tmp_path, "webanno", files, "skip")) == [(6, "owl")]


def test_passages_count_in_units_too() -> None:
    passages = Passages.of([(0, "A 🐦."), (6, "An owl.")], "utf-16")
    assert passages.text == "A 🐦. An owl." and passages.fragments([(9, 12)]) == [(8, 11)]
    with pytest.raises(ValueError, match=r"3\.\.4 is no span"):
        passages.fragments([(3, 4)])
