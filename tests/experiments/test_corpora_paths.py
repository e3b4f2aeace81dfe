"""Every reader takes a file, a folder or a glob, with the same options; names of files and folders say the parts."""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from experiments.corpora import brat, conll, i2b2, jsonl, webanno
from experiments.corpora._files import called, part_of
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from tests.experiments.samples import SAMPLES

READERS = sorted({name.partition("_")[0] if name.startswith("hf") else name for name in SAMPLES})
NOTES = ("brat", "i2b2", "webanno")  # a document is a file, or two
SHARED = {"path", "data", "private", "split", "types", "mismatch"}


def build(reader: str, path: Path | str, **options: object) -> Corpus:
    made: Corpus = import_module(f"experiments.corpora.{reader}").build(
        path=str(path) if reader == "hf" else Path(path), data=Path("nowhere"), **options
    )
    return made


def sizes(corpus: Corpus) -> list[int]:
    return [len(corpus.part(part)) for part in ("train", "dev", "test")]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("train.txt", "train"), ("eng.train", "train"), ("notes_train.jsonl", "train"),
        ("NCBItrainset_corpus.txt", "train"), ("CDR_TrainingSet.PubTator.txt", "train"), ("train-00000-of-2.parquet", "train"),
        ("dev", "dev"), ("valid.txt", "dev"), ("validation", "dev"), ("devel.tsv", "dev"), ("testa", "dev"),
        ("eng.testa", "dev"),
        ("CDR_DevelopmentSet.BioC.xml", "dev"), ("x-val.tsv", "dev"), ("NCBIdevelopset_corpus.txt", "dev"),
        ("test", "test"), ("testb.txt", "test"), ("eng.testb", "test"), ("test_data", "test"), ("Test.JSON", "test"),
        ("train_dev.tsv", None), ("trained.txt", None), ("contest.txt", None), ("notes.jsonl", None), ("latest.tsv", None),
    ],
)  # fmt: skip
def test_one_function_knows_what_parts_are_called(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_documents_without_an_id_are_called_after_their_file() -> None:
    names = ("train.tsv", "eng.testa", "eng.testb.txt", "notes.v2.jsonl", "train.annotated.conll")
    assert [called(Path(name)) for name in names] == ["train", "eng.testa", "eng.testb", "notes", "train"]


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_has_the_same_options(reader: str) -> None:
    found = inspect.signature(import_module(f"experiments.corpora.{reader}").build).parameters
    assert set(found) >= SHARED


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("names", [("train", "dev"), ("eng.train", "eng.testa"), ("Training", "validation")])
def test_parts_of_a_folder_are_recognised_by_every_reader(tmp_path: Path, reader: str, names: tuple[str, str]) -> None:
    second = "validation" if reader == "hf" else "dev" if reader == "jsonl" else "test"
    for name, content in SAMPLES[reader]().items():
        if reader in NOTES:
            folder, _, file = name.partition("/")
            new = f"{names[folder != 'train']}/{file}"
        else:
            part, _, ending = name.partition(".")
            ending = {"i2b2": "txt"}.get(reader, ending)
            new = f"{names[part == second]}.{ending}"
        write(tmp_path, {new: content})
    corpus = build(reader, tmp_path)
    assert corpus.train and corpus.dev and not corpus.test
    with pytest.raises(ReadError, match="already say the split"):
        build(reader, tmp_path, split=Split())


def copies(folder: Path, reader: str, number: int) -> Path:
    """Write so many copies of a reader's sample, in files of their own whose names say no part."""
    for name, content in SAMPLES[reader]().items():
        if not name.startswith("train"):
            continue
        for i in range(number):
            text = content.decode()
            text = re.sub(r"(?m)^(1[12])(?=[|\t])", rf"\1x{i}", text)
            text = text.replace("<id>", f"<id>{i}-").replace('"id": "', f'"id": "{i}-')
            text = text.replace('"id": 2', f'"id": 2{i}').replace('"id": 1,', f'"id": 1{i},').replace("-7", f"-7{i}")
            write(folder, {f"n{i}{Path(name).suffix}": text.encode()})
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_a_glob_reads_several_files_and_split_cuts_them_up(tmp_path: Path, reader: str) -> None:
    copies(tmp_path, reader, 6)
    corpus = build(reader, tmp_path / "n*", split=Split(dev=0.3, test=0.3, by="document"))
    folds = build(reader, tmp_path / "n*", split=Split(folds=3, fold=2, by="document"))
    assert all(sizes(corpus)) and all(sizes(folds)) and sum(sizes(corpus)) == sum(sizes(folds)) >= 6
    assert sum(sizes(build(reader, tmp_path / "n[01]*"))) == sum(sizes(corpus)) / 3
    with pytest.raises(ReadError, match="there is no"):
        build(reader, tmp_path / "nothing*.x")


@pytest.mark.parametrize("reader", [r for r in READERS if r != "hf"])
def test_a_folder_without_parts_and_one_file_are_read(tmp_path: Path, reader: str) -> None:
    copies(tmp_path / "all", reader, 4)
    every = build(reader, tmp_path / "all", split=Split(dev=0.3, test=0.3, by="document"))
    ending = next(
        file.suffix for file in (tmp_path / "all").iterdir() if reader not in NOTES or file.suffix in (".txt", ".tsv")
    )
    one = build(reader, tmp_path / "all" / f"n1{ending}", split=Split(by="document"))
    assert sum(sizes(every)) == 4 * sum(sizes(one)) > 0 and every.name == "all"


def test_conll_2003_as_it_is_given_out(tmp_path: Path) -> None:
    for name in ("eng.train", "eng.testa", "eng.testb"):
        (tmp_path / name).write_text("-DOCSTART- -X- -X- O\n\nAn DT I-NP O\nowl NN I-NP B-Bird\n\n")
    corpus = conll.build(path=tmp_path, data=tmp_path)
    assert sizes(corpus) == [1, 1, 1] and [d.id for _, d in corpus.parts()] == [
        "eng.train:1", "eng.testa:1", "eng.testb:1",
    ]  # fmt: skip


def test_one_conll_file_is_split_by_its_documents(tmp_path: Path) -> None:
    (tmp_path / "all.tsv").write_text("".join(f"-DOCSTART- (d{i})\n\nan\tO\n\nowl\tB-Bird\n\n" for i in range(9)))
    corpus = conll.build(path=tmp_path / "all.tsv", data=tmp_path, split=Split(by="group", dev=0.3, test=0.3))
    groups = [{d.group for d in corpus.part(part)} for part in ("train", "dev", "test")]
    assert all(groups) and sum(map(len, groups)) == 9 and corpus.resampling == "document"


def test_files_of_one_name_in_several_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("train", "dev"):
        write(tmp_path, {f"{folder}/notes.tsv": b"an\tO\n\nowl\tB-Bird\n"})
    for path in (tmp_path, tmp_path / "*" / "notes.tsv"):
        corpus = conll.build(path=path, data=tmp_path)
        assert [d.id for d in corpus.train + corpus.dev] == [f"{f}/notes:{i}" for f in ("train", "dev") for i in (1, 2)]
        assert corpus.train[0].related == ("train/notes:2",)


def test_a_name_that_is_only_the_part_goes_before_others_and_two_claims_are_refused(tmp_path: Path) -> None:
    row = json.dumps({"text": "An owl"}).encode()
    write(tmp_path, {"train.jsonl": row, "train_small.jsonl": row, "dev.jsonl": row, "more.jsonl": row})
    corpus = jsonl.build(path=tmp_path, data=tmp_path)
    assert sizes(corpus) == [1, 1, 0]
    assert corpus.remarks == ("files whose name says no part, left out: 2",)
    write(tmp_path / "two", {"a_train.jsonl": row, "b_train.jsonl": row, "a_dev.jsonl": row})
    with pytest.raises(ReadError, match=r"a_train\.jsonl and b_train\.jsonl both claim to be the train part; a glob"):
        jsonl.build(path=tmp_path / "two", data=tmp_path)
    corpus = jsonl.build(path=tmp_path / "two" / "*.jsonl", data=tmp_path)
    assert sizes(corpus) == [2, 1, 0] and corpus.name == "two"


def test_a_folder_of_several_kinds_of_file_asks_for_a_glob(tmp_path: Path) -> None:
    write(tmp_path, {"a.tsv": b"an\tO\n", "b.md": b"read me", "README": b"", ".hidden.x": b""})
    with pytest.raises(
        ReadError, match=r'several kinds of file \(1 \.tsv, 1 \.md\); name those to read by a glob: path = "'
    ):
        conll.build(path=tmp_path, data=tmp_path)


def test_notes_called_like_a_part_are_notes(tmp_path: Path) -> None:
    files = {f"{name}.{end}": b"" for name in ("lab_test", "test_2", "train_ride") for end in ("txt", "ann", "con")}
    write(tmp_path, files)
    for reader in (brat, i2b2):
        assert {d.id for _, d in reader.build(path=tmp_path, data=tmp_path).parts()} == {
            "lab_test", "test_2", "train_ride",
        }  # fmt: skip
    export = {f"lab-test-{i}.txt/curator.tsv": SAMPLES["webanno"]()["train/n1.tsv"] for i in range(3)}
    assert sum(sizes(webanno.build(path=write(tmp_path / "export", export), data=tmp_path))) == 3


def test_sub_folders_with_longer_names_are_parts_too(tmp_path: Path) -> None:
    for name in ("training_data", "test_data"):
        write(tmp_path, {f"{name}/{name}.{end}": b"" for end in ("txt", "ann")})
    assert sizes(brat.build(path=tmp_path, data=tmp_path)) == [1, 0, 1]
    assert Counter(part for part, _ in brat.build(path=tmp_path / "*", data=tmp_path).parts()) == {
        "train": 1,
        "test": 1,
    }
