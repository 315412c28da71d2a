"""The report's page in a browser: its figures are there, nothing goes wrong, and it fits narrow and wide screens."""

from importlib.util import find_spec

import pytest
from browsers import NEEDS_CHROMIUM, set_width
from made_archives import TASK, archive, study
from processes import WAIT

import study as program

WIDTHS = (400, 1600)
PAPERS = "Foraging-2s-8x8-2p-2f-coop-v2"

pytestmark = [
    *NEEDS_CHROMIUM,
    pytest.mark.skipif(find_spec("rliable") is None, reason="no rliable: pip install -r requirements-report.txt"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    study(root, seeds=2, tasks=(TASK, PAPERS))
    failed = {"status": "FAILED", "fail_trace": ["x" * 300]}
    archive(root, "mmsa", 3, 3, t_max=100_000, checkpoint_path="a/long/path/without/any/space" * 4)
    archive(root, "vdn", 1, 1, t_max=100_000, values=(0.0, 0.5), status=failed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("comparison.aggregates.RESAMPLES", 50)
        patch.setattr("comparison.report.write_chart", lambda chart, folder: [])
        assert program.main(["report", str(root), "--out", str(root / "report"), "--smooth", "2"]) == 0
    return root / "report" / "index.html"


def opened(browser, page, width):
    from selenium.webdriver.support.wait import WebDriverWait

    set_width(browser, width)
    browser.get(page.as_uri())
    WebDriverWait(browser, WAIT).until(lambda driver: all(wider <= 1 for _, wider in places(driver)))
    return browser


def places(browser):
    """Where every plot ends on the right, and how much wider its picture is than itself, in pixels."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(plot => [plot.getBoundingClientRect().right,"
        " plot.querySelector('.main-svg').getBoundingClientRect().width - plot.clientWidth])"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_plot_is_drawn_and_nothing_goes_wrong(browser, page, width):
    opened(browser, page, width)
    drawn = browser.execute_script(
        "const count = (plot, what) => plot.querySelectorAll(what).length;"
        "return [...document.querySelectorAll('.plot')].map(plot => [count(plot, '.scatterlayer .trace'),"
        " plot.querySelector('.xtitle').textContent, count(plot, '.ytitle') + count(plot, '.ytick')])"
    )
    assert len(drawn) == 2 * (3 + 3) + 4  # curves and scores of two tasks, four of both together
    assert [plot for plot in drawn if plot[0] < 1 or not plot[1] or plot[2] < 1] == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_screen(browser, page, width):
    opened(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert all(right <= width for right, _ in places(browser))
    titles = browser.execute_script(
        "return [...document.querySelectorAll('.xtitle, .ytitle, .gtitle, .legendtext, .ytick text')].map(text => {"
        " const box = text.getBoundingClientRect(), plot = text.closest('.main-svg').getBoundingClientRect();"
        " return [text.textContent, box.left - plot.left, plot.right - box.right]})"
    )
    assert titles and [text for text, left, right in titles if left < -1 or right < -1] == []


def test_a_wide_screen_shows_plots_side_by_side(browser, page):
    tops = {}
    for width in WIDTHS:
        opened(browser, page, width)
        tops[width] = browser.execute_script(
            "const plots = document.querySelector('figure').querySelectorAll('.plot');"
            "return [...plots].map(plot => plot.getBoundingClientRect().top)"
        )
    assert len(set(tops[1600])) == 1 and len(set(tops[400])) == 3


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    root = tmp_path_factory.mktemp("crowd")
    for place in range(9):
        archive(root, f"m{place}", 1, 1, values=(0.0, place / 10, place / 10), learner="q_learner")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("comparison.aggregates.RESAMPLES", 20)
        patch.setattr("comparison.report.write_chart", lambda chart, folder: [])
        assert program.main(["report", str(root), "--out", str(root / "report")]) == 0
    return root / "report" / "index.html"


def test_a_click_on_a_name_puts_a_line_forward_in_every_picture_and_back(browser, crowd):
    opened(browser, crowd, 1600)
    grey = (
        "return [...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.data.filter(trace =>"
        " trace.meta && trace.meta.name === 'm0' && trace.mode === 'lines' && trace.meta.is !== 'band')"
        ".map(trace => trace.meta.grey && trace.line.color === BACK.colour)).flat()"
    )
    click = (
        "const plot = document.querySelector('.js-plotly-plot');"
        "const place = plot.data.findIndex(trace => trace.meta.%s && trace.showlegend !== false);"
        "plot.emit('plotly_legendclick', {curveNumber: place})"
    )
    assert len(browser.execute_script(grey)) > 3 and all(browser.execute_script(grey))
    for name, after in (("name === 'm0'", False), ("name === 'm0'", True), ("is === 'heading'", False)):
        browser.execute_script(click % name)
        assert set(browser.execute_script(grey)) == {after}, name
    assert browser.get_log("browser") == []
