"""Runs of different sizes, and pages read the way a browser reads them."""

from __future__ import annotations

import pytest

from .reading import Page
from .synthetic import grokking, meta


@pytest.fixture(scope="session")
def run():
    """Nine members: three weight decays, three seeds; one diverged, most censored."""
    return grokking()


@pytest.fixture(scope="session")
def crowd():
    """Thirty members in three arms, enough for medians."""
    return grokking(seeds=10, weight_decays=(0.3, 1.0, 3.0))


@pytest.fixture(scope="session")
def written(run, tmp_path_factory):
    """The page of the small run."""
    from afterfit.report import write_html

    observations, events = run
    return write_html(tmp_path_factory.mktemp("report"), observations=observations, events=events, meta=meta())


@pytest.fixture(scope="session")
def page(written):
    """The page of the small run, parsed."""
    return Page(written.read_text(encoding="utf-8"))
