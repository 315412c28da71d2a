"""Environments on a Ray cluster: the episodes of every other runner, also when a node is lost in the middle."""

import time
from importlib.util import find_spec

import counting_env
import numpy as np
import pytest
from test_workers import ENV_ARGS, play
from tiny_runs import settings_of, words

import main
from envs.serving import Served
from runners.base_runner import Limits
from runners.vector_runner import VectorRunner
from utils.timing import PhaseClock

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="no ray here: pip install -r requirements-ray.txt")


def test_an_actor_answers_and_never_raises():
    served = Served(counting_env.PATH, ENV_ARGS)
    assert served.ask("close", None) == ("ok", None) and served.env is None
    status, info = served.ask("info", None)
    assert status == "ok" and info.n_agents == ENV_ARGS["n_agents"]
    assert served.ask("reset", 3)[0] == "ok" and served.ask("stats", None)[0] == "ok"
    status, told = served.ask("step", np.array([99]))
    assert status == "error" and "Traceback" in told and served.env is None  # as from a worker that ends with it
    assert Served(counting_env.PATH, {"no": 1}).ask("info", None)[0] == "error"
    assert served.ask("info", None)[0] == "ok" and served.ask("close", None) == ("ok", None)


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert main.main(words("vdn", "matrix_game", settings_of("matrix_game", runner="ray"))) == 2
    assert "pip install -r requirements-ray.txt" in capsys.readouterr().err


@needs_ray
@pytest.mark.slow
def test_a_node_that_is_lost_loses_its_episodes_and_not_the_run(monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    from runners.ray_runner import CODE, RayRunner

    monkeypatch.setenv("PYTHONPATH", f"{CODE}:{__file__.rpartition('/')[0]}")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    try:
        runner = RayRunner(counting_env.PATH, ENV_ARGS, 6, PhaseClock(), Limits(5, 60, 20))
        there = VectorRunner(counting_env.PATH, ENV_ARGS, 6, PhaseClock(), Limits(3, 60, 5))
        assert same(play(runner), play(there))
        step, calls = runner._step, []

        def losing(slots, actions):
            calls.append(slots)
            if len(calls) == 2:
                cluster.remove_node(nodes[0], allow_graceful=False)
                time.sleep(1)
            return step(slots, actions)

        monkeypatch.setattr(runner, "_step", losing)
        assert same(play(runner), play(there))
        assert runner.episodes_lost > 0 and runner.env_restarts > 0
        runner.close()
    finally:
        ray.shutdown()
        cluster.shutdown()


def same(one, other):
    (batch, results), (expected, told) = one, other
    return results == told and bool((batch.storage == expected.storage).all())
