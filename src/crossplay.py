"""Agents of different runs in one team: `python src/crossplay.py RUN RUN ... [--out FOLDER] [with env_args.key=...]`.

Every run plays with every other and with itself, on the same episodes, and the matrix of returns is printed, drawn and
written. `--team` plays one team instead, an agent from each run.
"""

import utils.packages_here  # noqa: F401  ends with one line where there are none

# isort: split
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.arguments import Parser, whole
from utils.errors import UserError
from utils.exits import exit_code
from utils.files import unfinished
from utils.naming import to_install, typed

MAY_CHANGE = ("runner", "batch_size_run")  # and everything under env_args


def _parse(argv: Sequence[str]) -> Namespace:
    words, changes = _split(argv)
    parser = Parser(
        prog=typed("crossplay"), description="Agents of different runs in one team, greedily, on the same episodes.",
        epilog="`with env_args.key=...` at the end plays another task than the first run's, where agents allow it.",
    )  # fmt: skip
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="a run's folder (its last checkpoint is taken) or a checkpoint")  # fmt: skip
    parser.add_argument("--team", action="store_true",
                        help="no matrix: the first run's agent at the first seat, the second's at the second, ...")
    parser.add_argument("--guests", type=whole(1, 10**6), metavar="K",
                        help="in the matrix, how many seats the column's agents have, the last ones (default: half of "
                        "them, rounded down)")  # fmt: skip
    parser.add_argument("--episodes", type=whole(1, 10**6), default=128, metavar="N",
                        help="how many each pair plays, the same for all (default: 128)")  # fmt: skip
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, metavar="N",
                        help="where the episodes come from (default: 0)")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("crossplay"), metavar="FOLDER",
                        help="where the matrix is written (default: crossplay)")  # fmt: skip
    args = parser.parse_args(words)
    if len(args.runs) < 2:
        raise UserError(f"two runs are needed at least, to play with each other; see {parser.prog} --help")
    if not args.team and len(set(args.runs)) < len(args.runs):
        twice = next(run for run in args.runs if args.runs.count(run) > 1)
        raise UserError(f"{twice} is given twice; every run plays with itself anyway")
    return Namespace(**vars(args), changes=changes)


def _split(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the words before `with`, and the settings after it."""
    words = list(argv)
    if "with" not in words:
        return words, {}
    at = words.index("with")
    changes = {}
    for word in words[at + 1 :]:
        key, sign, text = word.partition("=")
        if not sign or not (key.startswith("env_args.") or key in MAY_CHANGE):
            raise UserError(f"with {word}: what may be changed here is env_args.…=, {'=, '.join(MAY_CHANGE)}=")
        changes[key] = text
    return words[:at], changes


def _work(argv: Sequence[str]) -> None:
    args = _parse(argv)
    try:
        from deployment import pairing_files, pairings  # brings Torch, which takes seconds
    except ModuleNotFoundError as missing:
        raise UserError(f"crossplay needs {missing.name}: run `{to_install('requirements-report.txt')}`") from missing
    from envs import task_name

    settings = pairings.task_settings(args.runs, args.changes)
    runner = pairings.open_runner(settings, args.episodes)
    try:
        task = task_name(settings["env"], settings["env_args"])
        guests = pairings.check_seats(task, runner.info.n_agents, args.guests, len(args.runs) if args.team else None)
        players = pairings.load_players(args.runs, runner)
        if args.team:
            results = pairings.play_team(runner, [player.mac for player in players], args.episodes, args.seed)
            print(pairing_files.team_told(players, results, _heading(task, args)))
        else:
            _matrix(args, runner, players, guests, _heading(task, args))
    finally:
        runner.close()


def _heading(task: str, args: Namespace) -> str:
    return f"{task}: {args.episodes} greedy episodes each, seed {args.seed}"


def _matrix(args: Namespace, runner: Any, players: Sequence[Any], guests: int, heading: str) -> None:
    """Play every pair; write and print the matrix."""
    from tqdm import tqdm

    from deployment import pairing_files, pairings

    names, n_agents = pairing_files.names_of(players), runner.info.n_agents
    with unfinished(args.out, names) as partial:
        with tqdm(total=len(players) ** 2, unit="pair", disable=None, leave=False) as bar:
            found = pairings.play_pairs(runner, players, guests, args.episodes, args.seed, bar.update)
        between = pairings.between_methods(players, found)
        pairing_files.write(partial, players, found, between, heading)
    print(f"{heading}; rows play the first {n_agents - guests} of {n_agents} seats, columns the last {guests}\n")
    print(pairing_files.tables(players, found, between), end="\n\n")
    print("\n".join(str(args.out / name) for name in names))


def main(argv: Sequence[str]) -> int:
    """Play, print the matrix, and return the exit code, see `exit_code`."""
    return exit_code(lambda: _work(argv), "nothing was written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
