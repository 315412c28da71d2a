"""`scripts/mend_host.py`: lines that stop old hosts on current machines become others, and come back to the byte."""

import re

import mend_host
import pytest
from plugin_hosts import REPOSITORY
from tiny_runs import files

from plugin.mendings import MENDINGS, NAMES

# What hosts hold, by file, and what must not be there afterwards.
LINES = {
    "src/main.py": [
        "import collections",
        "        if isinstance(v, collections.Mapping):",
        "                config_dict = yaml.load(f)",
        "config = yaml.load(f, Loader=yaml.FullLoader)",
    ],
    "src/run/run.py": [
        "from smac.env import StarCraft2Env",
        "    os._exit(os.EX_OK)",
        "            evaluate_sequential(args, runner)",
        "def evaluate_sequential(args, runner):",
    ],
    "src/envs/__init__.py": [
        "from smac.env import MultiAgentEnv, StarCraft2Env",
        "from .starcraft import StarCraft2Env",
        "from .smaclite_wrapper import SMACliteWrapper",
        "from .particle import Particle",
    ],
    "src/envs/stag_hunt/stag_hunt.py": ["import pygame", "            pygame.quit()"],
    "src/components/action_selectors.py": ["from matplotlib.pyplot import xcorr"],
    "src/modules/critics/__init__.py": ["from .pac_ac_ns import PACCriticNS", "from .pac_dcg_ns import DCGCriticNS"],
    "src/learners/__init__.py": [
        "from .actor_critic_pac_learner import PACActorCriticLearner",
        "from .actor_critic_pac_dcg_learner import PACDCGLearner",
    ],
    "src/controllers/__init__.py": ["from .cqmix_controller import CQMixMAC"],
    "src/utils/logging.py": ["        from tensorboard_logger import configure, log_value"],
}
STAYS = {
    "config = yaml.load(f, Loader=yaml.FullLoader)", "def evaluate_sequential(args, runner):",
    "            pygame.quit()",
}  # fmt: skip


@pytest.fixture(params=["\n", "\r\n"], ids=["LF", "CRLF"])
def fork(request, tmp_path):
    for name, lines in LINES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(request.param.join(lines).encode())  # the last line is not ended
    return tmp_path


def mend(fork, *words):
    return mend_host.main([str(fork), *words])


def lines_of(fork, name):
    return (fork / name).read_bytes().decode().splitlines()


def test_every_line_in_question_is_mended_in_place_and_undone_to_the_byte(fork):
    before = files(fork)
    assert mend(fork, *NAMES) == 0
    for name, lines in LINES.items():
        found = lines_of(fork, name)
        assert len(found) == len(lines)
        for was, now in zip(lines, found, strict=True):
            assert (now == was) == (was in STAYS), was
            indent = len(was) - len(was.lstrip())
            assert now[:indent] == was[:indent] and now.endswith(was)
            block = now.strip().startswith(("if ", "def "))
            compile(f"{now.strip()}\n  pass" if block else now.strip(), name, "exec")
    again = files(fork)
    assert mend(fork, *NAMES) == 0
    assert files(fork) == again  # what is mended needs no mending
    assert mend(fork, "--undo") == 0
    assert files(fork) == before


@pytest.mark.parametrize("mending", MENDINGS, ids=lambda mending: mending.name)
def test_each_is_asked_for_and_undone_by_its_name(fork, mending, capsys):
    before = files(fork)
    others = [name for name in NAMES if name != mending.name]
    assert mend(fork, mending.name) == 0
    mended = files(fork)
    assert mended != before and f"{mending.name}:" in capsys.readouterr().out
    assert mend(fork, *others) == 0
    assert mend(fork, "--undo", *others) == 0
    assert files(fork) == mended
    (fork / "src/run/run.py").write_bytes((fork / "src/run/run.py").read_bytes() + b"\n# mine\n")
    assert mend(fork, "--undo", mending.name) == 0
    assert files(fork).pop(next(path for path in files(fork) if path.name == "run.py")).endswith(b"\n# mine\n")
    rest = {path: text for path, text in files(fork).items() if path.name != "run.py"}
    assert rest == {path: text for path, text in before.items() if path.name != "run.py"}


def test_without_a_name_it_says_what_may_be_needed_and_writes_nothing(fork, capsys):
    before = files(fork)
    assert mend(fork) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith(f"python scripts/mend_host.py {fork} {' '.join(NAMES)}")
    assert files(fork) == before
    assert mend(fork, *NAMES) == 0 and mend(fork) == 0
    assert capsys.readouterr().out.endswith("nothing to mend\n")


def test_mistakes_are_one_line(fork, tmp_path, capsys):
    before = files(fork)
    for words, says in (
        ([str(fork), "yml"], "yml: no mending"),
        ([str(tmp_path / "nowhere")], "holds no src/main.py"),
        ([], "see python scripts/mend_host.py --help"),
    ):
        assert mend_host.main(words) == 2
        err = capsys.readouterr().err
        assert says in err and err.count("\n") == 1
    assert mend(fork, "--undo") == 0
    assert "nothing of that was mended here" in capsys.readouterr().out
    assert files(fork) == before


def test_the_guide_names_every_mending():
    guide = (REPOSITORY / "docs" / "plugin.md").read_text()
    assert all(f"`{name}`" in guide for name in NAMES)


def test_every_row_of_the_guide_s_obstacles_is_cured_by_pip_or_by_a_mending():
    guide = (REPOSITORY / "docs" / "plugin.md").read_text().partition("## What stops hosts today")[2]
    rows = [line.split(" | ") for line in guide.partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    cures = [re.findall(r"`([^`]+)`", helps)[0] for _, _, _, helps in rows]
    assert len(cures) > 20 and all(cure in NAMES or cure.startswith("pip ") for cure in cures)
    asked = [line.split()[3:] for line in guide.splitlines() if line.startswith("    python scripts/mend_host.py")]
    assert asked and all({*words} <= {*NAMES} for words in asked)
