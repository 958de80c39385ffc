"""Servers of one site are measured side by side (`prove.servers`); how fast they are is asserted nowhere."""

from __future__ import annotations

import pytest

from slotbench.errors import BenchError
from slotbench.prove.servers import comparison
from slotbench.prove.servers.comparison import OURS, LoadPlan, ServerFigures, Spread, measure, ratios
from slotbench.prove.servers.contestants import CONTESTANTS, available
from slotbench.prove.servers.load import Answer
from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.samples import NOW, PRODUCT, KeyRing
from support.web_servers.debian import find_program

HEAD = f"/heads/{PRODUCT}/stable.head"
QUICK = LoadPlan(rounds=1, polls=3, downloads=2, readers=4, polls_beside=3, timeout_s=60)


@pytest.fixture
def image(site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes) -> str:
    """The path of the image of a release in the site."""
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    return f"/images/{next((site.root / 'images').iterdir()).name}"


@pytest.mark.parametrize("name", CONTESTANTS)
def test_each_server_answers_polls_and_sends_the_image(site: Store, image: str, name: str) -> None:
    if "nginx" in name:
        find_program("nginx", "nginx-light")
    assert available(name)
    (number, measured, figures), = measure(site.root, HEAD, image, [name], QUICK)
    assert (number, measured) == (0, name)
    assert figures.answered == figures.asked == QUICK.polls_beside
    assert min(figures.polls_304, figures.polls_200, figures.downloads) > 0


def test_a_wrong_answer_ends_it(site: Store, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = comparison.fetch

    def shorter(port: int, path: str, *rest: str, **more: float) -> Answer:
        answer = fetch(port, path, *rest, **more)
        return Answer(answer.status, answer.body_bytes - (path == image), answer.etag, answer.modified)

    monkeypatch.setattr(comparison, "fetch", shorter)
    with pytest.raises(BenchError, match="something else than the file"):
        list(measure(site.root, HEAD, image, [OURS], QUICK))


def test_ratios_are_taken_round_by_round() -> None:
    def figures(polls: float) -> ServerFigures:
        return ServerFigures(
            polls_304=polls, polls_200=1, downloads=1, cpu_304=1, cpu_download=0, answered=1, asked=1)

    found = {OURS: [figures(10), figures(20), figures(40)], "nginx": [figures(30), figures(40), figures(200)]}
    assert ratios(found, "polls_304") == {OURS: Spread(1, 1, 1), "nginx": Spread(3, 2, 5)}
    assert ratios(found, "cpu_download")["nginx"] == Spread(0, 0, 0)
