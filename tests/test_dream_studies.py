"""The studies of agents that learn in dreams, `studies/dreams_*.yaml`: what each asks for, and that it runs."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from packages import needs
from tiny_runs import read

import main
from study_runs.planned_run import planned_runs
from study_runs.study_file import read_study

FILES = sorted((Path(main.__file__).parents[1] / "studies").glob("dreams_*.yaml"))
TUNING, REPORTING = [1, 2, 3], [101, 102, 103, 104, 105]
LOW_DATA = {"dmawm", "mabl", "mamba", "dreamer", "mappo", "qmix", "mmsa"}
# of each file: algorithms, tasks, runs of a seed, steps of each algorithm but MAPPO, of MAPPO, seeds
ASKED = {
    "dreams_low_data": (LOW_DATA, 5, 35, 100_000, 100_000, TUNING),
    "dreams_low_data_reporting": (LOW_DATA, 5, 35, 100_000, 100_000, REPORTING),
    "dreams_ablations_mabl": ({"mabl", "mabl_no_global", "mabl_sg"}, 1, 3, 450_000, None, TUNING),
    "dreams_ablations_dmawm": ({"dmawm", "dmawm_tc", "dmawm_ip", "dmawm_as"}, 1, 4, 400_000, None, TUNING),
    "dreams_horizon": ({"dmawm", "mappo"}, 1, 6, 100_000, 2_000_000, TUNING),
    "dreams_own_budget": ({"dmawm", "mamba", "mappo"}, 1, 3, 400_000, 4_000_000, TUNING),
    "dreams_mamujoco": ({"mabl", "mamba", "dreamer", "mappo"}, 2, 8, 200_000, 200_000, TUNING),
}


def marked():
    """Return the files' paths as parameters, skipped where the packages of their environments are missing."""
    suites = {path: set(re.findall(r"env_config: (\w+),", path.read_text())) for path in FILES}
    return [pytest.param(path, id=path.stem, marks=[needs(suite) for suite in suites[path]]) for path in FILES]


def runs_of_the_first_seed(path):
    name, study = read_study(path)
    return planned_runs(name, replace(study, seeds=study.seeds[:1]), path.name, main.CONFIG_DIR), study.seeds


@pytest.mark.parametrize("path", marked())
def test_a_file_asks_for_what_the_papers_compare_and_says_its_hours(path):
    runs, seeds = runs_of_the_first_seed(path)
    algorithms, tasks, count, steps, of_mappo, wanted = ASKED[path.stem]
    assert {run.algorithm for run in runs} == algorithms and len({run.task for run in runs}) == tasks
    assert len(runs) == count and seeds == wanted
    assert all(run.t_max == (of_mappo if run.algorithm == "mappo" else steps) for run in runs)
    assert all(run.settings["protocol"] == "low_data" for run in runs)
    head = path.read_text().partition("algorithms:")[0].replace("\n# ", " ")
    assert f" {count * len(seeds)} runs" in head and re.search(r"[\d,]+ hours of one idle CPU core", head)


def test_every_study_is_here_and_the_horizon_goes_from_4_to_16():
    assert {path.stem for path in FILES} == ASKED.keys()
    runs, _ = runs_of_the_first_seed(next(path for path in FILES if path.stem == "dreams_horizon"))
    horizons = [run.settings["horizon"] for run in runs if run.algorithm == "dmawm"]
    assert (min(horizons), max(horizons)) == (4, 16) and len(set(horizons)) == len(horizons)


def test_tuning_and_reporting_differ_in_their_seeds_alone():
    one, two = (read_study(path)[1] for path in FILES if path.stem.startswith("dreams_low_data"))
    assert one == replace(two, seeds=one.seeds)


@pytest.mark.slow
@pytest.mark.parametrize("path", marked())
def test_every_kind_of_run_of_a_file_runs_and_learns_in_a_thousandth_of_its_length(path, tmp_path, monkeypatch):
    """Each algorithm, variant and suite once."""
    monkeypatch.chdir(tmp_path)
    seen = set()
    for run in runs_of_the_first_seed(path)[0]:
        if (kind := (run.algorithm, run.variant, run.env_config)) in seen:
            continue
        seen.add(kind)
        steps = max(run.t_max // 1000, 300)
        short = {
            "t_max": steps, "absolute_factor": 0, "test_nepisode": 2, "save_model": False, "local_results_path": "out",
            "learner_log_interval": 50, "batch_size_run": 1,
        }  # fmt: skip
        dreams = {"learn_after": 100, "behaviour_after": 3} if "horizon" in run.settings else {}
        if run.env_config == "mamujoco":
            short["env_args.episode_limit"] = 50
        *configs, _ = run.words()[:3]
        words = [f"{key}={text}" for key, text in (run.updates | short | dreams).items()]
        assert main.main([*configs, "with", *words]) == 0, kind
        folder = max(Path("out").rglob("config.json"), key=lambda path: path.stat().st_mtime).parent
        assert read(folder, "run.json")["status"] == "COMPLETED", kind
        if dreams:
            assert read(folder, "metrics.json")["grad_norm_actor"]["values"], kind
