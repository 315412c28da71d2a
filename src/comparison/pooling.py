"""Which runs may stand on one line, and which lines side by side: what an honest comparison needs to be equal.

A *group* is a task under one set of conditions: its settings, the environment's version, the protocol, the evaluations.
A *line* is an algorithm with one set of settings; its runs differ in the seed alone. Runs of another framework are
lines of their own in every group of their task, and the group says what is not known of them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from comparison.archives import CONFIG_DIR, ArchivedRun
from comparison.evaluations import Evaluations, evaluations_of
from comparison.foreign import NO_FIGURES, unknown_of
from comparison.intervals import STATISTICS
from comparison.line_styles import Style, style_of
from settings import FOR_HOSTS, Effect, effects
from utils.errors import UserError

NOT_RECORDED = "not recorded"
METRIC, STATISTIC = "test_return_mean", "mean_interval"  # of archives made before `report_metric`, `report_statistic`
EVALUATION = ("t_max", "test_interval", "test_nepisode", "absolute_factor", "report_metric", "report_statistic")
# Beside the settings that change no figure: what tells runs of a line apart, and what stands among the conditions.
NO_VARIANT = {
    "name", "seed", "env", "env_args", "env_config", "evaluate", "protocol", "evaluation_epsilon",
    *EVALUATION, *FOR_HOSTS,
}  # fmt: skip
SHOWN_SETTINGS = 2  # of those in which an algorithm's lines differ, in their labels
LONGEST_VALUE = 24  # letters of a setting's value in a label


@dataclass(frozen=True)
class Member:
    """A run on a line, and its evaluations."""

    run: ArchivedRun
    evaluations: Evaluations


@dataclass(frozen=True)
class Line:
    """An algorithm with one set of settings: its runs by seed, each seed once.

    `settings`: those in which it differs from other lines of its algorithm in this group. `diverged`: the seeds whose
    runs met numbers that are not finite, and at how many environment steps; they are in no figure, and told beside
    every one, since a mean over those that are left flatters.
    """

    label: str
    algorithm: str
    style: Style
    members: tuple[Member, ...]
    settings: Mapping[str, str]
    diverged: Mapping[int, int] = field(default_factory=dict)

    @property
    def framework(self) -> str:
        """Whose runs they are, where they are not of this project."""
        return self.members[0].run.framework


@dataclass(frozen=True)
class Group:
    """A task under one set of conditions, with its lines.

    `metric`: the figure of the archive that is shown. `statistic`: one of `STATISTICS`. `forced`: the conditions in
    which its runs differ although they were pooled, empty without `--force`. `foreign`: what is not known of lines of
    other frameworks, and in what they are known to differ. `diverged`: which runs did, of lines or of what has none.
    """

    title: str
    task: str
    metric: str
    statistic: str
    conditions: Mapping[str, str]
    lines: tuple[Line, ...]
    forced: tuple[str, ...] = ()
    smooth: int = 1
    foreign: tuple[str, ...] = ()
    diverged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pool:
    """What is compared, why some runs are not (by folder), and what the reader has to know of the rest."""

    groups: tuple[Group, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """What is asked for: `force` pools what should not be, `smooth` is the evaluations per value of a curve."""

    force: bool = False
    metric: str | None = None
    smooth: int = 1


def pool(runs: Iterable[ArchivedRun], choice: Choice) -> Pool:
    """Sort runs into groups and lines."""
    left_out: dict[str, str] = {}
    members: dict[str, list[Member]] = {}
    foreign: dict[str, list[ArchivedRun]] = {}
    for run in runs:
        try:
            if run.framework and not run.problem:
                foreign.setdefault(run.task, []).append(run)
            else:
                member = Member(run, _usable(run, metric_of(run, choice), choice))
                members.setdefault(run.task, []).append(member)
        except UserError as why:
            left_out[str(run.folder)] = str(why)
    groups, notes = _groups(members, choice, left_out)
    for task in foreign.keys() - members.keys():
        groups.append(_empty(foreign[task][0], choice))
    groups = [with_foreign(group, foreign.get(group.task, ()), choice, left_out) for group in groups]
    notes += [f"{group.title}, {told}." for group in groups if not group.lines for told in group.diverged]
    found = tuple(sorted((group for group in groups if group.lines), key=lambda group: group.title))
    used = {str(member.run.folder) for group in found for line in group.lines for member in line.members}
    left_out = {folder: why for folder, why in left_out.items() if folder not in used}  # in another group
    return Pool(found, left_out, tuple(notes + _notes_on_code(found)))


def _groups(
    members: Mapping[str, Sequence[Member]], choice: Choice, left_out: dict[str, str]
) -> tuple[list[Group], list[str]]:  # fmt: skip
    """Return the groups of our own runs, which are given by task, and notes on why they are several."""
    groups: list[Group] = []
    notes: list[str] = []
    for task, all_members in sorted(members.items()):
        parts = _by_conditions(all_members)
        differing = _differing([conditions for conditions, _ in parts])
        if len(parts) == 1 or choice.force:
            forced = tuple(_told(key, parts) for key in differing)
            groups.append(_group(task, task, parts[0][0], all_members, choice, forced, left_out))
            continue
        for place, (conditions, part) in enumerate(parts):
            title = f"{task} ({chr(ord('A') + place % 26)}{place // 26 or ''})"
            groups.append(_group(title, task, conditions, part, choice, (), left_out))
        told = "; ".join(_told(key, parts) for key in differing)
        notes.append(f"{task}: runs under {len(parts)} sets of conditions are not pooled. They differ in {told}.")
    return groups, notes


def changes_figures(key: str) -> bool:
    """Return whether another value of a setting (dotted) gives another curve, and not only one that rounds differently.

    Settings that no file declares any more do.
    """
    return effects(CONFIG_DIR).get(key, Effect.CHANGES) is Effect.CHANGES


def metric_of(run: ArchivedRun, choice: Choice) -> str:
    """Return the name of the figure that is shown of a run."""
    if choice.metric is not None:
        return choice.metric
    return _word(run, "report_metric", METRIC)


def _word(run: ArchivedRun, key: str, otherwise: str) -> str:
    said = run.config.get(key)
    return said if isinstance(said, str) else otherwise


def _usable(run: ArchivedRun, metric: str, choice: Choice) -> Evaluations:
    """Return a run's evaluations; raise `UserError` with the reason why it takes no part."""
    if run.problem:
        raise UserError(run.problem)
    if run.config["evaluate"]:
        raise UserError("it only evaluated a checkpoint")
    evaluations = evaluations_of(run, metric)
    # Other frameworks do not evaluate at their end: their last evaluation lies less than an interval before it.
    early = run.config["test_interval"] - 1 if run.framework else 0
    if evaluations.steps[-1] < run.config["t_max"] - early and not choice.force and run.diverged is None:
        raise UserError(
            f"its evaluations end at {evaluations.steps[-1]:,.0f} of {run.config['t_max']:,} steps; "
            "--force takes what is there"
        )
    return evaluations


