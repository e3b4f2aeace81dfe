"""Prints the URLs of the saved views, before `make ui` starts MLflow's server.

python -m experiments.commands.links
"""

from __future__ import annotations

from experiments import places
from experiments.commands.console import err
from experiments.runs.views import links
from experiments.tracking import open_store


def main() -> None:
    """Print the URLs of the views."""
    places.prepare_environment()
    home = places.home()
    lines = [": ".join((f"{e}, {view}", url)) for e, view, url in links(open_store(home), "http://127.0.0.1:5000")]
    for line in lines or [f"there are no runs in {home} yet; make some with `make demo` or `nerc run`"]:
        err.print(line, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
