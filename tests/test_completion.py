"""Completion in a shell: what is offered comes from the declarations, and bash and zsh read the scripts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import main
from mmsa_pymarl.cli import COMMANDS
from mmsa_pymarl.cli import main as mmsa
from mmsa_pymarl.completion import candidates
from mmsa_pymarl.completion_command import script
from settings import declared_settings

MMSA = Path(main.__file__).parent / "mmsa_pymarl"


def offered(line):
    return candidates(line.split(" "), COMMANDS)


@pytest.mark.parametrize(("line", "words"), [
    ("", list(COMMANDS)), ("tr", ["train"]), ("study sta", ["status"]), ("completion ", ["bash", "zsh"]),
    ("train --config=qmix_e", ["--config=qmix_epymarl"]), ("train --env-config=mat", ["--env-config=matrix_game"]),
    ("train --config=mmsa --", ["--env-config="]), ("train --config=mmsa w", ["with"]),
    ("train res", ["resume=", "resume=latest"]), ("train resume=latest ", ["with"]),
    ("train --config=mmsa --env-config=lbf with env_args.k", ["env_args.key="]),
    ("train --config=mmsa --env-config=lbf with device=", ["device=auto", "device=cpu", "device=cuda"]),
    ("train --config=mmsa --env-config=lbf with threads=", ["threads=auto"]),
    ("train --config=mmsa --env-config=lbf with double_q=t", ["double_q=true"]),
    ("train --config=mmsa --env-config=lbf with seed=1 see", []), ("train --config=mmssa --env-config=lbf with ", []),
    ("train --config=mmsa --env-config=lbf with protocol=sm", ["protocol=smac", "protocol=smacv2"]),
    ("settings --js", ["--json-schema"]), ("settings --fi", ["--files-schema"]), ("doctor mam", ["mamujoco"]),
    ("record results", []),
])  # fmt: skip
def test_what_may_stand_next_is_offered(line, words):
    assert offered(line) == words


def test_every_setting_of_a_pair_of_configs_is_offered_once():
    declared = declared_settings("mmsa", "lbf", main.CONFIG_DIR)
    assert offered("train --config=mmsa --env-config=lbf with ") == [f"{key}=" for key in declared]


def test_the_script_knows_the_options_of_commands(capsys):
    def helps(words):
        print("usage: mmsa plot [--metric NAME] [--out-to FILE] x--no")
        raise SystemExit(0)

    assert "'plot '*) options='--metric --out-to' ;;" in script("bash", {"plot": helps})
    assert mmsa(["completion", "bahs"]) == 2 and "'bash', 'zsh'" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "replies"), [
    ("mmsa train --config=mmsa --env-config=lbf with buffer_device=", ["cpu", "disk", "learner"]),
    ("mmsa plot --me", ["--metric"]),
])  # fmt: skip
def test_bash_completes(line, replies, tmp_path):
    def helps(words):
        print("--metric")

    text = script("bash", {"plot": helps})
    ask = f"""mmsa() {{ {sys.executable} {MMSA} "$@"; }}\n{text}
COMP_LINE={line!r} COMP_POINT={len(line)}; _mmsa; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-u", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == sorted(replies) and not done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_reads_its_script():
    subprocess.run(["zsh", "-n"], input=script("zsh", {}), text=True, check=True)
