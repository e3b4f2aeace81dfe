"""Forms that files come in: lines that go on, sections, older versions, and files that were given to the wrong reader."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from experiments.corpora import brat, i2b2, jsonl, pubtator, webanno
from experiments.corpora._reader import guess
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from tests.experiments.samples import SAMPLES


def write(folder: Path, **files: str) -> Path:
    """Write files `name__ending="content"` as name.ending; `folder` may not be there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content.encode())
    return folder


def entities(corpus: Corpus) -> list[tuple[str, str]]:
    return [(e.text, e.label) for _, d in corpus.parts() for e in d.entities]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_brat_a_surface_may_go_on_in_the_next_line(tmp_path: Path, end: str) -> None:
    text = f"A pale{end}T1 hum rose,{end}then a hum.{end}"
    first, last = text.index("pale"), text.index(" rose")
    found = f"T1\tX {first} {last}\tpale{end}T1 hum{end}T2\tX {text.rindex('hum')} {text.rindex('hum') + 3}\thum{end}"
    corpus = brat.build(path=write(tmp_path / "train", n__txt=text, n__ann=found), data=tmp_path)
    assert entities(corpus) == [(f"pale{end}T1 hum", "X"), ("hum", "X")]
    write(tmp_path / "train", n__ann=found + f"hum{end}")
    with pytest.raises(ReadError, match=r"n\.ann:4: the line begins with none of"):
        brat.build(path=tmp_path / "train", data=tmp_path)


def test_pubtator_titles_with_bars_sections_and_abstracts_of_several_lines(tmp_path: Path) -> None:
    text = "A|t|B or A|a|B An owl sat. It ate. It left. Methods: a net."
    rows = (
        "7|t|A|t|B or A|a|B\n7|a|An owl sat.\n7|a|It ate.\nIt left.\n7|methods|Methods: a net.\n"
        f"7\t0\t5\tA|t|B\tName\n7\t{text.index('owl')}\t{text.index('owl') + 3}\towl\tBird\tD1\n"
        f"7\t{text.index('net')}\t{text.index('net') + 3}\tnet\tThing\n"
        "7\tCID\tD1\tD2\n7\tPositive_Correlation\tD1\t672\tNovel\n\n8|t|Another\n"
    )
    corpus = pubtator.build(path=write(tmp_path, train__txt=rows), data=tmp_path)
    assert [d.text for d in corpus.train] == [text, "Another"]
    assert entities(corpus) == [("A|t|B", "Name"), ("owl", "Bird"), ("net", "Thing")]
    assert corpus.remarks == ("relation lines, ignored: 2",)


def test_pubtator_a_line_after_the_mentions_is_no_text(tmp_path: Path) -> None:
    for line in ("secret\n", "7|a|secret\n"):
        rows = f"7|t|An owl\n7\t3\t6\towl\tBird\n{line}"
        with pytest.raises(ReadError, match=r"train\.txt:3: "):
            pubtator.build(path=write(tmp_path, train__txt=rows), data=tmp_path)


NOTE = "Admission Date :\n09/28/1993\nNo pale hum .\n"
EXTENT = (
    'EVENT="admission" 1:0 1:0||type="OCCURRENCE"||modality="FACTUAL"||polarity="POS"\n'
    'EVENT="pale hum" 3:1 3:2||type="PROBLEM"||modality="FACTUAL"||polarity="NEG"\n'
    'TIMEX3="09/28/1993" 2:0 2:0||type="DATE"||val="1993-09-28"||mod="NA"\n'
    'SECTIME="09/28/1993" 2:0 2:0||type="ADMISSION"||dvalue="1993-09-28"\n'
)
WANTED = [("Admission", "OCCURRENCE"), ("pale hum", "PROBLEM"), ("09/28/1993", "DATE")]


def test_i2b2_2012_in_both_its_forms(tmp_path: Path) -> None:
    write(
        tmp_path / "lines" / "train",
        **{"1__xml__txt": NOTE, "1__xml__extent": EXTENT, "1__xml__tlink": "x", "1__xml": "<x>"},
    )
    corpus = i2b2.build(path=tmp_path / "lines", data=tmp_path)
    assert entities(corpus) == WANTED and corpus.train[0].id == "1.xml"
    _, second, third = corpus.train[0].entities
    assert second.attributes == {"modality": "FACTUAL", "polarity": "NEG"}
    assert third.attributes == {"val": "1993-09-28", "mod": "NA"}
    assert corpus.remarks == ("times of sections, ignored: 1",)

    def tag(kind: str, surface: str, about: str) -> str:
        start = ("\n" + NOTE).index(surface)
        return f'<{kind} id="{start}" start="{start}" end="{start + len(surface)}" text="{surface}" {about} />\n'

    tags = (
        tag("EVENT", "Admission", 'modality="FACTUAL" polarity="POS" type="OCCURRENCE"')
        + tag("EVENT", "pale hum", 'modality="FACTUAL" polarity="NEG" type="PROBLEM"')
        + tag("TIMEX3", "09/28/1993", 'type="DATE" val="1993-09-28" mod="NA"')
        + '<TLINK id="TL0" fromID="E0" toID="T0" type="BEFORE" />\n<SECTIME id="S0" start="18" end="28" type="ADMISSION" />\n'
    )
    xml = f"<ClinicalNarrativeTemporalAnnotation><TEXT><![CDATA[\n{NOTE}]]></TEXT>\n<TAGS>\n{tags}</TAGS>\n"
    write(tmp_path / "xml" / "test", **{"1__xml": xml + "</ClinicalNarrativeTemporalAnnotation>\n"})
    for path in (tmp_path / "xml" / "test" / "1.xml", tmp_path / "xml" / "test"):
        other = i2b2.build(path=path, data=tmp_path)
        assert entities(other) == WANTED and other.remarks == ("links, ignored: 1", "times of sections, ignored: 1")
        ((_, document),) = other.parts()
        assert document.entities[1].attributes == second.attributes and document.text == "\n" + NOTE


