"""A search's report: its best trial, every other one, and what there is to see of a search that is not done."""

import csv
import shutil
from pathlib import Path

import pytest
from browsers import NEEDS_CHROMIUM, set_width
from made_archives import series, write
from processes import WAIT
from test_search import FILE, reaches_its_lr

import main
import study as program
from study_runs.search_command import DRIVER_LOCK
from study_runs.search_file import read_search
from study_runs.search_runs import folder_of
from utils import locks

optuna = pytest.importorskip("optuna")
pytest.importorskip("plotly", reason="no plotly: pip install -r requirements-search.txt")
RESULTS = Path("results/searches/tiny")
TICKS = "return document.querySelectorAll('.plot .main-svg .xtick').length"
BEST = {"lr": 0.05, "double_q": True, "rnn_hidden_dim": 7}


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("tiny.yaml")
    path.write_text(FILE.replace("[1]", "[1, 2]"))
    return read_search(path, main.CONFIG_DIR)


def tried(search, *asked):
    """Do trials whose value is 1.5 times their step size, without training; return Optuna's record."""
    from study_runs import search as engine

    trials = engine.opened(search, RESULTS, None)
    for params in asked:
        trials.enqueue_trial(params)
        trial = trials.ask()
        try:
            trials.tell(trial, engine.run_trial(search, trial, RESULTS, reaches_its_lr))
        except optuna.TrialPruned:
            trials.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return trials


def report():
    """Ask for the page as a user does, and return what is on it, but for plotly's script."""
    assert program.main(["search", "tiny.yaml", "--report"]) == 0
    text = (RESULTS / "report" / "index.html").read_text()
    return text[: text.index("<script>")] + text[text.index("<body>") :]


def test_the_page_has_the_best_trial_its_seeds_and_where_others_were_stopped(search):
    tried(search, {"lr": 0.02}, BEST, {"lr": 0.01})
    page = report()
    assert "trial 1, test_return_mean 0.075, with lr=0.05 double_q=true rnn_hidden_dim=7" in page
    for row in ("lr</td><td>0.05", "double_q</td><td>true", "rnn_hidden_dim</td><td>7"):
        assert f"<tr><td>{row}</td></tr>" in page
    for seed, value in ((1, "0.05"), (2, "0.1"), ("mean", "0.075")):
        assert f'<tr><td>{seed}</td><td class="number">{value}</td></tr>' in page
    cells = "".join(f'<td class="number">{value}</td>' for value in ("0.015", "–", "–"))
    assert f"<td>2</td><td>stopped at a rung, or diverged</td>{cells}<td>0.01</td>" in page
    assert "3: 2 came to the end, 1 stopped at a rung, or diverged" in page
    assert "PED-ANOVA" in page and page.count('class="plot"') == 2 + 1 + 1 + 3
    assert "--config=tiny_best" in page and (RESULTS / "configs/algs/tiny_best.yaml").is_file()


def test_beside_it_lie_all_trials_with_every_seed_and_digit(search):
    tried(search, BEST, {"lr": 0.01, "double_q": False})
    page = report()
    rows = list(csv.DictReader((RESULTS / "report" / "trials.csv").open()))
    ended, stopped = ({key: text for key, text in row.items() if text} for row in rows)
    value = pytest.approx(1.5 * 0.05)
    assert [ended.pop("trial"), ended.pop("state")] == ["0", "complete"] and 'href="trials.csv"' in page
    assert [float(ended.pop(f"after_{steps}")) for steps in search.rungs] == [value, value, value]
    assert ended == {"seed_1": "0.05", "seed_2": "0.1", "lr": "0.05", "double_q": "true", "rnn_hidden_dim": "7"}
    told = {"state": "pruned", "after_4": "0.015", "seed_1": "0.01", "seed_2": "0.02", "double_q": "false"}
    assert stopped.items() >= told.items() and not {"after_12", "after_36"} & stopped.keys()


def test_a_seeds_value_is_that_of_the_last_rung_and_none_where_its_run_was_taken_away(search):
    folder = folder_of(RESULTS, tried(search, BEST).best_trial.params)
    (metrics,) = folder.glob("seed2/sacred/*/*/*/metrics.json")
    write(metrics.parent, metrics.name, {"test_return_mean": series([0, 4, 12, 36], [0, 0, 0, 0.75], [0, 1, 2, 3])})
    shutil.rmtree(folder / "seed1")
    report()
    (row,) = csv.DictReader((RESULTS / "report" / "trials.csv").open())
    assert (row["seed_1"], row["seed_2"]) == ("", "0.25")


def test_one_trial_alone_tells_no_importance(search):
    tried(search, BEST)
    page = report()
    assert "it takes two trials that came to the end, with different values" in page and "PED-ANOVA" not in page
    assert page.count('class="plot"') == 2 + 1 + 3


def test_a_search_that_is_being_worked_at_can_be_looked_at(search, capsys):
    trial = tried(search).ask({"lr": optuna.distributions.FloatDistribution(0.0001, 0.1)})
    trial.report(0.3, 1)
    with locks.take(RESULTS / DRIVER_LOCK):
        page = report()
    assert "No trial came to its end yet." in page and "no trial came to its end yet" in capsys.readouterr().out
    assert '<td>0</td><td>at work</td><td class="number">0.3</td><td class="number">–</td>' in page
    assert not (RESULTS / "configs").exists()


def test_a_seed_whose_run_was_taken_away_is_a_dash(search):
    tried(search, BEST)
    (run,) = RESULTS.glob("trials/*/seed2")
    shutil.rmtree(run)
    assert '<tr><td>2</td><td class="number">–</td></tr>' in report()


@pytest.mark.parametrize("words", [[], ["--storage", "sqlite:///other.db"]])
def test_without_a_search_there_is_no_report(words, search, capsys):
    assert program.main(["search", "tiny.yaml", "--report", *words]) == 2
    err = capsys.readouterr().err
    assert "begun" in err and err.count("\n") == 1 and not Path("results").exists()


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
def test_the_page_is_drawn_and_fits_narrow_and_wide_screens(browser, search):
    from selenium.webdriver.support.wait import WebDriverWait

    tried(search, {"lr": 0.02}, BEST, {"lr": 0.01})
    report()
    for width in (400, 1600):
        set_width(browser, width)
        browser.get((RESULTS / "report" / "index.html").resolve().as_uri())
        WebDriverWait(browser, WAIT).until(lambda driver: driver.execute_script(TICKS))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.get_log("browser") == []
