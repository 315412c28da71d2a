"""A study's file: what it asks for, and every mistake in it as one line before anything starts."""

import textwrap
from pathlib import Path

import pytest
from tiny_runs import files

import main
import study
from study_runs import asked
from utils.errors import UserError

STUDIES = Path(main.__file__).parents[1] / "studies"
GOOD = {
    "algorithms": "[vdn, {config: qmix, lr: 0.002}]",
    "tasks": "\n  - {env_config: matrix_game, env_args.key: climbing}\n  - {env_config: lbf, t_max: 400}",
    "seeds": "[1, 7]",
    "settings": "{t_max: 300, batch_size: 8}",
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name="tiny", **fields):
    path = Path(f"{name}.yaml")
    path.write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    return path


def test_a_study_is_algorithms_by_tasks_by_seeds():
    runs = asked.read(write(**GOOD), {}).runs
    assert [run.name for run in runs[:4]] == [
        "climbing_vdn_seed1", "climbing_qmix_seed1",
        "Foraging-2s-8x8-2p-2f-coop-v2_vdn_seed1", "Foraging-2s-8x8-2p-2f-coop-v2_qmix_seed1",
    ]  # fmt: skip
    assert len(runs) == 8 and [run.seed for run in runs] == [1] * 4 + [7] * 4
    assert [(run.settings["lr"], run.t_max) for run in runs[:4]] == [
        (0.001, 300), (0.002, 300), (0.001, 400), (0.002, 400),
    ]  # fmt: skip
    assert {run.results for run in runs} == {Path.cwd() / "results/studies/tiny"}
    assert runs[1].words()[:3] == ["--config=qmix", "--env-config=matrix_game", "with"]
    assert {"seed=1", "lr=0.002", "env_args.key=climbing"} < set(runs[1].words())


def test_variants_multiply_a_study_and_keep_their_archives_apart():
    fields = GOOD | {"variants": "{slow: {lr: 0.0001}, fast: {lr: 0.01}}", "algorithms": "[vdn]"}
    one, other = (run for run in asked.read(write(**fields), {}).runs if run.seed == 7 and run.env_config == "lbf")
    assert (one.variant, one.settings["lr"], one.results.name) == ("slow", 0.0001, "slow")
    assert (other.variant, other.settings["lr"], other.results.name) == ("fast", 0.01, "fast")
    assert one.name == "Foraging-2s-8x8-2p-2f-coop-v2_vdn_slow_seed7"


