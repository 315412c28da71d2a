"""What may stand on one line, and what side by side."""

import pytest
from made_archives import TASK, archive

from comparison.archives import read_runs
from comparison.pooling import Choice, pool


def pooled(root, **choice):
    return pool(read_runs([root]), Choice(**choice))


def seeds(line):
    return [member.run.config["seed"] for member in line.members]


def test_runs_that_differ_in_the_seed_alone_share_a_line(tmp_path):
    for number, seed in enumerate((3, 1, 2), start=1):
        archive(tmp_path, "qmix", number, seed, device="cuda" if seed == 1 else "cpu", threads=seed)
    archive(tmp_path, "vdn", 1, 1)
    (group,) = pooled(tmp_path).groups
    assert {line.label: seeds(line) for line in group.lines} == {"qmix": [1, 2, 3], "vdn": [1]}
    assert group.title == TASK and group.forced == ()


def test_other_settings_of_an_algorithm_are_another_line_that_keeps_its_colour(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    archive(tmp_path, "qmix", 2, 1, lr=0.01)
    (group,) = pooled(tmp_path).groups
    low, high = group.lines
    assert (low.label, high.label) == ("qmix (lr=0.001)", "qmix (lr=0.01)")
    assert low.style.colour == high.style.colour and low.style[1:] != high.style[1:]


def test_lines_with_many_differences_have_labels_of_their_own(tmp_path):
    for number, gamma in enumerate((0.9, 0.95, 0.99), start=1):
        archive(tmp_path, "qmix", number, 1, lr=0.01, a=1, b=number, gamma=gamma, batch_size=number)
    (group,) = pooled(tmp_path).groups
    assert len({line.label for line in group.lines}) == 3
    assert {line.settings["gamma"] for line in group.lines} == {"0.9", "0.95", "0.99"}


def test_of_many_lines_each_is_named_by_what_few_others_have(tmp_path):
    for number, (a, b, c) in enumerate(((1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)), start=1):
        archive(tmp_path, "qmix", number, 1, a=a, b=b, c=c)
    (group,) = pooled(tmp_path).groups
    labels = [line.label for line in group.lines]
    assert labels == ["qmix (as most)", "qmix (c=2)", "qmix (b=2)", "qmix (a=2)"]


def test_lines_whose_labels_would_be_cut_alike_are_numbered(tmp_path):
    archive(tmp_path, "qmix", 1, 1, path="same beginning, first middle, same end")
    archive(tmp_path, "qmix", 2, 1, path="same beginning, other middle, same end")
    (group,) = pooled(tmp_path).groups
    first, second = (line.label for line in group.lines)
    assert second == f"{first} #2"


def diverged(root, alg, number, seed, **config):
    info, status = {"diverged": {"t_env": 150}}, {"status": "FAILED"}
    return archive(root, alg, number, seed, values=(0.0, 0.9), steps=[0, 100], info=info, status=status, **config)


def test_a_run_that_diverged_is_in_no_figure_and_its_line_tells(tmp_path):
    for seed in (1, 2):
        archive(tmp_path, "qmix", seed, seed)
    gone, none_whole = diverged(tmp_path, "qmix", 3, 3), diverged(tmp_path, "vdn", 1, 1)
    found = pooled(tmp_path)
    ((line,),) = (group.lines for group in found.groups)
    assert seeds(line) == [1, 2] and line.diverged == {3: 150}
    assert found.groups[0].diverged == (
        "qmix: 1 of 3 seeds diverged, in no figure: 3 (at 150 steps)",
        "vdn: 1 of 1 seeds diverged, in no figure: 1 (at 150 steps)",
    )
    assert found.left_out == {str(folder): "it diverged at 150 steps" for folder in (gone, none_whole)}


def test_force_draws_what_diverged_as_far_as_it_came(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    diverged(tmp_path, "qmix", 2, 2)
    ((line,),) = (group.lines for group in pooled(tmp_path, force=True).groups)
    assert seeds(line) == [1, 2] and line.diverged == {}


def test_a_seed_that_diverged_once_and_came_to_its_end_later_is_whole(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    diverged(tmp_path, "qmix", 2, 1)
    ((line,),) = (group.lines for group in pooled(tmp_path).groups)
    assert seeds(line) == [1] and line.diverged == {}


def test_a_task_of_which_all_runs_diverged_is_told(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    diverged(tmp_path, "qmix", 1, 1, task="Foraging-8x8-2p-3f-v3")
    assert "Foraging-8x8-2p-3f-v3, qmix: 1 of 1 seeds diverged, in no figure: 1 (at 150 steps)." in (
        pooled(tmp_path).notes
    )


CONDITIONS = {
    "task": {"env_args": {"key": TASK, "episode_limit": 9}},
    "environment": {"env": "matrix_game"},
    "environment version": {"info": {"environment": {"lbforaging": "3.0.0"}}},
    "unknown version": {"info": {"environment": None}},
    "protocol": {"protocol": "lbf"},
    "episodes per evaluation": {"test_nepisode": 100},
    "evaluations": {"test_interval": 50},
    "length": {"t_max": 100},
    "statistic": {"report_statistic": "median_quartiles"},
}


@pytest.mark.parametrize("other", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_other_conditions_are_not_pooled_and_the_report_says_why(tmp_path, other):
    archive(tmp_path, "qmix", 1, 1)
    archive(tmp_path, "qmix", 2, 2, **other)
    found = pooled(tmp_path)
    assert sorted(group.title for group in found.groups) == [f"{TASK} (A)", f"{TASK} (B)"]
    assert [seeds(line) for group in found.groups for line in group.lines] in ([[1], [2]], [[2], [1]])
    assert "not pooled. They differ in" in found.notes[0] and not any(group.forced for group in found.groups)

    (group,) = pooled(tmp_path, force=True).groups
    assert [seeds(line) for line in group.lines] == [[1, 2]] and len(group.forced) == 1
    (key, *_), said = group.forced[0].split(" ("), found.notes[0]
    assert key in said


def test_a_run_that_has_not_come_to_its_end_takes_part_only_by_force(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    short = archive(tmp_path, "qmix", 2, 2, steps=(0, 50, 150))
    found = pooled(tmp_path)
    assert [seeds(line) for line in found.groups[0].lines] == [[1]]
    assert "its evaluations end at 150 of 200 steps" in found.left_out[str(short)]
    (group,) = pooled(tmp_path, force=True).groups
    assert seeds(group.lines[0]) == [1, 2] and group.forced == ("how far they are: 1 did not come to their end",)


def test_the_same_seed_twice_counts_once(tmp_path):
    first, again = archive(tmp_path, "qmix", 1, 1), archive(tmp_path, "qmix", 2, 1)
    for force in (False, True):
        found = pooled(tmp_path, force=force)
        assert seeds(found.groups[0].lines[0]) == [1]
        assert found.left_out == {str(again): f"it has the seed and the settings of {first}"}


def test_of_the_same_seed_the_run_that_got_furthest_counts(tmp_path):
    dead = archive(tmp_path, "qmix", 1, 1, values=(0.0, 0.1), steps=(0, 50), status={"status": "FAILED"})
    archive(tmp_path, "qmix", 2, 1, status={"status": "FAILED"})
    whole = archive(tmp_path, "qmix", 3, 1)
    found = pooled(tmp_path, force=True)
    assert [member.run.folder for member in found.groups[0].lines[0].members] == [whole]
    assert found.left_out[str(dead)] == f"it has the seed and the settings of {whole} and got less far"
    assert len(found.left_out) == 2


def start(commit, lbforaging="2.0.0"):
    return {"t_env": 100, "commit": commit * 40, "environment": {"lbforaging": lbforaging}}


def test_what_a_resumed_run_was_gone_on_with_counts_too(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    archive(tmp_path, "qmix", 2, 2, info={"resumed": [start("0"), start("b")]})
    assert len(pooled(tmp_path).groups) == 1
    assert pooled(tmp_path).notes == (
        f"{TASK}, qmix: its runs are of different commits, {'0' * 12}, {'b' * 12}.",
        f"{TASK}, qmix: seed 2 is of {'0' * 12}, then {'b' * 12}.",
    )
    archive(tmp_path, "qmix", 3, 3, info={"resumed": [start("0", "3.0.0"), start("0")]})
    found = pooled(tmp_path)
    assert [[seeds(line) for line in group.lines] for group in found.groups] in ([[[1, 2]], [[3]]], [[[3]], [[1, 2]]])
    assert "lbforaging 2.0.0, then lbforaging 3.0.0" in found.notes[0]


def test_runs_that_cannot_be_used_are_left_out_with_a_reason(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    (archive(tmp_path, "qmix", 2, 2) / "config.json").unlink()
    archive(tmp_path, "qmix", 3, 3, evaluate=True)
    archive(tmp_path, "qmix", 4, 4, values=())
    found = pooled(tmp_path)
    assert seeds(found.groups[0].lines[0]) == [1]
    reasons = [found.left_out[str(tmp_path / "sacred" / TASK / "qmix" / number)] for number in "234"]
    assert reasons == ["config.json is missing", "it only evaluated a checkpoint", "it has logged no test_return_mean"]


def test_lines_of_several_commits_are_told(tmp_path):
    archive(tmp_path, "qmix", 1, 1, info={"commit": "a" * 40})
    archive(tmp_path, "qmix", 2, 2, info={"commit": "b" * 40})
    assert pooled(tmp_path).notes == (f"{TASK}, qmix: its runs are of different commits, {'a' * 12}, {'b' * 12}.",)


def test_another_metric_can_be_shown(tmp_path):
    archive(tmp_path, "qmix", 1, 1)
    (group,) = pooled(tmp_path, metric="episode").groups
    assert group.metric == "episode" and group.lines[0].members[0].evaluations.values.tolist() == [20, 40]
