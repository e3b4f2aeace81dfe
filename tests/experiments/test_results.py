"""What `make results` compares."""

from benchmarks.results import VARIANTS
from experiments.spec import load
from tests.experiments.conftest import Place


def test_random_demonstrations_are_drawn_with_three_seeds(place: Place) -> None:
    drawn = [
        load(place.root / "open.toml", changes).program.demos
        for name, changes in VARIANTS.items()
        if name.startswith("random")
    ]
    assert [demos and (demos["name"], demos["seed"]) for demos in drawn] == [("random", seed) for seed in (1, 2, 3)]