def test_a_variant_is_for_the_algorithms_that_have_its_settings_and_the_others_run_once():
    fields = GOOD | {"variants": "{short: {rollout_horizon: 1}, low: {lr: 0.01}}", "algorithms": "[mmsa, qmix]"}
    found = [(run.algorithm, run.variant) for run in asked.read(write(**fields | {"seeds": "[1]"}), {}).runs]
    assert sorted(found[: len(found) // 2]) == [("mmsa", "low"), ("mmsa", "short"), ("qmix", "low")]
    alone = fields | {"variants": "{short: {rollout_horizon: 1}, long: {rollout_horizon: 9}}"}
    study = asked.read(write("alone", **alone), {})
    assert {(run.algorithm, run.variant) for run in study.runs} == {("mmsa", "short"), ("mmsa", "long"), ("qmix", None)}
    plain = next(run for run in study.runs if run.variant is None)
    assert plain.results == study.lock.parent == Path.cwd() / "results/studies/alone"


def test_the_command_line_wins_over_the_study_and_the_study_over_the_defaults():
    assert asked.read(write(**GOOD), {}).running["jobs"] == 1
    path = write(**GOOD, running="{jobs: 3, max_retries: 5}")
    assert asked.read(path, {}).running["jobs"] == 3
    running = asked.read(path, {"jobs": "4"}).running
    assert (running["jobs"], running["max_retries"], running["look_interval"]) == (4, 5, 2.0)


MISTAKES = {
    "overruled by a variant": ({"algorithms": "[{config: vdn, lr: 7}]", "variants": "{a: {lr: 0.1}}"}, "lr=7: must be"),
    "overruled by an algorithm": ({"algorithms": "[{config: vdn, lr: 0.1}]", "settings": "{lr: 7}"}, "lr=7: must be"),
    "unknown field": ({"sedes": "[1]"}, "seeds"),
    "unknown algorithm": ({"algorithms": "[vdnn]"}, "vdn"),
    "unknown environment": ({"tasks": "[{env_config: lbff}]"}, "lbf"),
    "unknown task": ({"tasks": "[{env_config: lbf, env_args.key: Foraging-8x8-v2}]"}, "Foraging"),
    "task without environment": ({"tasks": "[{env_args.key: climbing}]"}, "env_config"),
    "algorithm without config": ({"algorithms": "[{lr: 0.1}]"}, "config"),
    "unknown setting": ({"settings": "{tmax: 3}"}, "t_max"),
    "value out of range": ({"settings": "{lr: 3}"}, "lr"),
    "settings that do not go together": ({"settings": "{buffer_size: 3}"}, "buffer_size"),
    "unknown mixer": ({"settings": "{mixer: qmx}"}, "qmix"),
    "unknown protocol": ({"settings": "{protocol: lfb}"}, "lbf"),
    "seed as a setting": ({"settings": "{seed: 3}"}, "seeds"),
    "threads as a setting": ({"algorithms": "[{config: vdn, threads: 3}]"}, "cpus_per_run"),
    "evaluation": ({"settings": "{evaluate: true}"}, "train"),
    "seed twice": ({"seeds": "[1, 1]"}, "climbing_vdn_seed1 is asked for twice"),
    "task twice": ({"tasks": "[{env_config: lbf}, {env_config: lbf, lr: 0.1}]"}, "variants"),
    "seed of the wrong type": ({"seeds": "[one]"}, "seeds"),
    "negative seed": ({"seeds": "[-1]"}, "seeds"),
    "no seeds": ({"seeds": "[]"}, "seeds"),
    "algorithms of the wrong type": ({"algorithms": "vdn"}, "algorithms"),
    "nested setting": ({"settings": "{env_args: {key: climbing}}"}, "settings"),
    "key twice": ({"settings": "{lr: 0.1, lr: 0.2}"}, "lr stands here twice"),
    "anchor": ({"settings": "&a {lr: 0.1}"}, "an anchor"),
    "tag": ({"seeds": "!!python/object/apply:os.system [echo hi]"}, "a tag"),
    "variant that climbs out": ({"variants": "{../out: {lr: 0.1}}"}, "names a folder"),
    "unknown running": ({"running": "{job: 2}"}, "jobs"),
    "running out of range": ({"running": "{jobs: 0}"}, "jobs"),
    "not YAML": ({"running": "{jobs: "}, "not valid YAML"),
}


@pytest.mark.parametrize(("fields", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_before_anything_starts(fields, says, capsys):
    path = write(**(GOOD | fields))
    before = files(Path())
    assert study.main(["run", str(path)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err and not out
    assert files(Path()) == before


@pytest.mark.parametrize("subcommand", ["run", "status", "stop"])
@pytest.mark.parametrize(
    ("words", "says"), [(["nowhere.yaml"], "nowhere.yaml"), ([], "STUDY"), (["a", "--jbs"], "--jbs")]
)
def test_a_mistaken_command_is_one_line(subcommand, words, says, capsys):
    assert study.main([subcommand, *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err


@pytest.mark.parametrize(("words", "says"), [([], "SUBCOMMAND"), (["rnu"], "run"), (["--jobs"], "SUBCOMMAND")])
def test_a_mistaken_subcommand_is_one_line(words, says, capsys):
    assert study.main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err


@pytest.mark.parametrize("subcommand", study.SUBCOMMANDS)
def test_every_subcommand_has_its_help(subcommand, capsys):
    with pytest.raises(SystemExit) as left:
        study.main([subcommand, "--help"])
    assert left.value.code == 0 and f"study.py {subcommand}" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_studies_can_be_run(path):
    runs = asked.read(path, {}).runs
    assert len({run.name for run in runs}) == len(runs) >= 2


def test_a_study_file_that_is_no_mapping_is_refused():
    path = Path("list.yaml")
    path.write_text(textwrap.dedent("- a\n- b\n"))
    with pytest.raises(UserError, match=r"list.yaml:1"):
        asked.read(path, {})
