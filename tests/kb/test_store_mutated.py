"""Folders that were damaged, or made to harm: refused in one line, or a knowledge base that can be read throughout."""

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb import Concept, KnowledgeBase, Relation, open_kb, write_kb
from kb.errors import KnowledgeError
from kb.linking import Linker
from kb.names.filter import LONGEST
from kb.retrievers import walk
from kb.store.digest import digest, sealed
from kb.store.folder import DATA, HEADER
from tests.effort import often

CASES = often(40, 1000)
TEXT = "A singer, Tom's tit, sat in the oak; an SBD and a B-T. Song birds and owls."
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 255, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "x", "\n", "__class__", "u64", [], {},
    ["a"], {"a": 1}, "@deep@",
)  # fmt: skip
WIDTHS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
WIDTH = {kind: struct.calcsize(f"<{code}") for kind, code in WIDTHS.items()}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kb = KnowledgeBase.of(
        [
            Concept("B:1", "bird", "animal"), Concept("B:2", "song bird", "animal", synonyms=("singer", "SBD")),
            Concept("B:3", "blue tit", "animal", ("Tom's tit", "B-T"), "A small bird.", ("X:3",)),
            Concept("B:4", "öak", "tree", synonyms=("oak",)), Concept("B:5", "owl", "animal", synonyms=("singer",)),
            Relation("B:2", "is_a", "B:1"), Relation("B:3", "is_a", "B:2"), Relation("B:3", "nests_in", "B:4"),
        ]
    )  # fmt: skip
    return write_kb(kb, tmp_path_factory.mktemp("kb") / "kb")


def everything(kb: KnowledgeBase) -> list[Any]:
    """What a knowledge base answers, by every way of asking."""
    said: list[Any] = [list(kb.concepts), kb.types, kb.relation_names, list(kb.relations()), kb.names.find(TEXT)]
    for concept in kb.concepts:
        said += [kb.get(concept.id), kb.names.lookup(concept.name)]
        if concept.id in kb:
            said += [kb.ancestors(concept.id), kb.incoming(concept.id), kb.walk(concept.id, 9, direction="both")]
    return [*said, walk.build(kb=kb, relations=())(TEXT), Linker(kb).link("blue tits"), kb.describe()["types"]]


def put_right(folder: Path, header: dict[str, Any] | None = None) -> None:
    """Make digest, fingerprint and seal fit what is there, as somebody would who means harm."""
    header = json.loads((folder / HEADER).read_text()) if header is None else header
    block = (folder / DATA).read_bytes()
    header |= {"sha256": digest(block), "size": len(block)}
    content = {"block": header["sha256"], "sections": header.get("sections"), "filter": header.get("filter")}
    header["fingerprint"] = sealed(content)
    header["seal"] = sealed({key: value for key, value in header.items() if key != "seal"})
    write_header(folder, header)


def write_header(folder: Path, header: Any) -> None:
    (folder / HEADER).write_text(json.dumps(header).replace('"@deep@"', "[" * 9000 + "]" * 9000))


