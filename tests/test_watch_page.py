"""The page of runs in a browser: it is drawn, follows without being loaded again, and fits narrow and wide screens."""

import shutil

import pytest
from browsers import NEEDS_CHROMIUM, set_width
from made_archives import TASK, archive, series, study, write
from PIL import Image
from processes import WAIT, running

import watch
from utils.movie import Frame, write_movie

WIDTHS = (400, 1280)
RIGHTMOST = "Math.max(...[...document.querySelectorAll('.plot')].map(plot => plot.getBoundingClientRect().right))"
HOSTILE = '<img src=x onerror="document.title=1">'

pytestmark = NEEDS_CHROMIUM
for needed in ("starlette", "uvicorn", "plotly"):
    pytest.importorskip(needed, reason=f"no {needed}: pip install -r requirements-watch.txt")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = study(tmp_path_factory.mktemp("page") / "results", algs=("mmsa", "qmix"), seeds=3)
    folder = root / "sacred" / TASK / "mmsa" / "1"
    names = ("test_return_mean", "time_env", "time_learn", "wm_hidden_error_1", "wm_hidden_error_2", "loss_kl")
    write(folder, "metrics.json", {name: series([0, 50_000, 99_000], [0.1, 0.5, 0.2], [1, 2, 3]) for name in names})
    (folder / "cout.txt").write_text(f"t_env 3: {HOSTILE}\n" + "a-long-line-without-any-space" * 30)
    pictures = [Frame(Image.new("RGB", (64, 64), colour), 4) for colour in ("red", "blue")]
    write_movie(folder / "recordings" / "t_99000", pictures, 4)
    (root / "sacred" / TASK / "broken").mkdir()
    (root / "sacred" / TASK / "broken" / "1").mkdir()
    (root / "sacred" / TASK / "broken" / "1" / "config.json").write_text('{"name": ')
    archive(root, "hostile", 1, HOSTILE, name=HOSTILE)
    return root


@pytest.fixture(scope="module")
def address(root):
    with running("-u", watch.__file__, root, "--port", 0) as process:
        yield process.stdout.readline().split()[0]


def shown(browser, script):
    return browser.execute_script(f"return {script}")


def until(browser, script):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, WAIT).until(lambda driver: shown(driver, script))


def opened(browser, address, width):
    set_width(browser, width)
    browser.get("about:blank")
    browser.get(address)
    until(browser, "document.querySelectorAll('#plots .trace').length >= 7")
    return browser


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_and_the_one_that_is_clicked_are_shown_and_fit(browser, address, width):
    opened(browser, address, width)
    shown(browser, "[...document.querySelectorAll('#runs tbody tr')].find(r => r.innerText.includes('mmsa')).click()")
    until(browser, "document.querySelectorAll('#world .plot .trace').length === 3")
    assert until(browser, "document.getElementById('film').readyState >= 2")
    assert shown(browser, "document.getElementById('film').videoWidth") == 64
    assert shown(browser, "document.querySelectorAll('#time .trace').length") == 2
    assert HOSTILE in shown(browser, "document.getElementById('log').textContent")
    assert shown(browser, "document.querySelectorAll('#settings tr').length") > 0
    shown(browser, "document.querySelector('#one details').open = true")
    assert shown(browser, "document.documentElement.scrollWidth") <= width
    assert shown(browser, RIGHTMOST) <= width
    rows = shown(browser, "document.getElementById('runs').innerText")
    assert "config.json cannot be read" in rows and HOSTILE in rows and shown(browser, "document.title") == "Runs"
    assert not shown(browser, "document.querySelectorAll('img[src=x]').length")
    assert browser.get_log("browser") == []


def test_it_follows_without_being_loaded_again(browser, address, root):
    opened(browser, address, 1280)
    shown(browser, "window.still = true")
    archive(root, "vdn", 1, 1, values=(0.0, 0.25, 0.125))
    until(browser, "document.getElementById('runs').innerText.includes('0.125')")
    assert shown(browser, "window.still") and browser.get_log("browser") == []
    shutil.rmtree(root / "sacred" / TASK / "vdn")


def test_another_figure_is_drawn_and_stays_chosen(browser, address):
    opened(browser, address, 1280)
    shown(browser, "(m => {m.value = 'episode'; m.onchange()})(document.getElementById('metric'))")
    until(browser, "document.querySelector('#plots .ytitle').textContent === 'episode'")
    browser.refresh()
    until(browser, "document.querySelector('#plots .ytitle') && document.getElementById('metric').value === 'episode'")
    assert browser.get_log("browser") == []
