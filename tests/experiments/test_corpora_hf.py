"""Hugging Face datasets without a hub: local files, `save_to_disk` folders, layouts of columns, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError, validate_call

from experiments import places, setup
from experiments.corpora import _hf, hf
from experiments.corpora._split import Split
from experiments.corpora._tables import Columns
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from experiments.spec import RunSpec
from ner_programs.privacy import PUBLIC
from ner_programs.types import AnnotatedText

Row = dict[str, Any]
NAMES = ["O", "B-Bird", "I-Bird"]
TAGGED = [
    {"id": "0", "tokens": ["A", "barn", "owl"], "ner_tags": [0, 1, 2]},
    {"id": "1", "tokens": ["Oaks"], "ner_tags": [0]},
]
OWL = {"start": 2, "end": 5, "label": "Bird"}
BIGBIO = {
    "id": "1",
    "document_id": "77",
    "passages": [
        {"id": "2", "type": "title", "text": ["An owl."], "offsets": [[0, 7]]},
        {"id": "3", "type": "abstract", "text": ["Owls and oaks."], "offsets": [[8, 22]]},
    ],
    "entities": [
        {
            "id": "4", "type": "Bird", "text": ["owl"], "offsets": [[3, 6]],
            "normalized": [{"db_name": "MESH", "db_id": "D1"}, {"db_name": "X", "db_id": "5"}],
        },
        {"id": "5", "type": "Both", "text": ["Owls", "oaks"], "offsets": [[8, 12], [17, 21]], "normalized": []},
    ],
    "events": [],
    "coreferences": [],
    "relations": [{"id": "6", "type": "nests", "arg1_id": "4", "arg2_id": "5", "normalized": []}],
}  # fmt: skip


def json_lines(file: Path, *rows: Row | str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def read(path: Path, **options: Any) -> Corpus:
    return hf.build(path=str(path), data=path.parent, **options)


def spans(document: AnnotatedText) -> list[tuple[str, tuple[tuple[int, int], ...], str]]:
    return [(e.label, e.fragments, e.text) for e in document.entities]


def every(corpus: Corpus) -> list[AnnotatedText]:
    return sorted((d for _, d in corpus.parts()), key=lambda d: d.id)


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("datasets")


def tagged(library: Any, rows: list[Row] = TAGGED) -> Any:
    label = library.ClassLabel(names=NAMES)
    features = {
        "id": library.Value("string"), "tokens": library.List(library.Value("string")), "ner_tags": library.List(label),
    }  # fmt: skip
    return library.Dataset.from_list(rows, features=library.Features(features))


def test_tokens_and_class_labels_from_parquet_shards(tmp_path: Path, library: Any) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test-00000-of-00001"):
        (tmp_path / "data").mkdir(exist_ok=True)
        rows = [{**row, "id": f"{row['id']}-{name[8:11]}"} for row in TAGGED]
        tagged(library, rows).to_parquet(str(tmp_path / "data" / f"{name}.parquet"))
    corpus = read(tmp_path)
    assert [len(corpus.part(part)) for part in ("train", "dev", "test")] == [4, 2, 2]
    first = corpus.train[0]
    assert (first.id, first.text, spans(first)) == ("train:0-000", "A barn owl", [("Bird", ((2, 10),), "barn owl")])
    assert first.related == ("train:1-000", "train:0-001", "train:1-001")
    assert (corpus.unit, corpus.resampling, corpus.privacy.private) == ("document", "sentence", True)
    assert not list(places.cache().iterdir()), "nothing of a private corpus stays in the cache"


def test_a_folder_of_save_to_disk(tmp_path: Path, library: Any) -> None:
    splits = {"train": tagged(library), "validation": tagged(library), "unlabelled": tagged(library)}
    library.DatasetDict(splits).save_to_disk(str(tmp_path / "birds"))
    corpus = read(tmp_path / "birds")
    assert [d.id for d in corpus.dev] == ["validation:0", "validation:1"] and corpus.name == "birds"
    assert corpus.remarks == ("rows of the split unlabelled, ignored: 2",)
    tagged(library).save_to_disk(str(tmp_path / "alone"))
    assert [spans(d) for d in every(read(tmp_path / "alone"))] == [[("Bird", ((2, 10),), "barn owl")], []]


def test_bigbio(tmp_path: Path, library: Any) -> None:
    library.Dataset.from_list([BIGBIO]).to_parquet(str(tmp_path / "train.parquet"))
    for file in (tmp_path / "train.parquet", json_lines(tmp_path / "train.jsonl", BIGBIO)):
        corpus = read(file)
        (found,) = every(corpus)
        assert (found.id, found.text, corpus.unit) == ("77", "An owl. Owls and oaks.", "sentence")
        assert spans(found) == [("Bird", ((3, 6),), "owl"), ("Both", ((8, 12), (17, 21)), "Owls and oaks")]
        assert [e.concept for e in found.entities] == ["MESH:D1|X:5", None]
        assert corpus.remarks == ("relations, ignored: 1",)


@pytest.mark.parametrize(
    "row",
    [
        {"text": "A owl", "entities": [OWL]}, {"text": "A owl", "spans": [{**OWL, "text": "owl", "color": "red"}]},
        {"text": "A owl", "entities": [[2, 5, "Bird"]]},
        {"text": "A owl", "entities": [{"offsets": [[2, 5]], "type": "Bird", "text": ["owl"]}]},
        {"text": "A owl", "entities": [{"start_offset": 2, "end_offset": 5, "entity_type": "Bird"}]},
        {"text": "A owl", "entities": {"start": [2], "end": [5], "label": ["Bird"]}},
        {"words": ["A", "owl"], "tags": ["O", "B-Bird"]}, {"tokens": ["A", "owl"], "ner_tags": ["O", "U-Bird"]},
        {"tokens": ["A", "owl"], "labels": ["O", "S-Bird"]},
    ],
)  # fmt: skip
def test_usual_layouts(tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # what needs no library does not import it
    for file, content in (
        ("a.jsonl", json.dumps(row)),
        ("b.json", f" [{json.dumps(row)}]"),
        ("c.json", json.dumps(row)),
    ):
        (tmp_path / file).write_text(content)
        assert [spans(d) for d in every(read(tmp_path / file))] == [[("Bird", ((2, 5),), "owl")]]


def test_columns_of_other_names_and_numbers_without_names(tmp_path: Path) -> None:
    row = {"note_id": 3, "ward": "w", "toks": ["A", "barn", "owl"], "bio": [0, 1, 2]}
    file = json_lines(tmp_path / "train.jsonl", row, {**row, "note_id": 4})
    given = {"id": "note_id", "group": "ward", "tokens": "toks", "tags": "bio"}
    with pytest.raises(
        ReadError, match=r"train\.jsonl: the columns note_id, ward, toks, bio are not understood; `columns`"
    ):
        read(file)
    with pytest.raises(ReadError, match=r"train\.jsonl:1: a tag is a number without a name; say what they mean"):
        read(file, columns=Columns(**given))
    corpus = read(file, columns=Columns(**given, names=tuple(NAMES)))
    first, _ = every(corpus)
    assert (first.id, first.group, first.related, spans(first)) == (
        "train:3", "w", (), [("Bird", ((2, 10),), "barn owl")],
    )  # fmt: skip
    assert corpus.resampling == "document"
    with pytest.raises(ReadError, match="there is no column 'nope'; there are note_id, ward, toks, bio"):
        read(file, columns=Columns(text="nope"))
    with pytest.raises(ValidationError):
        validate_call(hf.build)(path=str(file), data=tmp_path, columns={"txt": "a"})


def test_csv_with_lists_as_json(tmp_path: Path) -> None:
    cell = json.dumps([OWL]).replace('"', '""')
    (tmp_path / "train.csv").write_text(f'id,text,entities\nNA,"A owl\n, no",\n2020-01-01,A owl,"{cell}"\n')
    first, second = every(read(tmp_path / "train.csv", split=Split(dev=0, test=0)))
    assert (first.id, spans(first), second.id, second.text) == (
        "2020-01-01", [("Bird", ((2, 5),), "owl")], "NA", "A owl\n, no",
    )  # fmt: skip
    (tmp_path / "train.tsv").write_text("id\ttext\tentities\n1\tA owl\t[]\t\n")
    with pytest.raises(ReadError, match=r"train\.tsv:2: the line has more columns than the first"):
        read(tmp_path / "train.tsv")


def test_splits(tmp_path: Path) -> None:
    rows = [{"id": i, "text": f"t{i}", "entities": [], "patient": f"p{i % 6}"} for i in range(30)]
    corpus = read(json_lines(tmp_path / "all.jsonl", *rows), split=Split(by="patient"))
    groups = [{d.group for d in corpus.part(part)} for part in ("train", "dev", "test")]
    assert all(groups) and sum(map(len, groups)) == 6
    only_test = read(json_lines(tmp_path / "test.jsonl", *rows))
    assert len(only_test.test) == 30 and not only_test.train
    folder = tmp_path / "parts"
    for number, name in enumerate(("training", "val", "test/a", "extra")):
        json_lines(folder / f"{name}.jsonl", {"id": number, "text": "t", "entities": []})
    assert [len(read(folder).part(part)) for part in ("train", "dev", "test")] == [1, 1, 1]
    with pytest.raises(ReadError, match="the names already say the split"):
        read(folder, split=Split())
    json_lines(folder / "val.jsonl", {"id": 0, "text": "t", "entities": []})
    with pytest.raises(ReadError, match="'0' is in train and again in dev"):
        read(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "secret", "entities": [{"start": 0, "end": 99, "label": "X"}]}, r"0\.\.99 is no span"),
        (
            {"text": "secret", "entities": [{"start": 0, "end": 3, "label": "X", "text": "secr"}]},
            "its text is not what",
        ),
        ({"text": "secret", "entities": [{"label": "X"}]}, "is no span"),
        ({"text": "secret", "entities": [{"start": 0.0, "end": 3, "label": "X"}]}, r"entities\.0\.start: .*integer"),
        ({"text": "secret", "entities": "secret"}, "a list is written in a way that is not understood"),
        ({"text": "secret", "entities": {"start": [1], "end": []}}, "a list is written in a way"),
        ({"text": None, "entities": []}, "text: Input should be a valid string"),
        ({"tokens": ["secret"], "ner_tags": []}, "there are 1 tokens, but 0 tags"),
        ({"tokens": ["secret"], "ner_tags": ["I-X"], "text": "x", "entities": []}, None),
        ({"tokens": ["secret"], "ner_tags": ["secret"]}, "a tag is none of O, B-<label>"),
        ({"tokens": [""], "ner_tags": ["B-X"]}, r"0\.\.0 is no span"),
    ],
)
def test_errors_name_the_row_and_never_the_text(tmp_path: Path, row: Row, message: str | None) -> None:
    fine = {"tokens": ["fine"], "ner_tags": ["O"]} if "tokens" in row else {"text": "fine", "entities": []}
    file = json_lines(tmp_path / "train.jsonl", fine, row)
    if message is None:  # a scheme in which I- begins
        assert "I- tags that continue nothing, taken as beginnings: 1" in read(file).remarks
        return
    with pytest.raises(ReadError, match=message) as caught:
        read(file)
    assert "train.jsonl:2: " in str(caught.value) and "secret" not in str(caught.value)


def test_what_is_no_dataset(tmp_path: Path, library: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for name, content in (
        ("x.parquet", b"PAR1 secret"),
        ("x.json", b"[secret"),
        ("x.jsonl", b"[1]"),
        ("x.txt", b"secret"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError, match=name) as caught:
            read(tmp_path / name)
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", ""), "the library is silent"
    with pytest.raises(ReadError, match="there is no file of a split"):
        read(tmp_path)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ReadError, match="cannot be read: "):
        read(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ReadError, match="there are no rows"):
        read(tmp_path / "empty.jsonl")
    with pytest.raises(ReadError, match=r"there is no nothing/here\.parquet"):
        hf.build(path="nothing/here.parquet", data=tmp_path)
    with pytest.raises(ReadError, match="`config` is for datasets of the hub"):
        hf.build(path="x.json", data=tmp_path, config="c")


def test_the_hub_is_not_asked_for_a_private_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hf, "_library", lambda: pytest.fail("the library was asked"))
    with pytest.raises(ReadError, match=r"there is no birds/owls here or in .*`private = false`"):
        hf.build(path="birds/owls", data=tmp_path)


class Hub:
    """Stands for the library: remembers what was asked, and answers or raises."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Row]] = []

    def load_dataset(self, path: str, **options: Any) -> Any:
        self.asked.append((path, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_dataset_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    hub = Hub(library.DatasetDict({"train": tagged(library), "test": tagged(library)}))
    monkeypatch.setattr(_hf, "_library", lambda: hub)
    corpus = hf.build(path="birds/owls", data=tmp_path, config="all", private=False, types={"Bird": "B"})
    assert hub.asked == [("birds/owls", {"name": "all", "cache_dir": str(places.cache() / "datasets")})]
    assert (corpus.name, corpus.privacy.private, [e.label for e in corpus.train[0].entities]) == ("owls", False, ["B"])
    assert [d.id for d in corpus.part("test")] == ["test:0", "test:1"]
    named = {"name": "hf", "path": "birds/owls", "private": False}
    assert setup.read_corpus(RunSpec(name="owls", corpus=named), tmp_path).privacy == PUBLIC


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ConnectionError("secret"), "cannot be reached, and the dataset is not in the cache"),
        (FileNotFoundError("secret"), "there is no such dataset"),
        (RuntimeError("Dataset scripts are no longer supported, but found owls.py"), "nothing that a dataset brings"),
        (
            ValueError("Config name is missing.\nPick one of: ['all', 'some_kb']\nsecret"),
            r"`config` is one of \['all', 'some_kb'\]",
        ),
        (KeyError("secret"), "cannot be loaded from the hub: KeyError"),
    ],
)
def test_what_the_hub_may_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, message: str
) -> None:
    monkeypatch.setattr(_hf, "_library", lambda: Hub(raised))
    with pytest.raises(ReadError, match=r"birds/owls.*" + message) as caught:
        hf.build(path="birds/owls", data=tmp_path, private=False)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_offline_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    """With the real library: offline is an error in one line that says what to do."""
    import huggingface_hub

    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ReadError, match=r"birds/owls: the Hugging Face hub cannot be reached.*HF_HUB_OFFLINE"):
        hf.build(path="birds/owls", data=tmp_path, private=False)
