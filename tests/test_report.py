"""The report as a whole: its page, figures and tables, what it says and what it does not, and its mistakes."""

import csv
import importlib
import json
import re
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest
from made_archives import TASK, archive, study, write
from tiny_runs import assert_refused, play, read

pytest.importorskip("rliable", reason="rliable is not installed: pip install -r requirements-report.txt")
pytest.importorskip("plotly", reason="plotly is not installed: pip install -r requirements-report.txt")

import study as program
from comparison import aggregates
from comparison.archives import read_runs
from comparison.group_charts import curves, score_chart
from comparison.pooling import Choice, pool
from comparison.print_drawing import draw
from comparison.published import all_published
from comparison.ranges import range_of
from comparison.tables import run_table

PAPERS = "Foraging-2s-8x8-2p-2f-coop-v2"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path, request):
    """Few resamples, and no pictures for paper but where a test looks at them."""
    monkeypatch.setattr(aggregates, "RESAMPLES", 50)
    monkeypatch.chdir(tmp_path)
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("comparison.report.write_chart", lambda chart, folder: [])


@pytest.fixture
def pictures():
    """Draw pictures for paper too."""


def run(*argv):
    return program.main([str(word) for word in argv])


def report(root, *options):
    out = root.parent / "report"
    shown = root.relative_to(Path.cwd())  # the page shows it, and the temporary folder has the test's name
    assert run("report", shown, "--out", out, *options) == 0
    return out


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Reader(HTMLParser):
    """A page's words outside scripts and styles, its tags, and what they fetch."""

    def __init__(self, text):
        super().__init__()
        self.words, self.fetched, self.scripts, self.tags, self._in = [], [], 0, [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in = tag
        self.scripts += tag == "script"
        self.fetched += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page(out):
    return Reader((out / "index.html").read_text(encoding="utf-8"))


def test_a_report_holds_a_page_and_every_figure_and_table_twice(tmp_path, pictures):
    out = report(study(tmp_path / "results", seeds=2, tasks=(TASK, PAPERS)))
    names = {path.name for path in out.iterdir()}
    figures = {name.removesuffix(".png") for name in names if name.endswith(".png")}
    assert {"iqm", "profile", "improvement", "efficiency"} < figures and len(figures) == 8
    assert {f"{name}.pdf" for name in figures} < names
    tables = {"scores", "comparisons", "equal", "equal-comparisons", "aggregates", "layout", "paper", "paper-averages",
              "runs"}  # fmt: skip
    assert {f"{name}.{kind}" for name in tables for kind in ("csv", "tex")} < names
    assert len(names) == 1 + 2 * 8 + 2 * len(tables)
    assert all(matplotlib.image.imread(out / f"{name}.png").shape[1] > 500 for name in figures)
    assert all((out / f"{name}.pdf").read_bytes().startswith(b"%PDF") for name in figures)
    for name in tables:
        assert "\\toprule" in (out / f"{name}.tex").read_text()


def test_the_page_fetches_nothing_and_lists_every_run(tmp_path):
    root = study(tmp_path / "results", seeds=2)
    (archive(root, "vdn", 1, 9) / "config.json").write_text("{")
    found = page(report(root))
    assert not [address for address in found.fetched if not address.startswith("data:")]
    for word in ("lab-3", "0" * 40, "lbforaging 2.0.0", "numpy==2.4.6", "completed", "config.json cannot be read"):
        assert word in found.text
    assert "6 of the 7 runs found are in the figures" in found.text
    listed = rows(tmp_path / "report" / "runs.csv")
    assert len(listed) == 7 and sum(row["in the figures"] == "yes" for row in listed) == 6


def test_scores_are_those_of_the_archives(tmp_path):
    for seed, last in ((1, 0.4), (2, 0.8)):
        archive(tmp_path / "results", "qmix", seed, seed, values=(0.0, 1.0, last), absolute=last / 2)
    found = {row["score"]: row for row in rows(report(tmp_path / "results") / "scores.csv")}
    assert {name: float(row["centre"]) for name, row in found.items()} == pytest.approx(
        {"final": 0.6, "maximum": 1.0, "absolute": 0.3, "area": (0.5 + 0.7 + 0.5 + 0.9) / 4}
    )
    half = 12.7062 * 0.2 * 2**0.5 / 2**0.5  # Student's t of one degree of freedom times the standard error
    assert float(found["final"]["high"]) == pytest.approx(0.6 + half, abs=1e-4)


def test_a_median_is_reported_where_the_protocol_asks_for_it(tmp_path):
    for seed, last in enumerate((0.1, 0.2, 0.9), start=1):
        values = (0.0, 0.5, last)
        archive(tmp_path / "results", "qmix", seed, seed, values=values, report_statistic="median_quartiles")
    out = report(tmp_path / "results")
    (final,) = (row for row in rows(out / "scores.csv") if row["score"] == "final")
    assert [float(final[name]) for name in ("centre", "low", "high")] == pytest.approx([0.2, 0.15, 0.55])
    assert "Median and quartiles over seeds" in page(out).text


def test_nobody_is_called_better_with_fewer_than_five_seeds(tmp_path):
    out = report(study(tmp_path / "results", seeds=4))
    said = page(out).text + (out / "comparisons.csv").read_text() + (out / "comparisons.tex").read_text()
    assert "fewer than 5 seeds carry none" in said and "better" not in said.lower()


def test_runs_that_diverged_are_told_beside_every_figure_and_the_rest_are_not_called_better(tmp_path):
    root = study(tmp_path / "results", algs=("iql", "qmix"))
    assert "qmix is better than iql" in page(report(root)).text
    info, status = {"diverged": {"t_env": 50_000}}, {"status": "FAILED"}
    archive(root, "qmix", 6, 6, values=(0.0, 0.5), steps=[0, 40_000], t_max=100_000, info=info, status=status)
    out = report(root)
    said = page(out).text
    assert "qmix: 1 of 6 seeds diverged, in no figure: 6 (at 50,000 steps)" in said
    assert "(5 seeds, 1 diverged)" in said and "no verdict; the table of comparisons says why" in said
    assert "better" not in (out / "comparisons.csv").read_text() + (out / "equal-comparisons.csv").read_text()
    assert {row["diverged"] for row in rows(out / "scores.csv") if row["algorithm"] == "qmix"} == {"1"}


def test_nobody_is_called_better_where_intervals_overlap(tmp_path):
    for alg, shift in (("qmix", 0.0), ("vdn", 0.1)):
        for seed in range(1, 6):
            archive(tmp_path / "results", alg, seed, seed, values=(0.0, 0.5, shift + 0.1 * seed))
    out = report(tmp_path / "results")
    assert "no clear difference" in page(out).text
    assert "better" not in (page(out).text + (out / "comparisons.csv").read_text()).lower()
    (final,) = rows(out / "comparisons.csv")
    # both deviations are 0.158: a standard error of 0.1, and t of 8 degrees of freedom is 2.306
    assert (final["higher mean"], final["lower mean"]) == ("vdn", "qmix")
    told = [float(final[name]) for name in ("difference", "difference low", "difference high")]
    assert told == pytest.approx([0.1, 0.1 - 0.2306, 0.1 + 0.2306], abs=1e-4)
    by_steps = rows(out / "equal-comparisons.csv")[0]
    less = [float(by_steps[f"value there, {name}"]) for name in ("difference", "difference low", "difference high")]
    sign = 1 if by_steps["first"] == "vdn" else -1
    assert less == pytest.approx([sign * 0.1, sign * 0.1 - 0.2306, sign * 0.1 + 0.2306], abs=1e-4)


def test_five_seeds_and_intervals_apart_are_enough(tmp_path):
    out = report(study(tmp_path / "results", seeds=5))
    assert "mmsa is better than iql" in page(out).text
    assert "better" not in page(report(tmp_path / "results", "--force", "--metric", "episode")).text.lower()


def test_force_is_printed_on_every_figure_and_table(tmp_path):
    root = study(tmp_path / "results", seeds=5)
    archive(root, "mmsa", 6, 6, test_nepisode=99, t_max=100_000, values=(0.0, 0.5, 1.0))
    out = report(root)
    assert "not pooled. They differ in test_nepisode (4, 99)" in page(out).text and "--force" not in page(out).text
    out = report(root, "--force")
    found = page(out)
    told = found.text.count("--force: pooled although runs differ in test_nepisode (4, 99)")
    assert told >= found.tags.count("figure") == 6
    assert "better" not in found.text.lower()
    for name in ("scores", "comparisons", "aggregates"):
        caption = (out / f"{name}.tex").read_text().split("\\label")[0]
        assert "--force" in caption and "test\\_nepisode" in caption
    assert all(row["forced"] for row in rows(out / "scores.csv"))
    (group,) = pool(read_runs([root]), Choice(force=True)).groups
    for chart in (curves(group, "x"), score_chart(group, "x")):
        assert "--force" in draw(chart).get_supxlabel() and "test\\_nepisode" not in draw(chart).get_supxlabel()


def test_smoothing_is_printed_on_the_curves_and_changes_no_score(tmp_path):
    root = study(tmp_path / "results", seeds=2)
    plain, scored = page(report(root)), rows(tmp_path / "report" / "scores.csv")
    smooth = page(report(root, "--smooth", 3))
    assert "--smooth" not in plain.text.replace("unless --smooth", "")
    assert smooth.text.count("--smooth: every value is the mean of the last 3 evaluations") == 1
    assert rows(tmp_path / "report" / "scores.csv") == scored


def test_a_smoothed_curve_is_of_smoothed_runs(tmp_path):
    archive(tmp_path / "results", "qmix", 1, 1, values=(0.0, 0.4, 0.8))
    (group,) = pool(read_runs([tmp_path / "results"]), Choice(smooth=2)).groups
    for panel in curves(group, "x").panels:
        assert panel.strokes[0].y[-1] == pytest.approx(0.6)


def test_what_an_archive_says_is_text_on_the_page(tmp_path):
    root = study(tmp_path / "results", algs=("mmsa",), seeds=2)
    failed = {"host": {"hostname": HOSTILE}, "fail_trace": [HOSTILE], "status": "FAILED"}
    archive(root, "qmix", 1, 1, t_max=100_000, lr=HOSTILE, status=failed, info={"commit": HOSTILE})
    archive(root, "qmix", 1, 1, task="<img src=x onerror=alert(2)>")
    archive(root, "qmix", 2, 2, t_max=100_000, lr="$x_{1}^2$ & 50% \\input{x}")
    out = report(root)
    found, expected = page(out), page(report(study(tmp_path / "plain" / "results", algs=("mmsa",), seeds=2)))
    assert "img" not in found.tags and HOSTILE in found.text
    # As many scripts as plots, plotly's own, and the one at the end.
    plots = (out / "index.html").read_text().count('class="plotly-graph-div"')
    others = (tmp_path / "plain" / "report" / "index.html").read_text().count('class="plotly-graph-div"')
    assert found.scripts - expected.scripts == plots - others
    assert "\\input" not in (out / "scores.tex").read_text()


def test_the_papers_figures_stand_beside_ours_and_are_marked(tmp_path):
    out = report(study(tmp_path / "results", seeds=1, tasks=(PAPERS,)))
    theirs = [row for row in rows(out / "paper.csv") if row["whose"] == "paper"]
    assert [(r["algorithm"], float(r["final"]), r["source"]) for r in theirs] == [("MMSA", 0.93, "results page")]
    assert "paper: MMSA, 2M steps" in (out / "index.html").read_text()
    other = report(study(tmp_path / "other" / "results", seeds=1))
    assert not (other / "paper.csv").exists() and "the paper" not in page(other).text


def test_the_papers_means_over_tasks_stand_beside_our_plain_means_over_them(tmp_path):
    root, last = tmp_path / "results", {PAPERS: (0.1, 0.3, 0.8), "Foraging-10x10-4p-3f-v2": (0.9, 0.5, 0.7)}
    for task, finals in last.items():
        for seed, final in enumerate(finals, start=1):
            archive(root, "mmsa", seed, seed, task=task, values=(0.0, final), report_statistic="median_quartiles")
    archive(root, "qmix", 1, 1, task=PAPERS, values=(0.0, 0.2))
    archive(root, "mmsa", 9, 9, values=(0.0, 1.0))  # of no task of the paper
    found = rows(report(root) / "paper-averages.csv")
    ours = {row["algorithm"]: row for row in found if row["whose"] == "ours"}
    assert float(ours["mmsa"]["mean"]) == pytest.approx((0.4 + 0.7) / 2)  # of means, not of medians
    assert float(ours["qmix"]["mean"]) == pytest.approx(0.2)
    assert [(row["tasks"], row["of"], row["seeds"]) for row in ours.values()] == [("2", "4", "3"), ("1", "4", "1")]
    theirs = {row["algorithm"]: float(row["mean"]) for row in found if row["whose"] == "paper"}
    assert theirs == {"MMSA": 0.80, "QMIX": 0.42, "SMMAE": 0.08, "COMA": 0.11}


def test_other_papers_figures_stand_beside_those_of_another_simulator_too_and_are_never_pooled(tmp_path):
    root = tmp_path / "results"
    for seed in (1, 2):
        folder = archive(root, "mamba", seed, seed, env="smax", task="3s5z", values=(0.0, 0.2),
                         report_metric="test_battle_won_mean")  # fmt: skip
        metrics = read(folder, "metrics.json")
        write(folder, "metrics.json", metrics | {"test_battle_won_mean": metrics["test_return_mean"]})
    out = report(root)
    found = rows(out / "paper.csv")
    (ours,) = [row for row in found if row["whose"] == "ours"]
    assert (float(ours["final"]), ours["seeds"]) == (0.2, "2")
    theirs = {row["algorithm"]: row for row in found if row["whose"] == "paper"}
    assert set(theirs) == {"DMAWM", "MBVD", "MAMBA", "MAT", "MAPPO", "QMIX"}
    mamba = theirs["MAMBA"]
    assert [mamba[k] for k in ("final", "deviation", "steps", "seeds")] == ["0.532", "0.123", "400000", "5"]
    assert mamba["source"] == "Table 1 of DMAWM's paper; of sc2, not smax"
    assert "paper on DMAWM: MAMBA, 0.4M steps" in (out / "index.html").read_text()
    assert {row["algorithm"] for row in rows(out / "scores.csv")} == {"mamba"}
    assert not (out / "paper-averages.csv").exists()  # MMSA's means over StarCraft's maps are of these alone


def test_the_papers_figures_are_sound():
    for figure in all_published():
        assert figure.steps >= (1_000_000 if figure.paper == "MMSA" else 100_000) and figure.tasks and figure.source
        assert figure.env in {"lbf", "sc2", "sc2v2", "mamujoco", "flatland", "meltingpot"}
        assert 0 <= figure.value < (1 if figure.metric == "test_battle_won_mean" or figure.env == "lbf" else 200_000)
        assert (figure.deviation is None) == (figure.paper == "MMSA") or figure.value == 0
    of = {(f.paper, f.algorithm, f.env, *f.tasks): f for f in all_published()}
    assert len(of) == len(all_published())  # nothing twice
    assert of["DMAWM", "DMAWM", "sc2", "corridor"].value == 0.452
    assert of["MABL", "MABL", "sc2", "corridor"].value == 0.52
    assert of["MABL", "MABL", "mamujoco", "HumanoidStandup-9-8-*"].steps == 800_000
    lbf = [f.value for f in all_published() if (f.env, f.algorithm, f.average_of) == ("lbf", "MMSA", None)]
    assert len(lbf) == 4 and sum(lbf) / 4 == pytest.approx(0.80, abs=0.005)  # the paper's Table 1
    joints = [f.value for f in all_published() if (f.env, f.algorithm, f.average_of) == ("mamujoco", "MMSA", None)]
    assert len(joints) == 4 and sum(joints) / 400 == pytest.approx(36.94, abs=0.005)


def test_lines_that_not_all_tasks_have_are_left_out_of_what_is_taken_together(tmp_path):
    root = study(tmp_path / "results", seeds=2, tasks=(TASK, PAPERS))
    archive(root, "vdn", 1, 1, t_max=100_000)
    out = report(root)
    assert "Not in all tasks, and so left out here: vdn." in page(out).text
    assert {row["of"] for row in rows(out / "aggregates.csv") if row["estimate"] == "interquartile mean"} == {
        "iql", "mmsa", "qmix",
    }  # fmt: skip
    alone = study(tmp_path / "apart" / "results", algs=("mmsa",), seeds=1)
    archive(alone, "vdn", 1, 1, task=PAPERS)
    assert "No line is in all tasks" in page(report(alone)).text


def test_returns_without_a_known_range_are_scaled_by_a_stated_one(tmp_path):
    root = tmp_path / "results"
    for seed, last in ((1, 20.0), (2, 40.0)):
        archive(root, "qmix", seed, seed, env="mamujoco", task="Ant-8x1-obsk1", values=(-10.0, 0.0, last))
    (group,) = pool(read_runs([root]), Choice()).groups
    assert range_of(group, {})[:2] == (-10.0, 40.0) and range_of(group, {}).normalised(15.0) == 0.5
    assert "0 is -10.000 and 1 is 40.000 (the lowest and the highest evaluation" in page(report(root)).text
    out = report(root, "--range", "Ant-8x1-obsk1", "0", "100")
    assert float(rows(out / "aggregates.csv")[0]["centre"]) == pytest.approx(0.3)
    assert "given by --range" in page(out).text


def test_the_paper_counts_returns_of_the_robots_in_hundreds(tmp_path):
    archive(tmp_path / "results", "mmsa", 1, 1, env="mamujoco", task="Ant-8x1-obsk1", values=(0.0, 4000.0))
    out = report(tmp_path / "results")
    assert [float(row["final"]) for row in rows(out / "paper.csv") if row["algorithm"] == "MMSA"] == [4506.0]
    assert [float(row["mean"]) for row in rows(out / "paper-averages.csv") if row["algorithm"] == "MMSA"] == [3694.0]


JUNK = [None, True, -1, 0, 1.5, "text", [], [1], {}, {"a": 1}, 10**400]


@pytest.mark.parametrize("name", ["config.json", "run.json", "info.json", "metrics.json"])
def test_whatever_an_archive_holds_it_is_listed(tmp_path, name):
    root = tmp_path / "results"
    sound = json.loads((archive(root, "qmix", 1, 1) / name).read_text())
    for place, junk in enumerate(JUNK):
        for number, key in enumerate(sound):
            write(archive(root, "vdn", f"{place}{number:02}", 2 + place), name, sound | {key: junk})
    runs, now = read_runs([root]), datetime(2026, 1, 2, tzinfo=UTC)
    for force in (False, True):
        found = pool(runs, Choice(force))
        assert len(run_table(runs, found, now).data) == len(runs) == 1 + len(JUNK) * len(sound) > 10
        assert sum(len(line.members) for group in found.groups for line in group.lines) >= 1


@pytest.mark.parametrize(
    "words, says",
    [
        (["report", "nowhere"], "nowhere: no run here"),
        (["report"], "FOLDER"),
        (["reprot", "{folder}"], "reprot"),
        (["report", "{folder}", "--metric", "test_retrun_mean"], "it has logged no test_retrun_mean"),
        (["report", "{folder}", "--smooth", "0"], "'0' is no whole number"),
        (["report", "{folder}", "--range", "x", "0", "1"], "--range x: no such task here"),
        (["report", "{folder}", "--range", "x", "a", "1"], "give two numbers"),
        (["report", "{folder}", "--range", "x", "1", "1"], "the first number has to be the lower one"),
        (["report", "{folder}", "--range", "x", "nan", "1"], "the first number has to be the lower one"),
        (["report", "{folder}", "--out", "{folder}/config.json"], "cannot write there"),
        (["report", "{folder}", "--frce"], "--frce"),
        (["export", "nowhere"], "nowhere: no run here"),
        (["export", "{folder}", "--out", "nowhere/runs.json"], "cannot write there"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, words, says, capsys):
    folder = archive(tmp_path / "results", "qmix", 1, 1)
    assert_refused(run, folder, words, says, capsys)
    assert not (tmp_path / "report" / "index.html").exists()


def test_a_missing_package_is_answered_with_what_installs_it(tmp_path, monkeypatch, capsys):
    archive(tmp_path / "results", "qmix", 1, 1)
    monkeypatch.setitem(importlib.import_module("sys").modules, "comparison.report", None)
    assert run("report", tmp_path / "results") == 2
    err = capsys.readouterr().err
    assert "pip install -r requirements-report.txt" in err and err.count("\n") == 1


def test_a_report_of_real_runs(tmp_path, pictures, capsys):
    for alg in ("mappo", "qmix"):
        play(alg, "lbf", tmp_path / alg)
    capsys.readouterr()
    assert run("report", tmp_path / "mappo", tmp_path / "qmix", "--out", tmp_path / "report") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report" / "index.html")
    listed = rows(tmp_path / "report" / "runs.csv")
    assert [(row["line"], row["ended"], row["in the figures"]) for row in listed] == [
        ("mappo", "completed", "yes"), ("qmix", "completed", "yes"),
    ]  # fmt: skip
    assert all(re.fullmatch(r"[0-9a-f]{40}(\+changes)?|unknown", row["commit"]) for row in listed)
    assert all("lbforaging 2.0.0" in row["environment version"] for row in listed)


@pytest.mark.parametrize("subcommand", ["report", "export"])
def test_without_its_packages_a_report_is_refused_in_one_line(subcommand, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] in ("comparison", "scipy")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)  # as where it is not installed
    assert program.main([subcommand, "results", "--out", "x"]) == 2
    err = capsys.readouterr().err
    assert "pip install -r requirements-report.txt" in err and err.count("\n") == 1
