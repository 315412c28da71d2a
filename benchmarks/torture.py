"""Six short runs of a study and a monkey that does them harm; at the end each must be its undisturbed twin, bit by bit.

    python benchmarks/torture.py --faults 210

The study's own driver does the runs, --jobs at once, and takes them up again; where all are done before the monkey is,
the study is done once more. Its processes are forked from this one, which has imported Torch already, so that each
begins at once. Between two looks the monkey kills one, asks it to stop, hangs up, begins a second one in the same
folder, fills the disk (a small tmpfs where it may mount one), takes the right to write away, moves the folder, removes
the newest checkpoint, or cuts a file short. It prints what it did, how the processes that it met ended, and what was
lost, of runs that were refused too. Linux; runs of algorithms that are not there are left out.
"""

import argparse
import ctypes
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # before Torch is imported: a fork carries no threads along
SRC = Path(__file__).parents[1] / "src"
sys.path[:0] = [str(SRC), str(Path(__file__).parent)]
from answers import command  # noqa: E402
from torture_figures import Ledger, checkpoints  # noqa: E402

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # sacred's to mend
import training.archive  # noqa: E402, F401  once, before the forks
from study_runs import asked  # noqa: E402
from study_runs.archives import Archives  # noqa: E402
from study_runs.driver import Driver  # noqa: E402
from study_runs.planned_run import PlannedRun  # noqa: E402
from study_runs.process import TAKEN, Work  # noqa: E402
from utils import locks  # noqa: E402
from utils.exits import PASSING  # noqa: E402
from utils.stopping import ASKS  # noqa: E402

ALGORITHMS = ("vdn", "qmix", "mmsa", "mappo", "coma", "dreamer")  # values, policies, dreams
TASK = "{env_config: lbf, env_args.key: Foraging-5x5-2p-1f-v3, env_args.episode_limit: 10}"
SETTINGS = {
    "device": "cpu", "batch_size": 8, "batch_size_run": 4, "buffer_size": 64, "test_nepisode": 4, "log_interval": 200,
    "learner_log_interval": 200, "target_update_interval": 40, "epsilon_anneal_time": 1000, "save_model_interval": 150,
    "test_interval": 400, "absolute_factor": 1, "keep_checkpoints": 5,
}  # fmt: skip
SMALL_DREAMS = {
    "world_hidden": 16, "latent_groups": 4, "latent_classes": 4, "world_width": 16, "decoder_width": 16,
    "attention_heads": 2, "attention_hidden": 16, "actor_width": 16, "critic_width": 16, "critic_heads": 2, "bins": 21,
    "bins_range": 3, "segments": 4, "segment_length": 8, "starts": 16, "horizon": 4, "learn_after": 40,
    "buffer_size": 1000,
}  # fmt: skip
CALM = 0.3  # the share of looks after which the monkey does nothing
EARLY = 0.2  # the share of faults that need not wait until the run trains
DISK = "300m"  # of which the runs of a round need a third, with all that is put aside
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER = 1, 2, 3  # capability.h: what lets root write anywhere
CAPABILITY_VERSION = 0x20080522
CUT = ("eval_episodes.csv", "metrics.json", "run.json", "checkpoints/*/*", "replay/*")


class Forked:
    """A run's process, forked from this one."""

    def __init__(self, work: Work) -> None:
        self.work, self.code, self.pid = work, None, 0
        lock = None if work.is_taken() else locks.take(work.lock)
        if lock is None:
            self.code = TAKEN
            return
        with lock:
            self.pid = forked(lambda: _main(work.words), work.log)
            locks.sign(lock, self.pid)

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def interrupt(self) -> None:
        """Ask it to save and end."""
        self.signal(signal.SIGINT)

    def kill(self) -> None:
        """End it now."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, signum: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        while self.poll() is None:
            time.sleep(0.005)
        return self.code


def forked(work: Callable[[], int], log: Path) -> int:
    """Do some work in a process forked from this one, in a session of its own, and return its id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
        for signum in ASKS:  # to which the study's driver has set its own answers
            signal.signal(signum, signal.SIG_DFL if signum != signal.SIGINT else signal.default_int_handler)
        _obey_permissions()
        code = work()
    except BaseException:  # noqa: BLE001  whatever it is, this copy of the process ends here
        traceback.print_exc()
    finally:
        os._exit(code)


def until_it_trains(task: Forked) -> None:
    """Wait until a process has begun to train, or has ended: from then on it hears when somebody hangs up."""
    hears = 0
    while not hears and task.poll() is None:
        time.sleep(0.01)
        with suppress(OSError):
            caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{task.pid}/status").read_text())
            hears = int(caught[1], 16) >> (signal.SIGHUP - 1) & 1 if caught else 0


def _main(words: Sequence[str]) -> int:
    import main

    return main.main(words)


def _obey_permissions() -> None:
    """Take from root what lets it write where the permissions say no."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER):
        for place in range(3):  # effective, permitted, inheritable
            sets[place] &= ~(1 << capability)
    libc.capset(header, sets)


class Place:
    """Forks the study's processes, so many at once."""

    def __init__(self, slots: int) -> None:
        self.slots = self.at_once = slots
        self.tasks: list[Forked] = []

    def start(self, work: Work) -> Forked:
        """Begin to work at a run."""
        self.tasks = [task for task in self.tasks if task.poll() is None] + [task := Forked(work)]
        return task

    def close(self) -> None:
        """Nothing is left to end."""