@pytest.mark.parametrize(
    ("line", "ending", "message"),
    [
        ('m="zorvexan" 1:0 1:0||do="5 mg" 1:1 1:2||mo="nm"||f="nm"', "entries", "the 2009 form .*turn each"),
        ('c="admission" 1:0 1:0||t="problem"||a="absent"', "ast", r"the assertion form .*beside \.con files"),
        ('c="admission" 1:0 1:0||r="TrIP"||c="date" 1:1 1:1', "rel", r"the relation form of 2010 \(\.rel\)"),
        ('EVENT="admission" 1:0 1:0||TIMEX3="09/28/1993" 2:0 2:0||type="BEFORE"', "tlink", "the links of 2012"),
    ],
)  # fmt: skip
def test_i2b2_names_the_forms_that_it_does_not_read(tmp_path: Path, line: str, ending: str, message: str) -> None:
    path = write(tmp_path / "a", n__txt=NOTE, n__con=line + "\n")
    with pytest.raises(ReadError, match=rf"n\.con:1: this is {message}"):
        i2b2.build(path=path, data=tmp_path)
    path = write(tmp_path / "b", **{"n__txt": NOTE, f"n__{ending}": line + "\n"})
    with pytest.raises(ReadError, match=rf"n\.{ending}: this is {message}"):
        i2b2.build(path=path, data=tmp_path)


@pytest.mark.parametrize(
    ("head", "version"),
    [
        ("# webanno.custom.Thing | value\n#id=1\n#text=An owl\n1-1\tAn\tO\n1-2\towl\tB-Bird\n", "2"),
        ("#id=1\n#text=An owl\n1-1\tAn\n", "2"),
        ("#FORMAT=WebAnno TSV 3.0\n#T_SP=webanno.custom.Thing|value\n\n#Text=An owl\n1-1\t0-2\tAn\t_\n", "3.0"),
    ],
)
def test_webanno_names_the_versions_that_it_does_not_read(tmp_path: Path, head: str, version: str) -> None:
    with pytest.raises(ReadError, match=rf"n\.tsv:1: .*this is WebAnno TSV {version}, .*export `WebAnno TSV v3\.3`"):
        webanno.build(path=write(tmp_path, n__tsv=head), data=tmp_path)


def test_webanno_slots_are_counted(tmp_path: Path) -> None:
    head = "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.F|value|ROLE_webanno.custom.F:of_webanno.custom.L|uima.tcas.X\n\n\n"
    rows = "#Text=a b c d\n1-1\t0-1\ta\tX[1]\targ;arg[1]\t1-3;1-4[1]\t\n1-2\t2-3\tb\tX[1]\targ;arg[1]\t1-3;1-4[1]\t\n"
    rows += "1-3\t4-5\tc\tX|Y\t_|arg\t_|1-4\t\n1-4\t6-7\td\tX\t_\t_\t\n"
    corpus = webanno.build(path=write(tmp_path, n__tsv=head + rows), data=tmp_path)
    assert len(entities(corpus)) == 4
    assert corpus.remarks == ("annotations with slots, whose links are ignored: 2",)


FIRST = {kind: next(iter(make().items())) for kind, make in SAMPLES.items() if kind not in ("hf_csv", "hf_parquet")}
FIRST["brat"] = next(item for item in SAMPLES["brat"]().items() if item[0].endswith(".ann"))
FIRST["i2b2"] = next(item for item in SAMPLES["i2b2"]().items() if item[0].endswith(".con"))


@pytest.mark.parametrize("kind", FIRST)
def test_what_a_file_is_can_be_told(tmp_path: Path, kind: str) -> None:
    name, content = FIRST[kind]
    file = tmp_path / name.replace("/", "-")
    file.write_bytes(content)
    assert guess(file) == {"hf_bigbio": "hf"}.get(kind, kind) and guess(tmp_path) == guess(file)
    file.write_bytes(b"The owl sat.\nIt was grey.\n")
    assert guess(file) == ""


@pytest.mark.parametrize("reader", sorted(set(FIRST) - {"hf", "hf_bigbio", "brat", "i2b2"}))
@pytest.mark.parametrize("kind", sorted(set(FIRST) - {"brat", "i2b2"}))
def test_a_file_of_another_form_is_named(tmp_path: Path, kind: str, reader: str) -> None:
    name, content = FIRST[kind]
    file = tmp_path / ("all" + Path(name).suffix)
    file.write_bytes(content)
    build = import_module(f"experiments.corpora.{reader}").build
    try:
        corpus = build(path=file, data=tmp_path)
    except ReadError as error:
        assert reader != kind and f'set name = "{kind.partition("_b")[0]}" in [corpus]' in str(error)
    else:
        assert entities(corpus), "read, for the forms are alike"
        assert kind == reader or {kind, reader} <= {"jsonl", "prodigy", "doccano"}


def test_a_file_that_is_read_but_says_nothing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    file.write_bytes(SAMPLES["doccano"]()["train.jsonl"].splitlines(keepends=True)[0])
    with pytest.raises(ReadError, match=r'no mention was found; it looks like doccano: set name = "doccano"'):
        jsonl.build(path=file, data=tmp_path)
