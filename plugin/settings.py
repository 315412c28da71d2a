"""The host's `config/algs/mmsa.yaml`, made of our settings files, and what it declares of each setting.

Our files are read line by line, `key: value  # type range: meaning`, and not as YAML: this runs on the host's Python.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from plugin.hosts import Host
from plugin.method import SOURCE

# Settings that all algorithms share here and that MMSA brings along: those that hosts lack, or give other values.
SHARED = (
    "epsilon_start", "epsilon_finish", "epsilon_anneal_time",
    "gamma", "td_lambda", "double_q", "buffer_size", "batch_size", "lr", "optim_eps", "grad_norm_clip",
    "target_update_interval", "layer_norm", "rnn_hidden_dim", "mixing_embed_dim", "hypernet_embed", "long_state",
    "long_state_dim", "initial_slope", "initial_slope_above", "initial_value", "initial_gain",
)  # fmt: skip
OURS_ALONE = ("updates_per_run", "rewarded_share")  # hosts take one update a round, and draw all episodes alike

HEADER = """\
# MMSA (Wang and Meger, AAMAS 2026) for {host}, made by scripts/install_plugin.py of MMSA for PyMARL from its settings.
# Comments say type, range and meaning: a value that is out of range is refused when the run begins.

name: mmsa

# as {host} plays: {updates} updates after {episodes} episodes become one after {batch_size_run}
runner: parallel
batch_size_run: {batch_size_run}
action_selector: epsilon_greedy
"""
LINE = re.compile(r"^(?P<key>\w+): *(?P<text>[^#\s]+)(?: +# *(?P<comment>.*))?$", re.MULTILINE)
TAGS = re.compile(r"(?: \[(?:no figures|rounding|reading|since [^\[\]]*)\])+$", re.MULTILINE)  # for our archives alone
DECLARATION = re.compile(r"(?:int|float|bool|str|\{).*?: \S")


class Entry(NamedTuple):
    """A setting's line: what stands for its value, what its comment says, and the line itself."""

    text: str
    comment: str
    line: str


def host_settings(host: Host) -> bytes:
    """Return the settings file for a host: what it needs to run MMSA, our shared settings, and `mmsa.yaml` as it is."""
    default, method = ((SOURCE / "config" / name).read_text("utf-8") for name in ("default.yaml", "algs/mmsa.yaml"))
    shared, own = entries(default), entries(method)
    updates, episodes = (int({**shared, **own}[key].text) for key in ("updates_per_run", "batch_size_run"))
    parts = [HEADER.format(host=host.name, updates=updates, episodes=episodes, batch_size_run=episodes // updates)]
    parts += [f"{line}\n" for line in host.settings]
    parts.append("\n# shared with every algorithm in MMSA for PyMARL\n")
    for key in SHARED:
        line = shared[key].line.replace(key, host.renamed.get(key, key), 1)
        parts.append(line.replace(shared[key].text, own.get(key, shared[key]).text, 1) + "\n")
    for key in own.keys() & {*SHARED, *OURS_ALONE}:
        method = method.replace(own[key].line + "\n", "", 1)
    return TAGS.sub("", "".join([*parts, "\n", method])).encode()


def declarations(settings: bytes) -> bytes:
    """Return, as JSON, the comment that declares each setting of a file and the number of its line, by its name."""
    text = settings.decode()
    found = {
        match["key"]: [match["comment"], text.count("\n", 0, match.start()) + 1]
        for match in LINE.finditer(text)
        if match["comment"] and DECLARATION.match(match["comment"])
    }
    return (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()


def entries(text: str) -> dict[str, Entry]:
    """Return the entries of a settings file by their keys; nested ones are not for hosts, and left out."""
    return {m["key"]: Entry(m["text"], m["comment"] or "", m.group()) for m in LINE.finditer(text)}
