"""The page about a world model in a browser: every picture is shown, nothing goes wrong, and it fits the window."""

import pytest
from browsers import NEEDS_CHROMIUM, set_width
from tiny_runs import DREAMS, play

import inspect_world_model

pytestmark = NEEDS_CHROMIUM
METHODS = {"mmsa": {}, "mabl": DREAMS}


@pytest.fixture(scope="module", params=METHODS)
def page(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("inspected")
    folder = play(request.param, "lbf", root, **METHODS[request.param] | {"t_max": "60", "test_interval": "1000"})
    words = [str(folder), "--episodes", "3", "--horizon", "4", "--out", str(root / "page")]
    assert inspect_world_model.main(words) == 0
    return root / "page" / "index.html"


@pytest.mark.parametrize("width", [400, 1280])
def test_it_shows_every_picture_and_fits(browser, page, width):
    set_width(browser, width)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    shown = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(shown) == len(list(page.parent.glob("*.png"))) and min(shown) > 100
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