class Monkey:
    """The study's view: whenever it is shown how far the runs are, it may do one of them harm.

    `done` counts the faults by kind, `ended` how processes ended that met one, `refused` the second processes that
    were turned away from a folder in use, and `both` those that were not although the first one was at work.
    """

    def __init__(self, place: Place, faults: int, mounted: bool, rng: random.Random) -> None:
        self.place, self.left, self.mounted, self.rng = place, faults, mounted, rng
        self.results, self.ledger = Path(), Ledger([])
        self.done: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.refused = self.both = 0
        self.kinds = {
            "killed": self._kill, "asked to stop": self._ask, "hung up": self._hang_up, "resumed twice": self._twice,
            "disk full": self._fill, "no right to write": self._forbid, "folder moved": self._move,
            "newest checkpoint removed": self._remove, "file cut short": self._cut,
        }  # fmt: skip

    def visit(self, results: Path, ledger: Ledger) -> None:
        """Go to where a study's results are, and write down in the ledger what is measured there."""
        self.results, self.ledger = results, ledger

    def say(self, line: str) -> None:
        """Take note of nothing."""

    def show(self, standings: Any, gave_up: Any, last: bool) -> None:
        """Do harm to one run, of the kind of harm that was done least often so far."""
        self.ledger.look()
        alive = [task for task in self.place.tasks if task.poll() is None and self._folder(task) is not None]
        if last or not alive or self.left <= 0 or self.rng.random() < CALM:
            return
        task = self.rng.choice(alive)
        kind = min(self.kinds, key=lambda kind: (self.done[kind], self.rng.random()))
        if self.rng.random() > EARLY:
            until_it_trains(task)
        time.sleep(self.rng.choice([0.1, 1.0]) * self.rng.random())
        if (folder := self._folder(task)) is None:  # it has ended by itself meanwhile
            return
        self.ledger.look()
        self.kinds[kind](task, folder)
        self.done[kind] += 1
        self.left -= 1
        if self.left % 10 == 0:
            print(f"{sum(self.done.values())} faults", flush=True)
        if (code := task.poll()) is not None:
            self.ended[kind, _how(code)] += 1

    def _folder(self, task: Forked) -> Path | None:
        """Return the folder that a process works at, once it holds it."""
        found = [p.parent for p in found_by(self.results, "results/**/sacred/*/*/*/config.json")]
        held = [f for f in found if (who := locks.holder(f / locks.RUN_LOCK)) is not None and who.pid == task.pid]
        return held[0] if held else None

    def _kill(self, task: Forked, folder: Path) -> None:
        task.kill()

    def _ask(self, task: Forked, folder: Path) -> None:
        task.signal(self.rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2]))
        task.wait()

    def _hang_up(self, task: Forked, folder: Path) -> None:
        task.signal(signal.SIGHUP)
        task.signal(signal.SIGHUP)
        task.wait()

    def _twice(self, task: Forked, folder: Path) -> None:
        pid = forked(lambda: _main([f"resume={folder}"]), self.results / "second.log")
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.refused += code == PASSING
        self.both += code != PASSING and self._folder(task) is not None

    def _fill(self, task: Forked, folder: Path) -> None:
        if self.mounted:
            with suppress(OSError), (self.results / "ballast").open("wb") as ballast:
                while True:
                    ballast.write(bytes(2**16))
                    ballast.flush()
            time.sleep(self.rng.uniform(0.2, 1.5))
            (self.results / "ballast").unlink()
        else:
            with suppress(ProcessLookupError):
                resource.prlimit(task.pid, resource.RLIMIT_FSIZE, (2**10, resource.RLIM_INFINITY))
            time.sleep(self.rng.uniform(0.2, 1.5))
            with suppress(ProcessLookupError):
                resource.prlimit(task.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def _forbid(self, task: Forked, folder: Path) -> None:
        places = [path for path in (folder, folder / "checkpoints", folder / "replay") if path.is_dir()]
        for path in places:
            path.chmod(0o500)
        time.sleep(self.rng.uniform(0.2, 1.5))
        for path in places:
            path.chmod(0o755)

    def _move(self, task: Forked, folder: Path) -> None:
        away = self.results / "moved"
        os.replace(folder, away)
        time.sleep(self.rng.uniform(0.0, 0.5))
        if folder.exists():
            raise AssertionError(f"{folder} was made anew where it had been moved away")
        os.replace(away, folder)

    def _remove(self, task: Forked, folder: Path) -> None:
        task.kill()
        if found := checkpoints(folder):
            shutil.rmtree(found[-1])

    def _cut(self, task: Forked, folder: Path) -> None:
        task.kill()
        newest = checkpoints(folder)[-1:]
        files = [path for pattern in CUT for path in found_by(folder, pattern) if path.is_file()]
        files = [path for path in files if "checkpoints" not in path.parts or path.parent in newest]
        path = self.rng.choice([path for path in files if not path.name.startswith(".")])
        os.truncate(path, self.rng.randrange(path.stat().st_size + 1))
        self.ledger.forget(folder)


def found_by(folder: Path, pattern: str) -> list[Path]:
    """Return what a pattern finds, looked for again where a folder went away meanwhile: runs are at work there."""
    while True:
        with suppress(FileNotFoundError):
            return sorted(folder.glob(pattern))


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def write_study(folder: Path, algorithms: Sequence[str], steps: int) -> Path:
    """Write the study and return its path."""
    settings = SETTINGS | {"t_max": steps, "local_results_path": folder / "results"}
    path = folder / "torture.yaml"
    items = ", ".join(f"{key}: {value}" for key, value in settings.items())
    path.write_text(
        f"algorithms: [{', '.join(map(_algorithm, algorithms))}]\ntasks: [{TASK}]\nseeds: [1]\nsettings: {{{items}}}\n"
        "running: {cpus_per_run: 1, look_interval: 0.05, max_retries: 1000, max_waits: 1000, pause: 0.05}\n"
    )
    return path


def _algorithm(name: str) -> str:
    if name != "dreamer":
        return name
    return "{" + ", ".join([f"config: {name}", *(f"{key}: {value}" for key, value in SMALL_DREAMS.items())]) + "}"


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small file system in a folder, if this process may; give whether it did."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(words, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def torture(
    folder: Path, algorithms: Sequence[str], steps: int, faults: int, seed: int, jobs: int = 2
) -> tuple[Monkey, list[Any]]:
    """Make the twins, then the study with the monkey, as often as it takes to do so many faults.

    Returns it, and per run its name, in what it differs, what is lost, and why it was given up.
    """
    with small_disk(folder / "disk") as mounted:
        place, told = Place(jobs), []
        monkey = Monkey(place, faults, mounted, random.Random(seed))
        twins: dict[str, Path] = {}
        while not told or monkey.left > 0:
            results = folder / "disk" / str(len(told))
            results.mkdir()
            runs = asked.read(write_study(results, algorithms, steps), {})
            twins = twins or _twins(runs.runs, folder)
            ledger, archives = Ledger(runs.runs), Archives(asked.CONFIG_DIR)
            monkey.visit(results, ledger)
            driver = Driver(runs.runs, archives, place, monkey, runs.running)
            driver.work()
            for run in runs.runs:
                gave_up = driver.gave_up.get(run.name, "")
                finished = None if gave_up else archives.standing(run).folder
                told.append((run.name, *ledger.judge(run, finished, twins[run.name]), gave_up))
            shutil.rmtree(results)
    return monkey, told


