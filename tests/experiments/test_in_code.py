"""What `nerc run` and `nerc compare` do, in code: from the same spec to the same figures."""

import contextlib
import os
from typing import Any
from unittest.mock import patch

import pytest

import experiments
from experiments.errors import SpecError
from experiments.spec import load
from tests.experiments.conftest import Place


def test_a_run_in_code_is_the_run_of_the_command_line(place: Place, public: Any) -> None:
    with patch.dict(os.environ, place.environment), contextlib.chdir(place.root):
        result = experiments.run("open.toml")
        again = experiments.run(load(place.root / "open.toml"), home=place.home)
        compared = experiments.compare(result, again.run_id, part="test")
        by_name = experiments.compare(public["run_id"])
    assert result.as_dict()["test"]["micro_f1"] == public["test"]["micro_f1"]
    assert [row.run_id for row in compared.rows] == [result.run_id, again.run_id] and compared.part == "test"
    difference = compared.rows[1].against_first
    assert difference is not None and difference.delta == 0
    assert [row.run_id for row in by_name.rows] == [public["run_id"]]


def test_what_is_no_run_is_said_in_one_line(place: Place) -> None:
    with patch.dict(os.environ, place.environment), contextlib.chdir(place.root):
        with pytest.raises(SpecError, match="neither a spec nor the name of a corpus"):
            experiments.run("nothing")
        with pytest.raises(SpecError, match="not to a RunSpec"):
            experiments.run(load(place.root / "open.toml"), changes=["seed=2"])
        for runs, options in (((), {}), (("a",), {"experiment": "b"}), (("a",), {"part": "train"})):
            with pytest.raises(SpecError, match=r"either runs or|it is dev or test"):
                experiments.compare(*runs, **options)  # type: ignore[arg-type]
