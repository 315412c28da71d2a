"""The paper's experiments, `studies/paper/`: what each file asks for, and that it runs."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from packages import needs
from sc2_here import sc2_here
from tiny_runs import read

import main
from study_runs.planned_run import planned_runs
from study_runs.study_file import read_study

PAPER = Path(main.__file__).parents[1] / "studies" / "paper"
FILES = sorted(PAPER.glob("*.yaml"))
SEEDS = [101, 102, 103, 104, 105]  # which chose nothing
# of each file: tasks, variants, algorithms, steps, statistic
FIGURES = {
    "fig4_lbf": (4, 1, 4, {2_000_000}, {"mean_interval"}),
    "fig4_mamujoco": (4, 1, 3, {7_000_000}, {"mean_interval"}),
    "fig5a": (3, 1, 3, {5_000_000}, {"median_quartiles"}),
    "fig5a_smax": (2, 1, 3, {5_000_000}, {"median_quartiles"}),
    "fig5b": (3, 5, 2, {3_000_000}, {"mean_interval"}),
    "fig5b_smax": (1, 5, 2, {3_000_000}, {"mean_interval"}),
    "fig6": (9, 1, 3, {2_000_000}, {"mean_interval"}),
    "fig6_smax": (9, 1, 3, {2_000_000}, {"mean_interval"}),
    "fig7": (3, 11, 2, {3_000_000}, {"mean_interval"}),
    "fig7_smax": (1, 11, 2, {3_000_000}, {"mean_interval"}),
    "table1": (17, 1, 3, {2_000_000, 7_000_000}, {"mean_interval"}),
    "table1_smax": (19, 1, 3, {2_000_000, 5_000_000, 7_000_000}, {"mean_interval", "median_quartiles"}),
}


def marked():
    """Return the files' paths as parameters, skipped where the packages of their environments are missing."""
    suites = {path: set(re.findall(r"env_config: (\w+),", path.read_text())) for path in FILES}
    return [pytest.param(path, id=path.stem, marks=[needs(suite) for suite in suites[path]]) for path in FILES]


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sc2_here(monkeypatch, tmp_path)


def test_every_figure_has_its_file_and_every_file_its_hours():
    assert {path.stem for path in FILES} == FIGURES.keys()
    for path in FILES:
        head = path.read_text().partition("algorithms:")[0]
        assert "MMSA paper" in head and re.search(r"[\d,]+ runs\D", head) and "hours" in head
        assert ("another game" in head) == path.stem.endswith("smax")


@pytest.mark.parametrize("path", marked())
def test_a_file_asks_for_what_the_paper_compares(path):
    runs, seeds = runs_of_the_first_seed(path)
    tasks, variants, algorithms, steps, statistics = FIGURES[path.stem]
    assert seeds == SEEDS and len(runs) == tasks * variants * algorithms
    assert len({run.task for run in runs}) == tasks and len({run.variant for run in runs}) == variants
    assert f" {len(SEEDS) * len(runs)} runs" in path.read_text().replace("\n# ", " ")
    assert {run.t_max for run in runs} == steps
    assert {run.settings["report_statistic"] for run in runs} == statistics
    names = {run.algorithm for run in runs}
    assert {"mmsa_paper", "mmsa"} <= names and len(names) == algorithms
    for run in runs:
        assert not run.settings["env_args"].get("valid_actions_only", False)  # all actions are offered


def runs_of_the_first_seed(path):
    """Return a file's runs, of one seed alone: to check those of all would take five times as long; and its seeds."""
    name, study = read_study(path)
    return planned_runs(name, replace(study, seeds=study.seeds[:1]), path.name, main.CONFIG_DIR), study.seeds


