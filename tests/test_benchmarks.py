"""The benchmarks run, and what they compare computes the same."""

import json
import re
import subprocess
import sys
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch as th
from fixtures_mmsa import make_batch, make_learner
from packages import needs
from processes import WAIT
from tiny_runs import DREAMS

from components.episode_rows import EpisodeRows

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def output_of(name, *args):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=4 * WAIT).stdout


@pytest.mark.parametrize(("alg", "parts"), [("qmix", 6), ("mmsa", 8)])
def test_an_update_is_measured_part_by_part(alg, parts, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import train_step

    sizes = {"rnn_hidden_dim": "32", "grad_norm_clip": "5"}
    words = Namespace(shape="lbf", device="cpu", threads=2, repeats=1, batch_size=2, settings=sizes)
    threads = th.get_num_threads()
    try:
        train_step.report(alg, words, rate=1e9)
    finally:
        th.set_num_threads(threads)
    table = capsys.readouterr().out
    assert re.match(rf"\n{alg}: \d+\.\d ms per update .*, peak memory \d+ MiB\n  \d+\.\d GFLOP", table)
    assert len(re.findall(r"^  [A-Za-z ]+ \d+\.\d ms$", table, re.M)) == parts
    assert re.search(r"^  shared by 2 processes: \d+\.\d ms$", table, re.M)


def test_the_steps_of_a_method_that_dreams_are_measured_apart(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import train_step

    sizes = DREAMS | {"segments": "16", "world_width": "128", "decoder_width": "128"}
    words = Namespace(shape="lbf", device="cpu", threads=1, repeats=1, batch_size=2, settings=sizes)
    train_step.report("dmawm", words, rate=1e9)
    said = capsys.readouterr().out
    assert said.startswith("\ndmawm: 16 segments of 8 rows, 16 starts, 4 steps, 3 epochs (medians of 1)\n")
    line = r"^  ([a-z ]+?) +(\d+\.\d) ms +(\d+\.\d\d) GFLOP in matrix products, \d+% of the rate$"
    told = re.findall(line, said, re.M)
    assert [name for name, *_ in told] == ["segments", "model step", "imagination", "behaviour step"]
    took, counted = ({name: float(row[n]) for name, *row in told} for n in (0, 1))
    assert took["behaviour step"] > took["imagination"] > 0 and counted["segments"] == 0 < counted["model step"]
    assert re.search(r"^  one round every 32 environment steps: at most [1-9]\d* of them a second$", said, re.M)


def test_methods_are_measured_in_turn_beside_the_first():
    said = output_of("methods", "--algs", "vdn", "cia", "hpn_qmix", "--batch-size", "2", "--rounds", "1")
    rows = re.findall(r"^\| `(\w+)` \| (\d+\.\d\d) \| \d+ \|$", said, re.M)
    assert [name for name, _ in rows] == ["vdn", "cia", "hpn_qmix"] and rows[0][1] == "1.00"


def test_products_are_counted_in_place_too(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from operations import OperationCounter

    x, weight, out = th.randn(4, 3), th.randn(3, 5), th.randn(4, 5)
    with OperationCounter() as counter:
        x @ weight
        out.addmm_(x, weight)
        out[None].baddbmm_(x[None], weight[None])
    assert counter.total == 3 * 2 * 4 * 3 * 5


@pytest.mark.slow
def test_growth_is_told_with_times_memory_and_an_exponent():
    small = ("--sizes", "1", "2", "--batch-size", "1", "--repeats", "1", "--settings", "rnn_hidden_dim=8")
    said = output_of("scaling", "--algs", "qmix", *small)
    number = r"(\d+) ms (\d+) MiB"
    told = re.fullmatch(rf"qmix, agents 1: {number}, 2: {number}; exponent (-?\d+\.\d\d)\n", said)
    assert all(int(figure) > 0 for figure in told.groups()[:4]) and float(told[5]) < 3


@pytest.mark.slow
def test_updates_are_timed_with_episodes_of_one_length_and_of_many():
    said = output_of("lengths", "--product", "plain", "--algs", "qmix", "--updates", "2")
    told = re.findall(r"^qmix, (full|varying): (\S+) ms an update, (\S+) µs a row$", said, re.M)
    assert [name for name, *_ in told] == ["full", "varying"]
    (_, full, full_row), (_, varying, varying_row) = told
    assert float(full) / float(full_row) > float(varying) / float(varying_row) > 0


def test_a_stored_episode_takes_less_than_two_fifths_of_pymarl2s():
    said = output_of("memory", "--episodes", "60")
    assert 0.1 < float(re.search(r"ratio (\S+)", said)[1]) <= 0.4


def test_what_a_step_of_a_suite_takes_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bytes_per_step

    path = tmp_path / "bytes.json"
    words = ["--suites", "lbf", "matrix_game", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", ["bytes_per_step.py", *words])
    bytes_per_step.main()
    told = json.loads(path.read_text())["tasks"]
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == list(told) and len(told) == 4
    few, many = (told[f"lbf Foraging-{task}-v3"] for task in ("2s-10x10-3p-3f", "15x15-8p-5f"))
    observed = 3 * 18  # a byte for each number that three agents see; their state is as long
    assert observed < few["bytes"] < 2 * observed and abs(few["state_twice"] - few["bytes"] - observed) < 4
    assert many["full"] == many["bytes"] * 51 * 5000 > few["full"]


@pytest.mark.slow
def test_play_is_split_into_its_parts():
    said = output_of("acting", "--rounds", "1")
    assert re.findall(r"^(\w+): \d+ steps/s", said, re.M) == ["qmix", "mmsa"]
    shares = [int(share) for share in re.findall(r"(\d+)%", said)]
    assert sum(shares) == pytest.approx(200, abs=4)


@pytest.mark.slow
def test_a_checkpoint_is_priced_in_time_and_bytes():
    said = output_of("checkpoint", "--config", "qmix", "--rounds", "4", "--every", "2")
    priced = re.findall(r"^ +\d+ ms, checkpoint (\d+) kB, replay (\d+) kB$", said, re.M)
    assert len(priced) == 2 and all(int(n) > 0 for parts in priced for n in parts)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jaxmarl") is None, reason="needs requirements-smax.txt")
def test_a_script_wins_battles_and_a_look_ahead_more():
    words = ("--battles", "256", "--planned", "4", "--candidates", "64", "--rollouts", "4")
    script, ahead = (float(share) for share in re.findall(r": ([\d.]+) of", output_of("smax_ceiling", *words)))
    assert 0.5 < script < 0.8 and ahead > script


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jaxmarl") is None, reason="needs requirements-smax.txt")
def test_smax_is_measured_beside_itself():
    said = output_of("smax", "--map", "3m", "--battles", "16", "--rounds", "1")
    assert 0 < float(re.search(r"^3m, 16 battles: runner \d+ steps/s .* ratio (\S+)$", said, re.M)[1]) < 2


@needs("gymma")
@pytest.mark.slow
def test_what_the_doors_cost_is_told():
    row = r"^\| (.*) \| (auto|concat) \| (\d+) \| (\S+) \(.* to .*\) \|$"
    rows = re.findall(row, output_of("door", "--blocks", "3"), re.M)
    assert len(rows) == 6 and all(0 < float(added) < 5000 for _, _, _, added in rows[2:])
    said = output_of("own", "--rounds", "1", "--copies", "8")
    assert 0 < float(re.search(r"^envs.example_batch:Ring, 8 copies: .* ratio (\S+)$", said, re.M)[1]) < 2


@needs("gymma")
@pytest.mark.slow  # three processes start
def test_workers_are_counted():
    said = output_of("workers", "--numbers", "100", "--rounds", "1")
    assert re.findall(r"^(\d) workers: \d+ steps/s", said, re.M) == ["1", "2"]


@pytest.mark.slow
def test_the_cost_of_the_best_checkpoint_is_told():
    said = output_of("best_checkpoint", "--episodes", "2")
    sizes = dict(re.findall(r"^(\w+): evaluation \S+ s, keeping the best \d+ ms, (\S+) MB$", said, re.M))
    assert sizes.keys() == {"qmix", "mmsa"} and 0.1 < float(sizes["qmix"]) < float(sizes["mmsa"]) < 10


@pytest.mark.slow
def test_suites_are_trained_on_and_laid_out_in_a_table(tmp_path):
    said = output_of("suites", "--tasks", "lbf", "--algs", "vdn", "--results", str(tmp_path), "--settings", "t_max=100")
    head, line, row = said.splitlines()
    assert row.startswith("| lbf | vdn | ") and head.count("|") == line.count("|") == row.count("|") == 10
    figures = [float(cell) for cell in row.split("|")[3:9]]
    assert 100 <= figures[0] <= 400 and figures[2] > 0 and figures[3] > 0 and 0 <= figures[5] <= 1


@pytest.mark.slow
def test_whole_runs_are_timed():
    said = output_of("throughput", "--rounds", "1", "--steps", "16000", "--threads", "1")
    speeds = dict(re.findall(r"^(\w+): median (\d+) steps/s$", said, re.M))
    assert speeds.keys() == {"qmix", "mmsa"} and all(int(speed) > 100 for speed in speeds.values())


@pytest.mark.parametrize("config", ["qmix", "mmsa"])
def test_the_step_by_step_form_has_the_same_losses_and_gradients(config, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from step_by_step import make_step_by_step

    means = {"wm_sample": False} if config == "mmsa" else {}
    learner, batch = make_learner(config, **means), make_batch()
    rows = EpisodeRows(batch, packed=False)
    inputs = learner.parameters
    whole = learner.losses(rows)[0]
    expected = th.autograd.grad(sum(whole.values()), inputs)
    make_step_by_step(learner, batch.batch_size)
    stepped = learner.losses(rows)[0]
    th.testing.assert_close(stepped, whole, rtol=1e-5, atol=1e-6)
    th.testing.assert_close(th.autograd.grad(sum(stepped.values()), inputs), expected, rtol=1e-3, atol=1e-5)


def test_a_mistake_is_answered_in_one_line():
    command = [sys.executable, str(BENCHMARKS / "train_step.py"), "--batch-size", "1", "--settings", "lr=9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=4 * WAIT)
    assert done.returncode == 2 and done.stderr.startswith("error: lr=9") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_answers_so(path):
    text = path.read_text()
    assert "__main__" not in text or text.endswith('if __name__ == "__main__":\n    command(main)\n')


def test_a_day_with_a_gpu_is_practised_on_a_cpu(tmp_path):
    words = ("--small", "--device", "cpu", "--out", str(tmp_path), "--sections", "roofline", "scaling")
    said = output_of("gpu_day", *words)
    day = json.loads((tmp_path / "gpu_day.json").read_text())
    assert day["machine"]["name"] and day["left_out"] == [] and day["small"]
    assert day["scaling"].keys() == {"qmix", "mmsa", "mappo", "dmawm"}
    assert day["roofline"].keys() - day["scaling"].keys() == {"qmix, in bfloat16", "mmsa, in bfloat16"}
    for found in day["roofline"].values():
        assert found["seconds"] > 0 and found["bytes"] > found["operations"] / 100 > 0
    assert (tmp_path / "gpu_day.md").read_text() in said and "| dmawm |" in said


def test_parity_wants_a_checkout_in_one_line(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "parity.py"), "--against", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert f"--against {tmp_path}: no EPyMARL checkout there" in done.stderr


@pytest.mark.slow
def test_a_whole_day_with_its_runs_is_practised_too(tmp_path):
    output_of("gpu_day", "--small", "--device", "cpu", "--out", str(tmp_path))
    day = json.loads((tmp_path / "gpu_day.json").read_text())
    assert len(day["runs"]) == 7 and not [run for run in day["runs"].values() if "failed" in run], day["runs"]
    output_of("gpu_day", "--small", "--device", "cpu", "--minutes", "0", "--out", str(tmp_path))
    assert json.loads((tmp_path / "gpu_day.json").read_text())["runs"] == {}  # nothing but the name of what is left out


def test_what_an_operation_moves_is_what_it_reads_and_writes(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from operations import TrafficCounter

    x, y = th.zeros(10, 20), th.zeros(20, 5)
    with TrafficCounter() as traffic:
        x @ y
        x.view(2, 100)[0].t()  # moves nothing
        x.add_(1)
    assert traffic.total == 4 * (200 + 100 + 50) + 4 * (200 + 200)


def figures_in(folder):
    """Two machines' figures, as benchmarks write them."""
    machine = {"name": "Abacus, 2 cores", "date": "2026-01-02", "commit": "abcdef0", "torch": "2", "gpu": None}
    throughput = {"peer": "them", "runs": {
        "qmix": {"median": 300.0, "rounds": [290.0, 310.0], "shares": {"learn": 0.7, "act": 0.3}},
        "them": {"median": 100.0, "rounds": [100.0, 100.0], "shares": {}},
    }}  # fmt: skip
    day = {"scaling": {"qmix": {"3": 0.01, "8": 0.02}, "mmsa": {"3": 0.03}}, "small": False}
    for name, benchmark, said in (("a", "throughput", throughput), ("b", "gpu_day", day)):
        text = json.dumps({"benchmark": benchmark, "command": "python benchmarks/x.py", "machine": machine} | said)
        (folder / f"{name}.json").write_text(text)


def test_pages_are_made_of_the_figures_that_there_are(tmp_path):
    figures_in(tmp_path)
    page = tmp_path / "page.md"
    growth = "<!-- figures: growth -->\n<!-- end -->\nAfter\n"
    page.write_text(f"Before\n<!-- figures: speed -->\nold\n<!-- end -->\n{growth}")
    words = ("--figures", str(tmp_path), "--pages", str(page))
    with pytest.raises(subprocess.CalledProcessError):
        output_of("report", *words, "--check")
    output_of("report", *words)
    text = page.read_text()
    assert text.startswith("Before\n<!--") and text.endswith("-->\nAfter\n") and "old" not in text
    assert "**Abacus, 2 cores**, 2026-01-02, commit `abcdef0`" in text
    assert "| qmix | 300 | 290, 310 | 3.00 | learn 70%, act 30% |" in text
    assert "| mmsa | 30.0 ms |  |" in text and "](figures/b.svg)" in text and (tmp_path / "b.svg").stat().st_size > 1000
    output_of("report", *words, "--check")


def test_this_repositorys_pages_are_made_of_its_figures():
    output_of("report", "--check")
