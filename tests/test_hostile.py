"""Archives are data: whatever stands in one, opening it runs none of it, and damage is answered with one line."""

import json
import re
import struct
from pathlib import Path

import pytest
import torch as th
from packages import needs
from safetensors.torch import load_file, save_file
from tiny_runs import files, play, words

import main
from envs import ENVS
from envs.gymma import GymmaEnv
from settings import resolve
from training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from training.reopen import reopen
from utils.errors import UserError


@pytest.fixture(scope="module")
def archived(tmp_path_factory):
    """A finished run with one checkpoint, so that there is none before it, for copies."""
    return play("vdn", results=tmp_path_factory.mktemp("r"), save_model_interval="1000000")


@pytest.fixture
def folder(archived, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in files(archived).items():
        path = tmp_path / "results" / "sacred" / "one_step" / "vdn" / "1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "results" / "sacred" / "one_step" / "vdn" / "1"


def refused(argv, capsys, folder):
    """The one line with which a command is refused that leaves everything as it was."""
    before = files(folder)
    assert main.main(argv) in (2, 3)
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    after = files(folder)
    if Path("run.lock") not in before:
        after.pop(Path("run.lock"), None)  # says who looked into it
    assert after == before
    return err


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


LIES = {
    "longer than the file": struct.pack("<Q", 2**60) + b"{}",
    "no JSON": safetensors(b"not JSON"),
    "data beyond the end": safetensors({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, b"1234"),
    "shape of another size": safetensors({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"1234"),
    "negative shape": safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
    "offsets backwards": safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
    "huge shape": safetensors({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 4]}}, b"1234"),
    "no such type": safetensors({"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
    "nothing": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_answered_with_one_line(lie, folder, capsys):
    last = find_checkpoint(str(folder))
    (last / "tensors.safetensors").write_bytes(LIES[lie])
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(last)
    assert "cannot be read" in refused([f"resume={folder}", "with", "t_max=900"], capsys, folder)


DAMAGES = {  # of one value in numbers.json
    "t_env a text": ("t_env", "soon"),
    "t_env a list": ("t_env", [1]),
    "t_env a flag": ("t_env", True),
    "learner a list": ("learner", []),
    "updates a text": ("learner.updates", "7"),
    "no due": ("resume.due", {}),
    "due a text": ("resume.due.save", "later"),
    "due negative": ("resume.due.log", -1),
    "recent a number": ("resume.recent", 3),
    "recent of other names": ("resume.recent", [{"reward": 1}]),
    "recent of texts": (
        "resume.recent",
        [{"seed": 1, "episode_return": "x", "length": "y", "truncated": False, "info": {}}],
    ),
    "more episodes than there are": ("resume.replay.inserted", 10**6),
    "episodes a text": ("resume.replay.inserted", "all"),
    "another generator": ("resume.replay.rng", {"bit_generator": "os.system"}),
    "no generator": ("resume.replay.rng", None),
    "Python's generator": ("resume.random.python", ["x"]),
    "NumPy's generator": ("resume.random.numpy", [2**80, 0, 0.0]),
    "longer list of episodes": ("resume.eval_episodes_bytes", 10**9),
    "negative list of episodes": ("resume.eval_episodes_bytes", -5),
    "no resume": ("resume", None),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_numbers_of_other_kinds_are_answered_with_one_line(damage, folder, capsys):
    path = find_checkpoint(str(folder)) / "numbers.json"
    numbers = json.loads(path.read_text())
    (*groups, last), value = DAMAGES[damage][0].split("."), DAMAGES[damage][1]
    place = numbers
    for group in groups:
        place = place[group]
    place[last] = value
    path.write_text(json.dumps(numbers))
    assert "checkpoint" in refused([f"resume={folder}", "with", "t_max=900"], capsys, folder)


TENSORS = {
    "rng.torch": th.zeros(3, dtype=th.uint8),
    "rng.python": th.zeros(2, dtype=th.int64),
    "rng.numpy": th.zeros(2, 2),
    "optimiser.0.exp_avg": th.zeros(3),
    "optimiser.99.exp_avg": th.zeros(3),
    "optimiser.x.y.z": th.zeros(3),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_other_forms_are_answered_with_one_line(name, folder, capsys):
    path = find_checkpoint(str(folder)) / "tensors.safetensors"
    save_file(load_file(path) | {name: TENSORS[name]}, path)
    assert "checkpoint" in refused([f"resume={folder}", "with", "t_max=900"], capsys, folder)


FORMS = {
    "narrow": lambda rows: rows[:, :3].clone(), "floats": lambda rows: rows.float(),
    "flat": lambda rows: rows[:, 0].clone(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_replay_of_another_form_is_answered_with_one_line(form, folder, capsys):
    for path in (folder / "replay").iterdir():
        tensors = load_file(path)
        save_file(tensors | {"rows": FORMS[form](tensors["rows"])}, path)
    assert "another form" in refused([f"resume={folder}", "with", "t_max=900"], capsys, folder)


FILES = ["config.json", "info.json", "checkpoints/{last}/numbers.json", "checkpoints/{last}/figures.json"]
CONTENTS = {
    "cut": lambda text: text[:-9],
    "binary": lambda text: b"\xff\xfe\x00",
    "a list": lambda text: "[1]",
    "a number": lambda text: "7",
    "deep": lambda text: "[" * 100_000,
    "long number": lambda text: '{"a": ' + "9" * 5000 + "}",
    "a text for a list": lambda text: '{"test_return_mean": "best", "resumed": 3}',
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_answered_with_one_line(file, content, folder, capsys):
    path = folder / file.format(last=find_checkpoint(str(folder)).name)
    new = CONTENTS[content](path.read_text())
    path.write_bytes(new if isinstance(new, bytes) else new.encode())
    refused([f"resume={folder}", "with", "t_max=900"], capsys, folder)


CLIMBING = {
    "name": "../../../evil", "env_config": "../lbf", "mixer": "../../qmix", "env_args.key": "../../../../one_step",
}  # fmt: skip


@pytest.mark.parametrize("key", CLIMBING)
def test_a_path_that_climbs_out_is_refused(key, folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    group = config["env_args"] if key.startswith("env_args.") else config
    group[key.removeprefix("env_args.")] = CLIMBING[key]
    (folder / "config.json").write_text(json.dumps(config))
    refused([f"resume={folder}", "with", "t_max=900"], capsys, folder)


def test_where_a_resumed_run_writes_is_not_for_its_archive_to_say(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    outside = tmp_path / "outside"
    config |= {"local_results_path": str(outside), "checkpoint_path": str(outside / "checkpoints")}
    (folder / "config.json").write_text(json.dumps(config))
    assert main.main([f"resume={folder}", "with", "t_max=260"]) == 0
    assert not outside.exists()


@pytest.mark.parametrize("env", [pytest.param(env, marks=needs(env)) for env in ENVS])
@pytest.mark.parametrize("name", ["../../x", "/etc", "..", "a/../../b:../c", "."])
def test_no_task_is_a_path(env, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    setting = {"smax": "map_name", "mamujoco": "scenario", "pymarl": "env", "own": "env"}.get(env, "key")
    argv = words("vdn", env, {f"env_args.{setting}": name, "t_max": "1"})
    assert main.main(argv) == 2
    *noise, line = capsys.readouterr().err.splitlines()  # MuJoCo's package talks when it is imported
    assert line.startswith("error: ") and not any("Traceback" in said for said in noise)
    assert not list(Path(tmp_path).rglob("*"))


IMPORTED = "raise SystemExit('the archive ran code')"


def test_an_archive_has_no_package_imported_that_is_no_suite(tmp_path, monkeypatch, capsys):
    (tmp_path / "poison.py").write_text(IMPORTED)
    monkeypatch.syspath_prepend(tmp_path)
    (folder := tmp_path / "run").mkdir()
    config = resolve("vdn", "gymma", {"env_args.key": "poison:Task-v0"}, main.CONFIG_DIR)
    (folder / "config.json").write_text(json.dumps(config))
    said = refused([f"resume={folder}"], capsys, folder)
    assert "the package poison" in said and "python src/doctor.py --trust poison" in said
    save_checkpoint(folder / "checkpoints", 1, {}, {}, {})
    with pytest.raises(UserError, match="the package poison"):
        reopen(str(folder), main.CONFIG_DIR, {})
    for key in ("poison.task", "poison:T", "os:T"):
        assert GymmaEnv.unknown_package({"key": key}) == re.split("[.:]", key)[0]
    for key in ("rware:rware-tiny-2ag-v2", "CartPole-v1", "pettingzoo.sisl.pursuit_v5", "pz-poison-x-v1"):
        assert GymmaEnv.unknown_package({"key": key}) is None  # the last is a module of PettingZoo
    assert main.main(words("vdn", "gymma", {"env_args.key": "poison:Task-v0"})) == 2
    assert "sys.exit(the archive ran code)" in capsys.readouterr().err  # the poison works: who names it, gets it
