"""A test that was broken off between the beginning and the end of a run takes no other test with it."""

from pathlib import Path

from tests import warm


def test_what_is_said_of_a_run_that_nobody_waited_for_is_not_taken_for_the_next(tmp_path: Path) -> None:
    warm.shared().begin("list", "zz", cwd=tmp_path)
    ran = warm.shared().run("list", "retrievers", cwd=tmp_path)
    assert (ran.code, ran.stdout) == (0, "flat\nnone\nwalk\n")
    assert warm.shared().run("list", "zz", cwd=tmp_path).code == 2