METHODS = {
    "mmsa", "mmsa_paper", "mmsa_hpn", "mbvd", "hpn_qmix", "hpn_vdn", "set_qmix", "cia", "maser", "smmae", "qplex",
    "ow_qmix", "cw_qmix", "qtran", "qmix", "vdn", "mappo", "coma",
}  # fmt: skip
NEED_ENTITIES = {"mmsa_hpn", "hpn_qmix", "hpn_vdn", "set_qmix"}
BATTLES = {"3m", "8m", "2s3z", "3s5z", "5m_vs_6m", "10m_vs_11m", "3s_vs_5z", "3s5z_vs_3s6z", "6h_vs_8z"}
# of each file beside studies/paper/: methods, and the steps of each task
TABLES = {
    "paper_table": (METHODS, dict.fromkeys((
        "Foraging-2s-10x10-3p-3f-v2", "Foraging-10x10-3p-5f-v2", "Foraging-10x10-4p-3f-v2",
        "Foraging-2s-8x8-2p-2f-coop-v2",
    ), 2_050_000)),
    "paper_table_smax": (METHODS, {f"smax-{battle}": 2_050_000 for battle in BATTLES}
                         | {f"smax-smacv2_{n}_units": 5_000_000 for n in (5, 10)}),
    "paper_table_mamujoco": (METHODS - NEED_ENTITIES, dict.fromkeys(
        ("HalfCheetah-6x1-obsk1", "Hopper-3x1-obsk1", "Ant-8x1-obsk1", "Walker2d-6x1-obsk1"), 7_000_000)),
}  # fmt: skip
SUITES = {"paper_table": "lbf", "paper_table_smax": "smax", "paper_table_mamujoco": "mamujoco"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(suite)) for name, suite in SUITES.items()])
def test_a_block_of_the_table_has_every_method_that_can_play_there(name):
    path = PAPER.parent / f"{name}.yaml"
    study, (methods, steps) = read_study(path)[1], TABLES[name]
    one_of_each = replace(study, seeds=SEEDS[:1], algorithms=study.algorithms[:1]), replace(
        study, seeds=SEEDS[:1], tasks=study.tasks[:1]
    )
    of_tasks, of_methods = (planned_runs(name, part, path.name, main.CONFIG_DIR) for part in one_of_each)
    assert study.seeds == SEEDS and study.variants == {}
    assert sorted(run.algorithm for run in of_methods) == sorted(methods)
    assert sorted((run.task, run.t_max) for run in of_tasks) == sorted(steps.items())
    head = path.read_text().partition("algorithms:")[0].replace("\n# ", " ")
    assert f" {len(SEEDS) * len(methods) * len(steps)} runs" in head and f"plan studies/{path.name}" in head
    for run in of_methods + of_tasks:
        env_args = run.settings["env_args"]
        assert env_args.get("action_space", "bins") == "bins" and not env_args.get("valid_actions_only", False)
    assert f"run studies/{path.name}" in (PAPER.parents[1] / "docs" / "studies.md").read_text()


def play(run, t_max):
    """Train as a run of the study would, but shorter, and return its archive's status."""
    *configs, _ = run.words()[:3]
    shorter = {"t_max": t_max, "absolute_factor": 0, "test_nepisode": 2, "save_model": False, "runner": "vector"}
    settings = run.updates | shorter | {"local_results_path": "out", "learner_log_interval": max(t_max // 10, 1)}
    assert main.main([*configs, "with", *(f"{key}={text}" for key, text in settings.items())]) == 0
    folder = max(Path("out").rglob("config.json"), key=lambda path: path.stat().st_mtime).parent
    return read(folder, "run.json")["status"], read(folder, "metrics.json")


@pytest.mark.slow
@pytest.mark.parametrize("path", marked())
def test_every_kind_of_run_of_a_file_runs(path):
    """Each algorithm, variant and suite once, a ten-thousandth of its length."""
    seen = set()
    for run in runs_of_the_first_seed(path)[0]:
        if (kind := (run.algorithm, run.variant, run.env_config)) not in seen:
            seen.add(kind)
            assert play(run, max(run.t_max // 10_000, 200))[0] == "COMPLETED"


@pytest.mark.slow
@pytest.mark.parametrize("path", marked())
def test_the_letter_learns_in_a_hundredth_of_its_length(path):
    """On the first task: up to an hour on a busy core."""
    (first, *_), _ = runs_of_the_first_seed(path)
    status, figures = play(first, first.t_max // 100)
    assert first.algorithm == "mmsa_paper" and status == "COMPLETED" and len(figures["loss_td"]["values"]) >= 2
