"""MMSA in the real PyMARL2 and EPyMARL, where `PYMARL2_DIR` and `EPYMARL_DIR` name checkouts; on copies of them.

EPyMARL needs `smaclite` to start.
"""

import math
import re
import shutil
from shlex import split

import install_plugin
import numpy as np
import pytest
from plugin_hosts import REPOSITORY, assert_the_same, mended_copy, python, train_here, train_there
from tiny_runs import files

GUIDE = (REPOSITORY / "docs" / "plugin.md").read_text()
SHORT = ("batch_size=8", "learner_log_interval=50", "test_nepisode=4", "seed=1", "use_cuda=False")
SAVED = ("save_model=True", "save_model_interval=200", "local_results_path=models")
HOSTS = {  # the variable that names a checkout, and steps for 50 updates of one in 4 episodes
    "PyMARL2": ("PYMARL2_DIR", "one_step_matrix_game", 240),
    "EPyMARL": ("EPYMARL_DIR", "gymma", 10400),
}
pytestmark = pytest.mark.parametrize("name", HOSTS)


@pytest.fixture
def host(name, tmp_path):
    return mended_copy(HOSTS[name][0], tmp_path / name)


def guide_lines(start):
    return [line.strip() for line in GUIDE.splitlines() if line.startswith(f"    {start}")]


def command(config, name):
    """Return the words of the guide's command for a config on the host's environment."""
    (line,) = guide_lines(f"python src/main.py --config={config} --env-config={HOSTS[name][1]}")
    words = split(line)[1:]
    return words if "with" in words else [*words, "with"]


def test_it_trains_goes_on_from_its_models_and_leaves_no_trace(host, name):
    before = files(host)
    assert install_plugin.main([str(host)]) == 0
    steps = HOSTS[name][2]
    said = python(host, *command("mmsa", name), *SHORT, *SAVED, f"t_max={steps}", "log_interval=100")
    losses = re.findall(r"(loss_\w+|grad_norm): +(\S+)", said)
    assert {key for key, _ in losses} == {"loss_td", "loss_kl", "loss_rec", "loss_sale", "grad_norm"}
    assert all(math.isfinite(float(value)) for _, value in losses)
    saved = {int(path.parent.name): path for path in host.rglob("mmsa.npz")}
    with np.load(saved[max(saved)], allow_pickle=False) as state:
        assert state["numbers.updates"] >= 50
        assert all(np.isfinite(state[name]).all() for name in state.files)

    folder = saved[max(saved)].parents[1]
    again = (f"checkpoint_path={folder}", "evaluate=True", "test_interval=1")
    assert f"Loading model from {folder}" in python(host, *command("mmsa", name), *SHORT, *again)

    for path in (host / "models", host / "results"):
        shutil.rmtree(path)
    assert install_plugin.main([str(host), "--uninstall"]) == 0
    assert {path: text for path, text in files(host).items() if "__pycache__" not in path.parts} == before


def test_the_guide_s_qmix_runs_beside_it(host, name):
    assert install_plugin.main([str(host)]) == 0
    said = python(host, *command("qmix", name), *SHORT, "t_max=1000", "log_interval=100")
    assert math.isfinite(float(re.findall(r"\bloss(?:_td)?: +(\S+)", said)[-1]))


def test_the_same_episodes_and_weights_give_the_same_losses(host, name, tmp_path):
    assert install_plugin.main([str(host)]) == 0
    case, here = train_here({})
    (there,) = train_there(host, tmp_path, [case])
    assert_the_same(there, here)