def places(content: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all that JSON holds."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in inner for place in [(*way, key), *places(value, (*way, key))]]


def change(content: Any, rng: random.Random) -> None:
    """Put something odd anywhere, or take something away, or call it otherwise."""
    *way, last = rng.choice(places(content))
    for key in way:
        content = content[key]
    how = rng.choice(["put", "put", "put", "remove", "rename", "add"])
    if how == "put":
        content[last] = rng.choice(ODD)
    elif how == "remove":
        del content[last]
    elif isinstance(content, dict):
        content["__class__" if how == "add" else "x"] = content[last] if how == "add" else content.pop(last)
    else:
        content.insert(last, rng.choice(ODD))


def in_a_section(folder: Path, rng: random.Random) -> None:
    """Change a number, or bytes of a text, inside the block."""
    _, kind, begin, size = rng.choice([s for s in json.loads((folder / HEADER).read_text())["sections"] if s[3]])
    block = bytearray((folder / DATA).read_bytes())
    if kind == "utf8":
        block[begin + rng.randrange(size)] = rng.randrange(256)
    else:
        width = int(kind[1:]) // 8
        at = begin + width * rng.randrange(size // width)
        number = rng.choice([0, 1, 2, 3, 7, 2 ** (8 * width) - 1, rng.randrange(2 ** (8 * width))])
        block[at : at + width] = struct.pack(f"<{WIDTHS[kind]}", number)
    (folder / DATA).write_bytes(block)


def in_the_header(folder: Path, rng: random.Random) -> None:
    header = json.loads((folder / HEADER).read_text())
    change(header, rng)
    write_header(folder, header)


def in_the_bytes(folder: Path, rng: random.Random) -> None:
    file = folder / rng.choice([HEADER, DATA])
    block = bytearray(file.read_bytes())
    how, at = rng.choice(["flip", "cut", "more", "swap"]), rng.randrange(len(block))
    if how == "flip":
        block[at] ^= 1 << rng.randrange(8)
    elif how == "swap":
        block[at : at + 8], block[:8] = block[:8], block[at : at + 8]
    else:
        block[at:] = b"" if how == "cut" else block[at:] + rng.randbytes(9)
    file.write_bytes(block)


KINDS = (in_a_section, in_a_section, in_the_header, in_the_bytes)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_changed_folder_is_refused_or_can_be_read(original: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder = Path(shutil.copytree(original, tmp_path / "kb"))
    KINDS[seed % 4](folder, rng)
    fixed = seed % 8 < 4
    if fixed:
        try:
            put_right(folder)
        except (ValueError, AttributeError, TypeError, RecursionError):
            fixed = False  # no header is left that could be put right
    try:
        said = everything(open_kb(folder))
    except KnowledgeError as error:
        assert str(folder) in str(error) and len(str(error).splitlines()) == 1, error
        return
    assert fixed or said == everything(open_kb(original)), "nobody put the digests right, and it answers otherwise"


def section(name: str, *numbers: int) -> Callable[[Path], None]:
    """Write numbers over the first ones of a section."""

    def over(folder: Path) -> None:
        _, kind, begin, _ = next(s for s in json.loads((folder / HEADER).read_text())["sections"] if s[0] == name)
        block = bytearray((folder / DATA).read_bytes())
        struct.pack_into(f"<{len(numbers)}{WIDTHS[kind]}", block, begin, *numbers)
        (folder / DATA).write_bytes(block)

    return over


def replaced(old: bytes, new: bytes) -> Callable[[Path], None]:
    def over(folder: Path) -> None:
        block = (folder / DATA).read_bytes()
        assert old in block and len(old) == len(new)
        (folder / DATA).write_bytes(block.replace(old, new))

    return over


def said(*path: Any) -> Callable[[Path], None]:
    *way, last, value = path

    def over(folder: Path) -> None:
        header = inner = json.loads((folder / HEADER).read_text())
        for key in way:
            inner = inner[key]
        inner[last] = value
        put_right(folder, header)

    return over


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a relation to no concept": (section("out.end", 200), "section out.end"),
    "a kind that is none": (section("in.kind", 9), "section in.kind"),
    "a type that is none": (section("type", 2), "section type"),
    "rows that run backwards": (section("out.starts", 0, 3, 1), "section out.starts"),
    "a form without entries": (section("entry.starts", 0, 0), "section entry.starts"),
    "an entry of no concept": (section("entry.concept", 250), "section entry.concept"),
    "a spelling that is none": (section("entry.how", 77), "section entry.how"),
    "a name of no tokens": (section("lengths", 0), "section lengths"),
    "a name of very many tokens": (section("lengths", LONGEST + 1), "section lengths"),
    "more names than there are": (section("sought", 99), "section sought"),
    "a bucket of everything": (section("forms.buckets", 9), "section forms.buckets"),
    "strings in the wrong bucket": (section("ids.order", 1, 0), "section ids.order"),
    "a string number that is none": (section("ids.order", 66), "section ids.order"),
    "a string inside a character": (replaced("öak".encode(), b"\xb6ak\xc3"), "section forms.starts"),
    "text that is no UTF-8": (replaced(b"blue tit", b"blu\xff tit"), "is not UTF-8"),
    "details that are no JSON": (replaced(b'["A small bird.",[', b'[["A small bir",[['), "section details.text: concept 2"),
    "details of numbers": (replaced(b'"X:3"]]', b'12345]]'), "section details.text"),
    "NaN in the term filter": (said("filter", "shortest", float("nan")), "filter.shortest"),
    "a huge term filter": (said("filter", "own_case", 10**9), "filter.own_case"),
    "stop words that are no list": (said("filter", "stop", "the"), "filter.stop"),
    "a section beyond the file": (said("sections", 0, 3, 1 << 40), "does not lie in the file"),
    "a section of another kind": (said("sections", 0, 1, "u8"), "does not lie in the file"),
    "a section before the file": (said("sections", 0, 2, -64), "sections.0.2"),
    "a section twice": (said("sections", 0, 0, "lengths"), "sections are missing"),
    "a report that is no count": (said("report", {"odd": -3}), "report.odd"),
    "a word for a version": (said("version", "three"), "version"),
    "deep nesting": (said("report", "@deep@"), "Invalid JSON"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_is_refused_though_every_digest_is_right(original: Path, tmp_path: Path, what: str) -> None:
    over, where = HOSTILE[what]
    folder = Path(shutil.copytree(original, tmp_path / "kb"))
    over(folder)
    if not over.__qualname__.startswith("said"):
        put_right(folder)
    with pytest.raises(KnowledgeError) as caught:
        open_kb(folder)
    assert where in str(caught.value), caught.value
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 500


def test_numbers_may_be_wider_than_they_need(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "kb"))
    header, block = json.loads((folder / HEADER).read_text()), bytearray((folder / DATA).read_bytes())
    for section in header["sections"]:
        _, kind, begin, size = section
        if kind != "utf8":
            numbers = struct.unpack_from(f"<{size // WIDTH[kind]}{WIDTHS[kind]}", block, begin)
            section[1:] = ["u64", len(block), 8 * len(numbers)]
            block += struct.pack(f"<{len(numbers)}Q", *numbers)
    (folder / DATA).write_bytes(block)
    put_right(folder, header)
    assert everything(open_kb(folder)) == everything(open_kb(original))


@pytest.mark.parametrize("file", [HEADER, DATA])
@pytest.mark.parametrize("what", ["link", "pipe", "folder", "sparse"])
def test_only_ordinary_files_are_read(original: Path, tmp_path: Path, file: str, what: str) -> None:
    path = Path(shutil.copytree(original, tmp_path / "kb")) / file
    if what == "sparse":
        os.truncate(path, 1 << 40)
    else:
        path.unlink()
        {"link": lambda: path.symlink_to(original / file), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[
            what
        ]()
    with pytest.raises(KnowledgeError, match=r"/kb: (damaged|no) knowledge base"):
        open_kb(path.parent)


def test_a_walk_ends_where_there_is_nowhere_to_go(original: Path) -> None:
    kb = open_kb(original)
    assert kb.walk("B:3", 10**9) == kb.walk("B:3", 3)


def test_a_name_that_nobody_writes_out_is_known_and_not_looked_for() -> None:
    long = " ".join(f"word{n}" for n in range(LONGEST + 1))
    kb = KnowledgeBase.of([Concept("C:1", long), Concept("C:2", long.rpartition(" ")[0])])
    assert [match.concepts for match in kb.names.find(long)] == [("C:2",)]
    assert kb.names.lookup(long) == ("C:1",)
