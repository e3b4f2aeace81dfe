"""Damaged copies of a small corpus for every reader: read, or refused in one line; never another error, never a hang.

NERC_THOROUGH=1 makes many more of them.
"""

from __future__ import annotations

import inspect
import random
import re
from importlib import import_module
from pathlib import Path

import pytest

from experiments.corpora.corpus import PARTS, Corpus
from experiments.errors import LONGEST, ReadError
from ner_programs import components
from tests.effort import often, soon
from tests.experiments.samples import SAMPLES

COPIES = often(600, 15_000)


def readers() -> list[str]:
    """Names of the components that read any file: those that cannot be built without a path."""
    package = "experiments.corpora"
    builds = {name: import_module(f"{package}.{name}").build for name in components.names(package)}
    needs = {name: inspect.signature(build).parameters.get("path") for name, build in builds.items()}
    return [name for name, path in needs.items() if path and path.default is inspect.Parameter.empty]


FEWER = {"hf_parquet": 0.1}  # of an equal share: each copy takes 20 ms
WHOLE = COPIES / (len(SAMPLES) - len(FEWER) + sum(FEWER.values()))

BOMB = b"<!DOCTYPE collection [" + b"".join(
    b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10 if i else b"ha" * 50) for i in range(10)
)
PIECES = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n", b"\n\n", b"\t", b" ", b'"', b"'", b",", b"|",
    b"\\", b"\\ud800", b"\xe2\x80\xa8", b"<", b">", b"&", b"&a9;", b"]]>", b"<!--", b"{", b"}", b"[", b"]", b":", b";", b"_",
    b"null", b"NaN", b"true", b"-", b"B-", b"T9\t", b"[" * 5000, b'{"a":' * 5000, b"[" * 5000 + b"]" * 5000, b"<a>" * 5000,
    b"<passage>" * 5000, BOMB + b"]><collection>&a9;", b"x" * 70000,
]  # fmt: skip
NUMBERS = [
    b"0", b"-1", b"1", b"13", b"007", b"1e3", b"1.5", b"1e999", b"99999", b"9" * 20, b"9" * 5000, b"", b"\xd9\xa3",
    b"1_0",
]  # fmt: skip


def damaged(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        here, there = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        rows = content.split(b"\n")
        one, two = rng.randrange(len(rows)), rng.randrange(len(rows))
        match rng.randrange(12):
            case 0 | 1:
                content = content[:here] + bytes([rng.randrange(256)]) + content[here + 1 :]
            case 2 | 3:
                content = content[:here] + rng.choice(PIECES) + content[here:]
            case 4:
                content = content[:here] + content[min(there, here + 30) :]
            case 5:
                content = content[:there] + content[here : here + 60] + content[there:]
            case 6:
                content = content[:here]
            case 7 | 8:
                numbers = list(re.finditer(rb"\d+", content)) or [re.match(b"", content)]
                found = rng.choice(numbers)
                assert found
                content = content[: found.start()] + rng.choice(NUMBERS) + content[found.end() :]
            case 9:
                rows[one], rows[two] = rows[two], rows[one]
                content = b"\n".join(rows)
            case 10:
                content = b"\n".join([*rows[:one], *rows[one + rng.randrange(2) :], *rows[two : two + 1]])
            case _:
                other = rng.choice(others)
                content = content[:here] + other[rng.randrange(len(other)) :]
    return content


def check(corpus: Corpus) -> None:
    """Everything that the rest of nerc relies on; the class itself checks ids and that entities lie in the text."""
    for part in PARTS:
        for document in corpus.part(part):
            document.text.encode()
            document.id.encode()
            assert document.id and isinstance(document.id, str)
            for e in document.entities:
                assert e.label.encode() and 0 <= e.start < e.end <= len(document.text)
                assert e.text == document.text[e.start : e.end]
                assert e.fragments[0][0] == e.start and e.fragments[-1][1] == e.end
                assert all(a < b for a, b in e.fragments)
                assert all(b <= a for (_, b), (a, _) in zip(e.fragments, e.fragments[1:], strict=False))
    assert corpus.fingerprint and all("\n" not in remark for remark in corpus.remarks)


def test_every_reader_has_a_sample() -> None:
    lacking = [name for name in readers() if name not in SAMPLES]
    assert not lacking, f"no sample for reader {lacking[0]}"
    assert {kind.partition("_")[0] for kind in SAMPLES} <= {name.partition("_")[0] for name in readers()}


@pytest.mark.parametrize("kind", SAMPLES)
def test_damaged_files(tmp_path: Path, kind: str) -> None:
    reader = kind if kind in readers() else kind.partition("_")[0]
    build = import_module(f"experiments.corpora.{reader}").build
    files = SAMPLES[kind]()
    rng = random.Random(kind)
    others = [content for name, make in SAMPLES.items() if name not in FEWER for content in make().values()]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    where = tmp_path if reader != "hf" else str(tmp_path)
    whole = build(path=where, data=tmp_path)
    check(whole)
    assert len([e for _, d in whole.parts() for e in d.entities]) > 1, "a sample has entities"
    count, read = max(30, round(WHOLE * FEWER.get(kind, 1))), 0
    order = sorted(rng.choice(list(files)) for _ in range(count))
    for number, broken in enumerate(order):
        for name in {*order[max(number - 1, 0) : number]} - {broken}:
            (tmp_path / name).write_bytes(files[name])
        (tmp_path / broken).write_bytes(damaged(files[broken], others, rng))
        try:
            with soon():
                check(build(path=where, data=tmp_path))
            read += 1
        except ReadError as error:
            assert "\n" not in str(error) and len(str(error)) <= LONGEST, (kind, number)
        except Exception as error:
            raise AssertionError(f"copy {number} of {kind}, in {broken}: {type(error).__name__}") from error
    assert 0 < read < count, "some damage is harmless, and some is found"
