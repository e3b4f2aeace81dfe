"""Lookup baselines: the mentions of labelled text, the knowledge base, both, and the mentions of the nearest texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from kb.names.filter import Filter
from kb.names.index import NameIndex
from kb.names.tokens import normalise
from kb.pruning import Matches, misleading
from ner_programs.alignment.align import align
from ner_programs.components import resolve
from ner_programs.demos import Demonstration, Pool
from ner_programs.tagger.features import hints
from ner_programs.types import Entity, Label, Mention

Answer = Callable[
    ..., list[Entity]
]  # entities of a text; `exclude` are documents and groups whose knowledge is not used
Without = Callable[[frozenset[str]], Answer]  # builds a baseline without some names (normal forms)
MIN_PRECISION = 0.4  # tuned on NCBI dev, as is CREDIT; from .3 to .5 F1 differs by less than .005
CREDIT = 1
FOLDS = 10
NEAREST = 16  # as in the paper; on NCBI dev 5 gives .600, 16 and 32 give .673


def gazetteer(pool: Pool) -> Answer:
    """Longest match of the pool's mentions, without names that are mostly wrong on the pool itself."""
    return _pruned(pool, _lexicon)


def dictionary(lines: Callable[..., str], labels: Sequence[str]) -> Answer:
    """The names in the knowledge lines of a text, with the labels of these lines."""
    known = [Label(name) for name in labels]

    def answer(text: str, exclude: Collection[str] = ()) -> list[Entity]:
        found = hints(text, lines(text, exclude=exclude), known)
        return [Entity.of(text, h.start, h.end, h.label) for h in found if h.label]

    return answer


def both(pool: Pool, named: Answer) -> Answer:
    """The union of the pool's mentions and a dictionary. Of overlapping mentions the longest wins, of equals the pool's.

    Names that are mostly wrong on the pool are left out, from both sources. For a text of the pool, `named` is evaluated
    without names from the text's own document.
    """

    def made(units: Sequence[Demonstration]) -> Without:
        lexicon = _lexicon(units)

        def without(wrong: frozenset[str]) -> Answer:
            mentioned = lexicon(wrong)

            def answer(text: str, exclude: Collection[str] = ()) -> list[Entity]:
                return _united(
                    mentioned(text), (e for e in named(text, exclude=exclude) if normalise(e.text) not in wrong)
                )

            return answer

        return without

    return _pruned(pool, made)


def copy(pool: Pool, k: int = NEAREST) -> Answer:
    """The mentions of the k nearest texts of the pool by TF-IDF, wherever they occur in the text, longest first.

    It measures how much nearest demonstrations help by mere copying. Strings are aligned as those in a model's answer. If a
    string has two labels, the label of the nearer text counts.
    """
    nearest = resolve("ner_programs.demos", {"name": "tfidf", "k": k}, pool=pool)

    def answer(text: str) -> list[Entity]:
        mentions = [Mention(m.text, m.label) for d in reversed(nearest(text)) for m in d.mentions]
        return list(align(text, mentions))

    return answer


def _pruned(pool: Sequence[Demonstration], made: Callable[[Sequence[Demonstration]], Without]) -> Answer:
    """Make a baseline from all of the pool, without names whose precision on the pool is below `MIN_PRECISION`.

    Precision is cross-fitted: each of `FOLDS` parts is searched for the names of the other parts, because a name is always
    right where it comes from. A name that is annotated in only one part can then be wrong but never right. So every name has
    `CREDIT`: one wrong match does not drop it, two do, and a name that is found nowhere else stays. Parts are contiguous
    groups in the order of the pool, so that the sentences of an abstract mostly stay together in a corpus that does not mark
    abstracts.
    """
    wrong = misleading(_cross_fitted(pool, made), least=MIN_PRECISION, credit=CREDIT)
    return made(pool)(wrong)


def _cross_fitted(pool: Sequence[Demonstration], made: Callable[[Sequence[Demonstration]], Without]) -> Matches:
    place = {group: n for n, group in enumerate(dict.fromkeys(d.group for d in pool))}
    fold = {group: n * FOLDS // len(place) for group, n in place.items()}
    for number in sorted(set(fold.values())):
        answer = made([d for d in pool if fold[d.group] != number])(frozenset())
        for d in pool:
            if fold[d.group] == number:
                found = [(e.text, (e.start, e.end, e.label)) for e in answer(d.text, exclude=(d.document, d.group))]
                yield found, set(d.spans)


def _lexicon(units: Sequence[Demonstration]) -> Without:
    """Longest match of the units' mentions, each with the most frequent label of its normal form."""
    labelled: dict[str, Counter[str]] = {}
    names = dict.fromkeys(m.text for d in units for m in d.mentions)
    for d in units:
        for m in d.mentions:
            labelled.setdefault(normalise(m.text), Counter())[m.label] += 1
    label = {name: labels.most_common(1)[0][0] for name, labels in labelled.items()}

    def without(wrong: frozenset[str]) -> Answer:
        kept = [(normal, name, True) for name in names if (normal := normalise(name)) and normal not in wrong]
        index = NameIndex.of(kept, Filter())

        def answer(text: str, exclude: Collection[str] = ()) -> list[Entity]:
            return [Entity.of(text, m.start, m.end, label[m.concepts[0]]) for m in index.find(text)]

        return answer

    return without


def _united(first: Iterable[Entity], second: Iterable[Entity]) -> list[Entity]:
    """Return non-overlapping entities, the longest first; of equal length those of `first`, then the leftmost."""
    chosen: list[Entity] = []
    for entity in sorted(
        [*first, *second], key=lambda e: e.start - e.end
    ):  # the sort is stable: `first` stays in front
        if all(entity.end <= other.start or other.end <= entity.start for other in chosen):
            chosen.append(entity)
    return sorted(chosen)
