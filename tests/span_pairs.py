"""Another task than NER, whole: pairs of spans with a label ("aspirin" treats "fever"), and the format of their answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dspy

from ner_programs import Counts, Document, Label, ProgramSpec
from ner_programs.demos import Demonstration
from ner_programs.formats.base import Reading
from ner_programs.found import Found
from ner_programs.task import Aligned
from ner_programs.units import Unit


class Pair(NamedTuple):
    """As an item head and tail are strings, as an annotation they are spans."""

    head: Any
    label: str
    tail: Any


@dataclass(frozen=True, slots=True)
class PairedText(Document):
    pairs: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class PairedUnit(Demonstration):
    pairs: tuple[Pair, ...] = ()


class FindPairs(dspy.Signature):
    """Find every two spans of the text that are related."""

    knowledge: str = dspy.InputField()
    text: str = dspy.InputField()
    related: list[dict[str, Any]] = dspy.OutputField()


class SpanPairs:
    signature, field = FindPairs, "pairs"

    def as_fields(self, item: Pair) -> dict[str, Any]:
        return item._asdict()

    def as_item(self, fields: Mapping[str, Any]) -> Pair:
        return Pair(fields["head"], fields["label"], fields["tail"])

    def demonstrations(self, document: PairedText, unit: str, window: int) -> Iterator[PairedUnit]:
        yield PairedUnit(document.id, document.id, document.group, document.text, pairs=document.pairs)

    def items(self, unit: PairedUnit) -> list[Pair]:
        return [Pair(unit.text[slice(*p.head)], p.label, unit.text[slice(*p.tail)]) for p in unit.pairs]

    def aligned(self, text: str, items: Iterable[Pair], spec: ProgramSpec) -> Aligned:
        spans = [(Pair(text.find(i.head), i.label, text.find(i.tail)), i) for i in dict.fromkeys(items)]
        there = [
            Pair((a, a + len(i.head)), label, (b, b + len(i.tail))) for (a, label, b), i in spans if min(a, b) >= 0
        ]
        return Aligned(tuple(there), tuple(i for (a, _, b), i in spans if min(a, b) < 0))

    def moved(self, unit: Aligned, by: int, stages: tuple[str, ...]) -> Aligned:
        moved = (Pair((a + by, b + by), label, (c + by, d + by)) for (a, b), label, (c, d) in unit.annotations)
        return Aligned(tuple(moved), unit.lost)

    def merged(self, units: Sequence[Unit], found: Sequence[Sequence[Pair]]) -> Iterable[Pair]:
        return {pair for one in found for pair in one}

    def found(self, text: str, annotations: tuple[Pair, ...], **ended: Any) -> Found:
        return Found(pairs=annotations, **ended)

    def count(self, gold: Iterable[Pair], predicted: Iterable[Pair], unanswered: int = 0) -> Counts:
        wanted, found = set(gold), set(predicted)
        return Counts(len(wanted & found), len(found), len(wanted), len(wanted & found), unanswered)


class PairSpec(ProgramSpec):
    @property
    def task(self) -> SpanPairs:
        return SpanPairs()


class Lines:
    """A line for each pair: head | label | tail."""

    def describe(self) -> str:
        return "Write a line for each pair: head | label | tail"

    def write(self, text: str, pairs: Sequence[Pair]) -> str:
        return "\n".join(map(" | ".join, pairs)) or "none"

    def read(self, answer: str) -> Reading[Pair]:
        lines = [line.split(" | ") for line in answer.splitlines() if line != "none"]
        return Reading([Pair(*parts) for parts in lines if len(parts) == 3], sum(len(parts) != 3 for parts in lines))

    def schema(self) -> None:
        return None


def build(*, labels: Sequence[Label]) -> Lines:
    return Lines()