def _twins(runs: Sequence[PlannedRun], folder: Path) -> dict[str, Path]:
    """Do all runs undisturbed, side by side, and return their folders by name."""
    places = {run.name: folder / "twins" / run.name for run in runs}
    pids = []
    for run in runs:
        words = [word for word in run.words() if not word.startswith("local_results_path=")]
        words.append(f"local_results_path={places[run.name]}")
        pids.append(forked(lambda words=words: _main(words), folder / f"{run.name}.log"))
    for run, pid in zip(runs, pids, strict=True):
        assert os.waitpid(pid, 0)[1] == 0, (folder / f"{run.name}.log").read_text()
    return {name: next(place.glob("sacred/*/*/*/config.json")).parent for name, place in places.items()}


def report(monkey: Monkey, told: Sequence[Any]) -> None:
    """Print the counts."""
    print(f"{'fault':28} {'times':>5}  how the process had ended right after it")
    for kind in monkey.kinds:
        ends = ", ".join(f"{how} {n}" for (what, how), n in sorted(monkey.ended.items()) if what == kind)
        print(f"{kind:28} {monkey.done[kind]:5}  {ends or '–'}")
    print(f"{sum(monkey.done.values())} faults; second processes turned away: {monkey.refused}, let in: {monkey.both}")
    for name, found, lost, why in told:
        how = "equal to its twin" if not found else f"differs in {', '.join(found)}"
        print(f"{name}: {how}; figures lost: {lost} {why}")
    equal, lost = sum(not found for _, found, _, _ in told), sum(lost for _, _, lost, _ in told)
    refused = sum(bool(why) for *_, why in told)
    print(f"runs equal {equal} of {len(told)}, refused {refused}, figures lost {lost}")


def main() -> None:
    """Read the command line, torture, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=210)
    parser.add_argument("--steps", type=int, default=4000, help="environment steps of each run")
    parser.add_argument("--seed", type=int, default=1, help="of the monkey")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--algorithms", nargs="+", default=[
        name for name in ALGORITHMS if (SRC / "config" / "algs" / f"{name}.yaml").exists()
    ])  # fmt: skip
    args = parser.parse_args()
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        monkey, told = torture(Path(folder), args.algorithms, args.steps, args.faults, args.seed, args.jobs)
    report(monkey, told)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    if any(found for _, found, _, _ in told) or monkey.left > 0 or monkey.both > 0:
        raise SystemExit(1)


if __name__ == "__main__":
    command(main)