def conditions_of(run: ArchivedRun) -> dict[str, str]:
    """Return what has to be equal among runs that are compared, in words."""
    config = run.config
    told = {
        "environment": config["env"],
        **{
            f"env_args.{key}": _shown(value)
            for key, value in sorted(config["env_args"].items())
            if changes_figures(f"env_args.{key}")
        },
        "environment version": ", then ".join(dict.fromkeys(map(_versions, run.starts))),
        "protocol": _shown(config.get("protocol")),
    }  # fmt: skip
    told["evaluation_epsilon"] = _shown(config.get("evaluation_epsilon", 0.0))  # which older archives do not name
    return told | {key: _shown(config[key]) if key in config else NOT_RECORDED for key in EVALUATION}


def _versions(start: Mapping[str, Any]) -> str:
    versions = start.get("environment")
    if not isinstance(versions, dict) or not versions:
        return NOT_RECORDED
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _by_conditions(members: Sequence[Member]) -> list[tuple[dict[str, str], list[Member]]]:
    parts: dict[str, tuple[dict[str, str], list[Member]]] = {}
    for member in members:
        conditions = conditions_of(member.run)
        parts.setdefault(json.dumps(conditions), (conditions, []))[1].append(member)
    return [parts[key] for key in sorted(parts)]


def _differing(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = list(dict.fromkeys(key for mapping in mappings for key in mapping))
    return [key for key in keys if len({_shown(mapping.get(key)) for mapping in mappings}) > 1]


def _told(key: str, parts: Sequence[tuple[Mapping[str, str], Any]]) -> str:
    values = list(dict.fromkeys(conditions.get(key, "–") for conditions, _ in parts))
    return f"{key} ({', '.join(values[:4])}{', …' if len(values) > 4 else ''})"


def _group(
    title: str,
    task: str,
    conditions: Mapping[str, str],
    members: Sequence[Member],
    choice: Choice,
    forced: tuple[str, ...],
    left_out: dict[str, str],
) -> Group:
    by_algorithm: dict[str, list[Member]] = {}
    for member in members:
        by_algorithm.setdefault(member.run.algorithm, []).append(member)
    lines, diverged = _lines(by_algorithm, choice, left_out)
    statistic = _word(members[0].run, "report_statistic", STATISTIC)
    if choice.force:
        short = [m for line in lines for m in line.members if m.evaluations.steps[-1] < m.run.config["t_max"]]
        forced += (f"how far they are: {len(short)} did not come to their end",) if short else ()
    return Group(
        title=title,
        task=task,
        metric=metric_of(members[0].run, choice),
        statistic=statistic if statistic in STATISTICS else STATISTIC,
        conditions=conditions,
        lines=tuple(lines),
        forced=forced,
        smooth=choice.smooth,
        diverged=tuple(diverged),
    )


def _empty(run: ArchivedRun, choice: Choice) -> Group:
    """Return the group of a task of which there are runs of other frameworks alone."""
    return Group(run.task, run.task, metric_of(run, choice), STATISTIC, {"environment": run.config["env"]}, (),
                 smooth=choice.smooth)  # fmt: skip


def with_foreign(
    group: Group, runs: Iterable[ArchivedRun], choice: Choice, left_out: dict[str, str]
) -> Group:  # fmt: skip
    """Return a group with lines of other frameworks beside its own, and what is to be known of them."""
    by_algorithm: dict[str, list[Member]] = {}
    for run in runs:
        try:
            member = Member(run, _usable(run, group.metric, choice))
            by_algorithm.setdefault(run.algorithm, []).append(member)
        except UserError as why:
            left_out[str(run.folder)] = str(why)
    lines, _ = _lines(by_algorithm, choice, left_out)
    lines = [
        replace(line, style=style_of(line.algorithm.split()[-1].split("_")[0], place))
        for place, line in enumerate(lines, start=1)
    ]
    return replace(group, lines=(*group.lines, *lines), foreign=tuple(_foreign(group, lines)))


def _foreign(group: Group, lines: Sequence[Line]) -> Iterable[str]:
    for name in sorted({line.framework for line in lines}):
        mine = [line for line in lines if line.framework == name]
        runs = [member.run for line in mine for member in line.members]
        unknown = dict.fromkeys(what for run in runs for what in unknown_of(run.info, run.metrics))
        told = [
            f"{key} ({', '.join(sorted(values))}; here {group.conditions[key]})"
            for key in EVALUATION
            if key in group.conditions
            and (values := {_shown(run.config[key]) for run in runs if key in run.config} - {group.conditions[key]})
        ]
        differ = f"; known to differ: {', '.join(told)}" if told else ""
        labels = ", ".join(line.label for line in mine)
        yield f"{labels}: runs of {name}, of which is not known {', '.join(unknown)}{differ}"


def _lines(
    by_algorithm: Mapping[str, Sequence[Member]], choice: Choice, left_out: dict[str, str]
) -> tuple[list[Line], list[str]]:
    """Return one line per set of an algorithm's settings, and sentences on the runs that diverged.

    A line has each seed once: the run that got furthest. Where all of its runs diverged there is none.
    """
    lines, sentences = [], []
    for algorithm, members in sorted(by_algorithm.items()):
        for place, each in enumerate(variants(algorithm, [member.run for member in members])):
            seeds = _by_seed([members[at] for at in each.places], left_out)
            whole = tuple(member for member in seeds if choice.force or member.run.diverged is None)
            gone: dict[int, int] = {}
            for run in (member.run for member in seeds if member not in whole):
                gone[run.config["seed"]] = run.diverged
                left_out[str(run.folder)] = f"it diverged at {run.diverged:,} steps"
            if whole:
                lines.append(Line(each.label, algorithm, style_of(algorithm, place), whole, each.settings, gone))
            if gone:
                told = ", ".join(f"{seed} (at {steps:,} steps)" for seed, steps in gone.items())
                sentences.append(f"{each.label}: {len(gone)} of {len(seeds)} seeds diverged, in no figure: {told}")
    return lines, sentences


class Variant(NamedTuple):
    """An algorithm's runs with one set of settings: which of the runs given, and in what they differ from others."""

    label: str
    places: list[int]
    settings: Mapping[str, str]


def variants(algorithm: str, runs: Sequence[ArchivedRun]) -> list[Variant]:
    """Return an algorithm's runs by the settings that change figures, and have no part in the conditions."""
    settings = [_variant(run) for run in runs]
    differing = _differing(settings)
    places: dict[str, list[int]] = {}
    for place, mine in enumerate(settings):
        places.setdefault(json.dumps([mine.get(key) for key in differing]), []).append(place)
    ordered = [(json.loads(key), mine) for key, mine in sorted(places.items())]
    told = [dict(zip(differing, map(_shown, values), strict=True)) for values, _ in ordered]
    labels = _labels(algorithm, told)
    return [Variant(label, mine, said) for label, (_, mine), said in zip(labels, ordered, told, strict=True)]


def _variant(run: ArchivedRun) -> dict[str, Any]:
    """Return what tells a run's line from others of its algorithm; of another framework also the conditions."""
    ours = {key: value for key, value in run.config.items() if changes_figures(key)}
    if run.framework:
        return {key: value for key, value in ours.items() if key not in {"name", "seed", *NO_FIGURES}}
    return {key: value for key, value in ours.items() if key not in NO_VARIANT}


def _labels(algorithm: str, settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a label for each set of settings: where there are many, with those that few other sets have."""
    if len(settings) == 1:
        return [algorithm]
    usual = {key: Counter(mine[key] for mine in settings).most_common(1)[0][0] for key in settings[0]}
    labels: list[str] = []
    for place, mine in enumerate(settings, start=1):
        told = list(mine) if len(mine) <= SHOWN_SETTINGS else [key for key in mine if mine[key] != usual[key]]
        words = [f"{key}={_short(mine[key])}" for key in told[:SHOWN_SETTINGS]] or ["as most"]
        words += ["…"] * (len(told) > SHOWN_SETTINGS)
        label = f"{algorithm} ({', '.join(words)})"
        labels.append(label if label not in labels else f"{label} #{place}")
    return labels


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE // 2]}…{text[-LONGEST_VALUE // 2 :]}"


def _by_seed(members: Sequence[Member], left_out: dict[str, str]) -> list[Member]:
    """Return one run for every seed: the one that got furthest, of equals one that was completed, then the first."""
    seeds: dict[int, Member] = {}
    for member in sorted(members, key=_progress, reverse=True):
        first = seeds.setdefault(member.run.config["seed"], member)
        if first is not member:
            further = " and got less far" if _progress(member)[0] < _progress(first)[0] else ""
            left_out[str(member.run.folder)] = f"it has the seed and the settings of {first.run.folder}{further}"
    return [seeds[seed] for seed in sorted(seeds)]


def _progress(member: Member) -> tuple[float, bool]:
    return member.evaluations.steps[-1], member.run.status.get("status") == "COMPLETED"


def _notes_on_code(groups: Iterable[Group]) -> list[str]:
    """Return a note for every line whose runs come from more than one commit, and for every run that does."""
    notes = []
    for group in groups:
        for line in group.lines:
            commits = sorted({commit[:12] for member in line.members for commit in member.run.commits})
            if len(commits) > 1:
                notes.append(f"{group.title}, {line.label}: its runs are of different commits, {', '.join(commits)}.")
            for member in line.members:
                if len(member.run.commits) > 1:
                    then = ", then ".join(commit[:12] for commit in member.run.commits)
                    notes.append(f"{group.title}, {line.label}: seed {member.run.config['seed']} is of {then}.")
    return notes


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
