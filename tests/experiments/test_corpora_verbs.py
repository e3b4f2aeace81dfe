"""`nerc corpora`: the statistics on a corpus that can be counted by hand, and fetching from a server that misbehaves."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from experiments.corpora import fetch
from experiments.corpora.corpus import Corpus, held_out
from experiments.corpora.statistics import leakage, overlap, statistics
from experiments.errors import ReadError
from ner_programs.privacy import PUBLIC
from ner_programs.types import Document, Entity
from tests.experiments.conftest import Place

LONG = "the warden gave Zorvexan to all of them"  # eight tokens
SHORT = "no omen today"


def row(id: str, text: str, *spans: tuple[int, int, str], group: str = "") -> Document:
    return Document(id, text, tuple(Entity.of(text, *span) for span in spans), group)


def sentences(**changes: Any) -> Corpus:
    """Rows that are sentences, as a reader of IOB2 gives them."""
    train = (
        row("a", LONG, (16, 24, "potion"), group="one"),
        row("b", LONG, (16, 24, "omen"), group="one"),
        row("c", SHORT, (3, 7, "omen"), group="two"),
    )
    dev = (row("d", SHORT, group="three"), row("e", "a pale hum rose", (0, 10, "omen"), (2, 6, "omen"), group="three"))
    test = (row("f", LONG, (16, 24, "potion"), group="four"), row("g", "ZORVEXAN !", (0, 8, "potion"), group="five"))
    options = {"unit": "document", "privacy": PUBLIC, "licence": "free", "citation": "us", **changes}
    return Corpus("ward", train, dev, held_out(test), **options)


def test_statistics_of_sentences_counted_by_hand() -> None:
    said = statistics(sentences())
    assert (said["name"], said["licence"], said["citation"], said["private"]) == ("ward", "free", "us", False)
    assert said["rows"] == "sentences"
    train, dev, test = (said["splits"][part] for part in ("train", "dev", "test"))
    sizes = [[s[key] for key in ("documents", "sentences", "tokens", "mentions")] for s in (train, dev, test)]
    assert sizes == [[2, 3, 19, 3], [1, 2, 7, 2], [2, 2, 10, 2]]
    assert train["labels"] == {"omen": 2, "potion": 1} and test["labels"] == {"potion": 2}
    assert train["duplicates"] == 1 and train["conflicting"] == 1 and dev["duplicates"] == 0
    assert dev["words"] == {"mean": 2.0, "1": 1, "2": 0, "3": 1, "4": 0, "5+": 0}
    assert (dev["overlapping"], dev["overlapping_share"], dev["not_flat"], dev["discontinuous"]) == (2, 1.0, 1, 0)
    assert said["overlap"] == {
        "train/dev": {"mentions": 2, "seen": 0, "unseen": 2, "unseen_share": 1.0},
        "train/test": {"mentions": 2, "seen": 2, "unseen": 0, "unseen_share": 0.0},
    }
    assert said["leakage"] == {
        "train/dev": {"rows": 2, "identical": 1, "identical_long": 0, "other_labels": 1},
        "train/test": {"rows": 2, "identical": 1, "identical_long": 1, "other_labels": 0},
        "dev/test": {"rows": 2, "identical": 0, "identical_long": 0, "other_labels": 0},
    }
    assert said["remarks"] == ["train rows that a run leaves out, for they stand in dev or test too: 3"]


def test_documents_that_are_not_known_are_said_to_be_so() -> None:
    said = statistics(sentences(resampling="sentence", remarks=("seen",)))
    assert said["remarks"][:2] == ["seen", "documents are not known: each sentence counts as one"]


def test_notes_are_cut_into_sentences_and_empty_parts_are_left_out() -> None:
    text = "He felt weak. He slept.\nThen he woke."
    pieces = Entity.of(text, 3, 12, "omen", fragments=((3, 7), (8, 12)))
    said = statistics(Corpus("notes", (Document("a", text, (pieces,)),), unit="sentence"))
    assert list(said["splits"]) == ["train"] and said["overlap"] == {} == said["leakage"]
    assert (said["rows"], said["private"]) == ("documents", True)
    counts = said["splits"]["train"]
    assert [counts[key] for key in ("documents", "sentences", "discontinuous", "not_flat")] == [1, 3, 1, 1]
    assert statistics(Corpus("notes", (Document("a", text),)))["splits"]["train"]["words"]["mean"] is None


def test_discontinuous_mentions_overlap_only_where_their_pieces_do() -> None:
    text = "left and right arm"
    left = Entity.of(text, 0, 18, "x", fragments=((0, 4), (15, 18)))
    inside, right = Entity.of(text, 5, 8, "x"), Entity.of(text, 9, 18, "x")

    def overlapping(*entities: Entity) -> int:
        corpus = Corpus("c", (Document("a", text, entities),))
        found: int = statistics(corpus)["splits"]["train"]["overlapping"]
        return found

    assert (overlapping(left, inside), overlapping(left, inside, right)) == (0, 2)


def test_overlap_and_leakage_of_two_corpora() -> None:
    one, other = sentences().train, sentences().test
    assert overlap(other, one)["seen"] == 2
    assert leakage(other, one) == {"rows": 3, "identical": 2, "identical_long": 2, "other_labels": 1}


def test_show_a_spec_and_a_name(bare: Place) -> None:
    said = bare.nerc("corpora", "show", "open.toml", "--json")
    assert said.code == 0 and "mentions unseen in train" in said.err
    assert said.json["name"] == "notes" and not said.json["private"]
    assert sum(split["documents"] for split in said.json["splits"].values()) == 20
    changed = bare.made("corpora", "show", "open.toml", "--set", "corpus.split.test=0")
    assert list(changed["splits"]) == ["train", "dev"]
    assert bare.made("corpora", "show", "wardnotes")["splits"]["train"]["labels"].keys() == {
        "problem", "treatment", "test",
    }  # fmt: skip


def test_nothing_of_a_private_text_is_shown(bare: Place) -> None:
    said = bare.nerc("corpora", "show", "ward.toml", "--json")
    assert said.code == 0 and said.json["private"]
    shown = (said.out + said.err).lower()
    assert "zorvexan" not in shown and "ferry" not in shown and "v01" not in shown


def test_what_cannot_be_shown_or_fetched(bare: Place) -> None:
    assert "neither a spec (a .toml file) nor a corpus; there are: anatem, " in bare.nerc("corpora", "show", "zz").error
    assert "zz.toml: cannot be read" in bare.nerc("corpora", "show", "zz.toml").error
    assert "brat needs the option 'path'" in bare.nerc("corpora", "show", "brat").error
    assert "`nerc corpora get bc2gm` brings it there" in bare.nerc("corpora", "show", "bc2gm").error
    assert "needs a data use agreement: ask" in bare.nerc("corpora", "get", "i2b2_2010").error
    assert "no public corpus that can be fetched; these can be: anatem, " in bare.nerc("corpora", "get", "brat").error
    assert "has no 'zz'; it has: anatem, " in bare.nerc("corpora", "get", "zz").error
    assert not (bare.root / "data").exists()


FILES = {"train.tsv": b"Zorvexan\tB-potion\n\n" * 5000, "dev.tsv": b"hum\tB-omen\n\n", "test.tsv": b"a\tO\n\n"}


class Public:
    """A server of files; `broken` says what it does instead for a path that ends so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken: dict[str, str] = {}
        public = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                public.asked.append(self.path)
                name = self.path.rpartition("/")[2]
                fault, body = public.broken.get(name, ""), FILES[name]
                if fault.isdigit():
                    self.send_error(int(fault))
                    return
                sent = {"cut": body[: len(body) // 2], "other": body.replace(b"B", b"I"), "long": body + b"!"}.get(
                    fault, body
                )
                self.send_response(200)
                if fault != "cut, no length":
                    self.send_header("content-length", str(len(body if fault == "cut" else sent)))
                self.end_headers()
                self.wfile.write(sent[:10] if fault == "cut, no length" else sent)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/mirror/"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Public]:
    """The server, with pins of its three files as those of bc2gm."""
    server = Public()
    pins = tuple(
        fetch.Pin(
            f"bc2gm/iob/{name}", f"some/repository/c0ffee/a%20folder/{name}", hashlib.sha256(body).hexdigest(),
            len(body),
        )
        for name, body in FILES.items()
    )  # fmt: skip
    monkeypatch.setattr(fetch, "_sources", lambda: ((("bc2gm",), pins),))
    monkeypatch.setenv("NERC_CORPORA_URL", server.url)
    yield server
    server.close()


def there(place: Place) -> dict[str, bytes]:
    """The files and folders below the data directory."""
    return {
        str(path.relative_to(place.root / "data")): path.read_bytes() if path.is_file() else b""
        for path in (place.root / "data").rglob("*")
    }


FETCHED = {"corpora": b"", "corpora/bc2gm": b"", "corpora/bc2gm/iob": b""}
FETCHED |= {f"corpora/bc2gm/iob/{name}": body for name, body in FILES.items()}


def test_get_brings_files_once_and_says_the_licence_first(bare: Place, public: Public) -> None:
    said = bare.nerc("corpora", "get", "bc2gm", "--json")
    folder = bare.root / "data" / "corpora" / "bc2gm"
    size = sum(map(len, FILES.values()))
    assert said.json == {"name": "bc2gm", "folder": str(folder), "fetched": 3, "kept": 0, "bytes": size}
    assert said.err.startswith("bc2gm: Free for research")
    assert there(bare) == FETCHED
    assert public.asked[0] == "/mirror/some/repository/c0ffee/a%20folder/train.tsv"
    public.asked.clear()
    (folder / "iob" / "dev.tsv").unlink()
    assert bare.made("corpora", "get", "bc2gm") == {
        "name": "bc2gm", "folder": str(folder), "fetched": 1, "kept": 2, "bytes": len(FILES["dev.tsv"])
    }  # fmt: skip
    assert len(public.asked) == 1 and there(bare) == FETCHED


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("404", "the host answered 404 "), ("500", "the host answered 500 "), ("cut", "cut short"),
        ("cut, no length", "cut short (10 of "), ("other", "not the file that is pinned: its SHA-256 is another one"),
        ("long", "not the file that is pinned"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", ["train.tsv", "dev.tsv"])
def test_get_from_a_server_that_misbehaves(bare: Place, public: Public, fault: str, complaint: str, file: str) -> None:
    public.broken[file] = fault
    said = bare.nerc("corpora", "get", "bc2gm", "--json")
    assert (said.code, said.out) == (2, "")
    assert said.err.count("nerc: ") == 1 and said.err.rstrip().splitlines()[-1].startswith(f"nerc: {public.url}")
    assert complaint in said.err and file in said.err and "Traceback" not in said.err
    kept = {} if file == "train.tsv" else {k: v for k, v in FETCHED.items() if "dev" not in k and "test" not in k}
    assert there(bare) == kept, "what came before stays, and nothing else"
    public.broken.clear()
    assert bare.made("corpora", "get", "bc2gm")["kept"] == (file == "dev.tsv")
    assert there(bare) == FETCHED


def test_get_without_a_network(bare: Place, public: Public) -> None:
    public.close()
    said = bare.nerc("corpora", "get", "bc2gm")
    assert said.code == 2 and "cannot be fetched (" in said.err and "try again with a network, or copy" in said.err
    assert there(bare) == {}


def test_get_from_a_mirror_that_is_no_address(bare: Place, public: Public, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NERC_CORPORA_URL", "mirror")
    said = bare.nerc("corpora", "get", "bc2gm")
    assert (
        said.code == 2 and "nerc: mirror/some/repository" in said.err and "cannot be fetched (unknown url" in said.err
    )
    assert there(bare) == {}


def test_get_leaves_another_version_alone(bare: Place, public: Public) -> None:
    file = bare.root / "data" / "corpora" / "bc2gm" / "iob" / "test.tsv"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    said = bare.nerc("corpora", "get", "bc2gm")
    assert said.code == 2 and f"{file}: another version of the file is there; it was left alone" in said.err
    assert file.read_bytes() == b"mine" and not public.asked


def test_the_pins_are_shipped_and_each_is_a_file_at_a_commit() -> None:
    assert (resources.files("experiments.corpora") / "pins.toml").is_file()
    wanted = {"anatem", "bc2gm", "bc5cdr", "bc5cdr_chemical", "bc5cdr_disease", "bionlp13cg", "linnaeus", "maccrobat"}
    assert set(fetch.names()) == wanted | {"ncbi_disease", "wnut17"}
    for name in fetch.names():
        pins = fetch.pins(name)
        assert len({pin.path for pin in pins}) == len(pins) >= 3
        for pin in pins:
            repository, project, commit, *path = pin.address.split("/")
            assert repository and project and path and pin.size > 0
            assert len(commit) == 40 and len(pin.sha256) == 64 and int(commit, 16) and int(pin.sha256, 16)
            assert ".." not in pin.path and not Path(pin.path).is_absolute()


def test_the_statistics_are_json() -> None:
    assert json.loads(json.dumps(statistics(sentences()))) == statistics(sentences())


def test_pins_of_nothing_fetch_nothing(tmp_path: Path) -> None:
    assert fetch.pins("wardnotes") == () and fetch.missing((), tmp_path) == ()
    with pytest.raises(ReadError, match="another version"):
        (tmp_path / "corpora" / "x").mkdir(parents=True)
        fetch.missing((fetch.Pin("x", "a", "0" * 64, 1),), tmp_path)
