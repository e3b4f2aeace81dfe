"""WNUT17 (Derczynski 2017): rare and emerging names in social media. It is not medical, so it is a control corpus."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora import conll
from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published
from ner_programs.types import Label

ABOUT = Published(
    "wnut17",
    "wnut17",
    (
        Label("corporation", "A company or other business, not its products."),
        Label("creative-work", "A song, film, book, show, game or the like, by its title."),
        Label("group", "A band, team, organisation without profit, or other named group of people."),
        Label("location", "A place, country, facility or other named point on the map."),
        Label("person", "A person, real or fictional, by name or account name."),
        Label("product", "A thing that can be bought or used, by its name, software included; no creative work."),
    ),
    licence="CC BY 4.0",
    citation="Derczynski, Nichols, van Erp, Limsopatham 2017: Results of the WNUT2017 shared task on novel and emerging "
    "entity recognition. Proceedings of W-NUT 2017",
    sizes={"train": (3394, 1975), "dev": (1009, 836), "test": (1287, 1079)},
)


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/wnut17` of the data directory, or the folder `path`."""
    folder = ABOUT.found(path, data, ABOUT.folder)
    return ABOUT.known(conll.build(path=folder, data=data, scheme="iob2"), folder)
