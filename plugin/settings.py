"""The host's `config/algs/mmsa.yaml`, made of our settings files."""

from pathlib import Path

from plugin.hosts import Host
from plugin.method import SOURCE
from settings import Entry, read_entries

# Settings that all algorithms share here and that MMSA brings along: those that hosts lack, or give other values.
SHARED = (
    "epsilon_start", "epsilon_finish", "epsilon_anneal_time",
    "gamma", "td_lambda", "double_q", "buffer_size", "batch_size", "lr", "optim_eps", "grad_norm_clip",
    "target_update_interval", "rnn_hidden_dim", "mixing_embed_dim", "hypernet_embed", "initial_value",
)  # fmt: skip

HEADER = """\
# MMSA (Wang and Meger, AAMAS 2026) for {host}, made by scripts/install_plugin.py of MMSA for PyMARL from its settings.
# Comments say type, range and meaning. Nothing here checks them, and a misspelt setting is {host}'s to find.

name: mmsa

# as {host} plays: {updates} updates after {episodes} episodes become one after {batch_size_run}
runner: parallel
batch_size_run: {batch_size_run}
action_selector: epsilon_greedy
"""


def host_settings(host: Host) -> bytes:
    """Return the settings file for a host: what it needs to run MMSA, our shared settings, and `mmsa.yaml` as it is."""
    default, method = (SOURCE / "config" / name for name in ("default.yaml", "algs/mmsa.yaml"))
    shared, own = _by_key(default), _by_key(method)
    updates, episodes = (int(shared[key].text) for key in ("updates_per_run", "batch_size_run"))
    parts = [HEADER.format(host=host.name, updates=updates, episodes=episodes, batch_size_run=episodes // updates)]
    parts += [f"{line}\n" for line in host.settings]
    parts.append("\n# shared with every algorithm in MMSA for PyMARL\n")
    lines = default.read_text(encoding="utf-8").splitlines(keepends=True)
    for key in SHARED:
        if key not in own:
            line = lines[shared[key].line - 1]
            parts.append(line.replace(key, host.renamed.get(key, key), 1))
    return "".join([*parts, "\n", method.read_text(encoding="utf-8")]).encode()


def _by_key(path: Path) -> dict[str, Entry]:
    return {entry.key: entry for entry in read_entries(path)}
