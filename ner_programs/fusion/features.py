"""The features of a fusion's stack for each token: the experts' tags, the reader's probabilities, hints and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ner_programs.tagger.features import Encoded, covered
from ner_programs.tagger.linear_chain import Floats
from ner_programs.types import Entity

Row = dict[str, float]
RELIANCE = 3.0
"""The feature value of a certain tag of the reader. The penalty is on weights, so a higher value needs fewer lessons to rely on
the reader. Chosen among 1, 3, 6, 9.3 with a small LM's answers and perturbed oracles on NCBI-disease dev and wardnotes, 20 to
100 lessons, pools of 50, 200 and all: with 20 lessons, a reader's F1 of .83 becomes .69 with value 1, and .82 with value 3.
Trap: CRFsuite drops features whose sum is negative, so values must not be negative.
"""
_LEAST = 1e-4


def experts(
    tokens: Encoded,
    each: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[Entity]],
    likely: Floats,
    *,
    whole: bool,
) -> list[Row]:
    """Return the features of each token.

    They come from the tags of `each` expert, the experts' scored entities (`predicted`), and the reader's probabilities
    (`likely`). Without `whole`, words, hints and neighbours are left out.
    """
    scores = [_scores(tokens, one) for one in predicted]
    tags = vote(each)
    rows = _features(tokens, tags, _mean_scores(tags, each, scores), likely, whole)
    if len(each) > 1:
        _add_experts(rows, each, scores)
    return rows


def add_moved(rows: Sequence[Row], each: Sequence[Sequence[str]]) -> None:
    """Add the tags of the same entities with corrected boundaries."""
    best = vote(each)
    for row, here, before, after in zip(rows, best, ["", *best], [*best[1:], ""], strict=False):
        row |= {f"b={here}": 1.0, f"b-={before}{here}": 1.0, f"b+={here}{after}": 1.0}


def _scores(tokens: Encoded, entities: Iterable[Entity]) -> list[float | None]:
    scores: list[float | None] = [None] * len(tokens.offsets)
    for entity in entities:
        for i in covered(tokens.offsets, entity.start, entity.end):
            scores[i] = entity.score
    return scores


def vote(each: Sequence[Sequence[str]]) -> list[str]:
    """Return the majority tag of each token; ties go to a tag other than O, then to the first."""
    if len(each) == 1:
        return list(each[0])
    return [max(tags, key=lambda tag: (tags.count(tag), tag != "O")) for tags in zip(*each, strict=True)]


def _mean_scores(
    tags: Sequence[str], each: Sequence[Sequence[str]], scores: Sequence[Sequence[float | None]]
) -> list[float | None]:
    """Return for each token the mean score of the experts that give it its tag."""
    if len(each) == 1:
        return list(scores[0])
    found: list[float | None] = []
    for i, tag in enumerate(tags):
        known = [s for one, own in zip(each, scores, strict=True) if one[i] == tag and (s := own[i]) is not None]
        found.append(sum(known) / len(known) if known else None)
    return found


def _add_experts(rows: Sequence[Row], each: Sequence[Sequence[str]], scores: Sequence[Sequence[float | None]]) -> None:
    """Add to the features of each token the tags of each of several experts, and their votes."""
    for i, row in enumerate(rows):
        for n, (tags, own) in enumerate(zip(each, scores, strict=True)):
            row |= {f"{n}lm={tags[i]}": 1.0, f"{n}lm-={tags[i - 1] if i else ''}{tags[i]}": 1.0}
            if (score := own[i]) is not None and tags[i] != "O":
                row[f"{n}lms={tags[i]}"] = score
        for tag, votes in Counter(tags[i] for tags in each).items():
            row |= {f"n={tag}{votes}": 1.0, f"ns={tag}": votes / len(each)}


def _features(
    tokens: Encoded, tags: Sequence[str], scores: Sequence[float | None], likely: Floats, whole: bool
) -> list[Row]:
    """Return the features of each token: the given tag with its score, the reader's probabilities, hints and words."""
    names = ["O", *(f"{part}{n}" for n in range(likely.shape[1] // 2) for part in "BI")]
    best = ["", *(names[k] for k in likely.argmax(axis=1)), ""]
    probable = [f"p={name}" for name in names]
    logs = (RELIANCE * np.clip(1 - np.log(likely + _LEAST) / np.log(_LEAST), 0, 1)).tolist()
    around, outside = ["", *tags, ""], (likely[:, 0] * 5.99).astype(int).tolist()
    rows = []
    for i, tag in enumerate(tags):
        row: Row = {"1": 1.0, f"lm={tag}": 1.0}
        row.update(zip(probable, logs[i], strict=True))
        if (score := scores[i]) is not None and tag != "O":
            row[f"lms={tag}"] = score
        if whole:
            own = tokens.rows[i]
            here, before, after = (tag, best[i + 1]), (around[i], best[i]), (around[i + 2], best[i + 2])
            row[f"lm-={before[0]}"] = row[f"lm+={after[0]}"] = row[f"lmc={here}"] = 1.0
            row[f"lmc+={here}{after}"] = row[f"lmc-={before}{here}"] = row[f"o={tag}{outside[i]}"] = 1.0
            row.update(dict.fromkeys(own, 1.0))
            for name in own:
                if name[0] == "h" and name.startswith(("h=", "hl=")):
                    row[f"{name}|{tag}"] = 1.0
        rows.append(row)
    return rows
