"""Figures leave for Weights & Biases, offline here, and a run that goes on goes on there."""

import json
import os
import signal
import struct
import sys
from pathlib import Path

import pytest
from processes import WAIT, running, wait_until
from tiny_runs import MAIN, TINY, files, play, read, words

import main
from training.sinks import WANDB_ID, wandb_id

OFFLINE = {"use_wandb": "true", "wandb_mode": "offline"}
BLOCK, FULL, LAST = 32768, 1, 4
SHORT = dict.fromkeys(("test_interval", "log_interval", "learner_log_interval", "save_model_interval"), "20")
THERE = {"wandb_project": "ours", "wandb_group": "a group", "wandb_team": "a-team"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # nobody's key


def records(path):
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format, in blocks of 32 KiB."""
    data, at, record = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            yield record
            record = b""


def sent(folder):
    """What an offline run keeps in its file: its description, and the figures by name, {step: value}."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("*.wandb")
    described, figures = None, {}
    for data in records(path):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "run":
            described = record.run
        elif record.WhichOneof("record_type") == "history":
            told = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            step = told.get("_step", record.history.step.num)
            for name in told.keys() - {"_step", "_runtime", "_timestamp"}:
                figures.setdefault(name, {})[step] = told[name]
    return described, figures


def archived_figures(folder):
    metrics = read(folder, "metrics.json")
    return {name: dict(zip(series["steps"], series["values"], strict=True)) for name, series in metrics.items()}


def parts(folder):
    return sorted(path for path in (folder / "wandb").glob("offline-run-*"))


def test_all_figures_leave_and_a_resumed_run_goes_on_there(capsys):
    pytest.importorskip("wandb", reason="no wandb: pip install -r requirements-wandb.txt")
    folder = play("vdn", t_max="40", batch_size="4", **OFFLINE, **SHORT, **THERE)
    (first,) = parts(folder)
    described, figures = sent(first)
    assert figures == archived_figures(folder)
    known = read(folder, "info.json")["wandb_id"]
    assert (described.run_id, described.project, described.run_group, described.entity) == (
        known, "ours", "a group", "a-team"
    )  # fmt: skip
    config = {item.key: json.loads(item.value_json) for item in described.config.update}
    assert config["env_args"] == {"key": "one_step"} and config["lr"] == read(folder, "config.json")["lr"]
    assert config["commit"] == read(folder, "info.json")["commit"]
    assert f"`wandb sync {folder}/wandb/offline-run-" in capsys.readouterr().out
    assert main.main([f"resume={folder}", "with", "t_max=64"]) == 0
    _, second = parts(folder)
    described, more = sent(second)
    assert described.run_id == known == read(folder, "info.json")["wandb_id"]
    both = {name: figures.get(name, {}) | more.get(name, {}) for name in figures | more}
    assert both == archived_figures(folder) and max(more["test_return_mean"]) >= 64


@pytest.mark.slow
def test_ctrl_c_ends_it_there_with_all_figures():
    pytest.importorskip("wandb", reason="no wandb: pip install -r requirements-wandb.txt")
    folder = Path("results/sacred/one_step/vdn/1")
    with running(MAIN, *words("vdn", "matrix_game", TINY | OFFLINE | {"t_max": "10000000"})) as process:
        wait_until(lambda: list(folder.glob("checkpoints/t_*")) or process.poll() is not None, 2 * WAIT)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=2 * WAIT)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert sent(parts(folder)[0])[1] == archived_figures(folder)


def test_without_the_package_one_line_says_what_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main.main(words("vdn", "matrix_game", TINY | OFFLINE)) == 2
    err = capsys.readouterr().err
    assert err == ("error: use_wandb=True needs wandb: run `pip install -r requirements-wandb.txt`, or take "
                   "use_wandb=False\n")  # fmt: skip
    assert not files(Path())


def test_without_an_accounts_key_nothing_is_begun(capsys):
    pytest.importorskip("wandb", reason="no wandb: pip install -r requirements-wandb.txt")
    assert main.main(words("vdn", "matrix_game", TINY | {"use_wandb": "true"})) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: wandb_mode=online: No API key configured") and "wandb_mode=offline" in last
    assert not Path("results").exists()


def test_an_id_of_an_archive_is_taken_for_no_path():
    assert wandb_id({"wandb_id": "0123abcd"}) == "0123abcd"
    for other in ({}, {"wandb_id": "../../x"}, {"wandb_id": 3}, {"wandb_id": "0123abcd/"}):
        assert WANDB_ID.fullmatch(wandb_id(other)) and wandb_id(other) != wandb_id(other)
