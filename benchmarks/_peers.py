"""What other libraries find for the same names and mentions; run by `kb_linking.py` in an environment that has them.

Reads {"names": [[name, id], ...], "mentions": [...]} and writes, for each peer, its answers (at most 10 ids, best first),
distinct look-ups per CPU second and seconds to build, or why it was skipped.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Names = list[tuple[str, str]]
Find = Callable[[str], list[str]]
MEASURE = 0.5  # least jaccard similarity of simstring; .7, which QuickUMLS has, finds less


def dictionary(names: Names) -> Find:
    ids: dict[str, list[str]] = {}
    for name, id in names:
        ids.setdefault(name.lower(), []).append(id)
    return lambda mention: ids.get(mention.lower(), [])


def wratio(names: Names) -> Find:
    from rapidfuzz import fuzz, process, utils

    texts = [utils.default_process(name) for name, _ in names]

    def find(mention: str) -> list[str]:
        found = process.extract(utils.default_process(mention), texts, scorer=fuzz.WRatio, limit=30)
        return [names[place][1] for _, _, place in found]

    return find


def gilda(names: Names) -> Find:
    from gilda import Grounder, Term
    from gilda.process import normalize

    terms: dict[str, list[Any]] = {}
    seen: set[str] = set()
    for name, id in names:
        status = "synonym" if id in seen else "name"
        seen.add(id)
        term = Term(normalize(name), name, id.partition(":")[0], id, name, status, "kb")
        terms.setdefault(term.norm_text, []).append(term)
    grounder = Grounder(terms)
    return lambda mention: [match.term.id for match in grounder.ground(mention)]


def simstring(names: Names) -> Find:
    from simstring.database.dict import DictDatabase
    from simstring.feature_extractor.character_ngram import CharacterNgramFeatureExtractor
    from simstring.measure.jaccard import JaccardMeasure
    from simstring.searcher import Searcher

    database = DictDatabase(CharacterNgramFeatureExtractor(3))
    ids: dict[str, list[str]] = {}
    for name, id in names:
        if name.lower() not in ids:
            database.add(name.lower())
        ids.setdefault(name.lower(), []).append(id)
    searcher = Searcher(database, JaccardMeasure())

    def find(mention: str) -> list[str]:
        found = searcher.ranked_search(mention.lower(), MEASURE)
        return [id for _, name in sorted(found, key=lambda pair: -pair[0]) for id in ids[name]]

    return find


PEERS = {"dictionary": dictionary, "gilda": gilda, "simstring-pure": simstring, "rapidfuzz WRatio": wratio}


def main() -> None:
    asked = json.load(sys.stdin)
    names = [(name, id) for name, id in asked["names"]]
    said: dict[str, Any] = {}
    for peer, make in PEERS.items():
        began = time.process_time()
        try:
            find = make(names)
        except ImportError as error:
            said[peer] = {"skipped": f"not installed ({error})"}
            continue
        built = time.process_time()
        answers = {mention: list(dict.fromkeys(find(mention)))[:10] for mention in asked["mentions"]}
        rate = len(answers) / max(time.process_time() - built, 1e-9)
        said[peer] = {"answers": answers, "distinct_per_cpu_s": round(rate), "build_s": round(built - began, 2)}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
