"""The report of a search: its best trial, how it came there, which settings mattered, and every trial, on one page.

What it says is Optuna's record of the trials; the best trial's seeds are read from its runs. So it can be made of a
search that is being worked at, or was stopped, as of one that is done.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from study_runs.search import reached, seed_values, told_aim
from study_runs.search_file import Search
from study_runs.search_runs import folder_of, words_of
from study_runs.search_table import TABLE, write_trials
from utils.commit import commit_of
from utils.drawing import AGENT_COLOURS
from utils.errors import UserError
from utils.files import write_whole
from utils.naming import SRC, to_install
from utils.page import number, table

try:
    import plotly.graph_objects as go
    from optuna import visualization
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import TrialState

    from comparison.plotly_page import plot, plotly_page
except ModuleNotFoundError as missing:
    raise UserError(f"search needs {missing.name}: run `{to_install('requirements-search.txt')}`") from missing

REPORT, PAGE = "report", "index.html"
STYLE = "pre { white-space: pre-wrap; overflow-wrap: anywhere; } .wide { margin: .6rem 0; }"
ENOUGH = 50  # trials at the end: Optuna wants five in the best tenth
PALE = "#E9EDF2"  # behind colours of Optuna's that go to white
COLOURS = {TrialState.COMPLETE: AGENT_COLOURS[0], TrialState.PRUNED: "#BDBDBD", TrialState.RUNNING: AGENT_COLOURS[1]}
IN_FULL = f'<p class="note">With every seed and digit: <a href="{TABLE}">{TABLE}</a>, beside this page.</p>'
SAID = {
    TrialState.COMPLETE: "came to the end",
    TrialState.PRUNED: "stopped at a rung, or diverged",
    TrialState.RUNNING: "at work",
    TrialState.FAIL: "cut off, done again under another number",
    TrialState.WAITING: "waits",
}


def write_report(study: Any, search: Search, results: Path, to_run: str) -> Path:
    """Write the page of what is there and return where, the trials as CSV beside it.

    `to_run` is the command that trains with the best config.
    """
    trials = study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = _best(study.best_trial, search, results, to_run) if ended else ""
    parts = [_facts(trials, search), best, _pictures(study, trials, ended, search),
             _section("Every trial", IN_FULL + _trials(trials, search))]  # fmt: skip
    answer = _answer(study.best_trial, search) if ended else "No trial came to its end yet."
    body = "\n".join([f'<div class="answer"><p>{escape(answer)}</p></div>', *parts])
    page = results / REPORT / PAGE
    page.parent.mkdir(exist_ok=True)
    write_trials(trials, search, results, page.with_name(TABLE))
    text = plotly_page(f"Search: {search.name}", body, STYLE)
    write_whole(page, lambda partial: partial.write_text(text, encoding="utf-8"))
    return page


def _answer(best: Any, search: Search) -> str:
    said = " ".join(f"{key}={text}" for key, text in words_of(best.params).items())
    return (f"Best so far: trial {best.number}, {search.file.metric} {number(best.value)}, with {said}. "
            "It is the best of many on the seeds that it was tuned on: report others.")  # fmt: skip


def _facts(trials: Sequence[Any], search: Search) -> str:
    file, counts = search.file, Counter(SAID[trial.state] for trial in trials)
    return table({
        "method, suite": f"{file.config}, {file.env_config}",
        "settings of every trial": " ".join(f"{key}={text}" for key, text in file.settings.items()) or "none",
        "maximised": f"{file.metric}, {told_aim(file)}, mean over seeds {', '.join(map(str, file.seeds))}",
        "rungs": f"after {', '.join(map(str, search.rungs))} steps; about one in {file.reduction} goes on",
        "trials": f"{len(trials)}: {', '.join(f'{count} {said}' for said, count in counts.items())}",
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit of this report": commit_of(SRC),
    }.items())  # fmt: skip


def _best(best: Any, search: Search, results: Path, to_run: str) -> str:
    """Return its settings, its value and every seed's, or a dash for a seed whose run has been taken away."""
    folder = folder_of(results, best.params)
    seeds = zip(map(str, search.file.seeds), seed_values(search, folder, search.rungs[-1]), strict=True)
    settings = table(words_of(best.params).items(), ("setting", "value"))
    values = table([*seeds, ("mean", best.value)], ("seed", search.file.metric))
    where = f"<p class=\"note\">Its runs: {escape(str(folder))}. To train with these settings:</p>"
    return _section(f"Trial {best.number}, the best", settings + values + where + f"<pre>{escape(to_run)}</pre>")


def _pictures(study: Any, trials: Iterable[Any], ended: Sequence[Any], search: Search) -> str:
    metric = search.file.metric
    said = _note("At the rungs: blue came to the end, grey was stopped, red is at work.")
    course = [_rungs(trials, search)]
    if not ended:
        return _section("Its course", said + _plots(course))
    course.insert(0, visualization.plot_optimization_history(study, target_name=metric))
    across = visualization.plot_parallel_coordinate(study, target_name=metric)
    slices = [visualization.plot_slice(study, params=[key], target_name=metric) for key in search.axes]
    return "\n".join([
        _section("Its course", said + _plots(course)),
        _section("How much each setting mattered", _importance(study, ended, metric)),
        _section("All settings at once", _note("Trials that came to the end; darker is better.") + _plots([across])),
        _section("Each setting alone", _note("Trials that came to the end; darker is later.") + _plots(slices)),
    ])  # fmt: skip


def _importance(study: Any, ended: Sequence[Any], metric: str) -> str:
    if len({trial.value for trial in ended}) < 2:
        return _note("To tell, it takes two trials that came to the end, with different values.")
    evaluator = PedAnovaImportanceEvaluator()  # Optuna's other ones need scikit-learn
    figure = visualization.plot_param_importances(study, evaluator=evaluator, target_name=metric)
    rough = f" They are {len(ended)}: with fewer than {ENOUGH} it is rough." if len(ended) < ENOUGH else ""
    said = "PED-ANOVA (Watanabe et al., 2023): where the best tenth of the trials that came to the end lies among them."
    return _note(said + rough) + _plots([figure])


def _rungs(trials: Iterable[Any], search: Search) -> go.Figure:
    """Return what each trial had at each rung."""
    figure = go.Figure()
    for trial in trials:
        if values := reached(trial):
            colour = COLOURS.get(trial.state, COLOURS[TrialState.RUNNING])
            figure.add_scatter(x=search.rungs[: len(values)], y=values, name=f"trial {trial.number}",
                               mode="lines+markers", marker={"color": colour}, showlegend=False)  # fmt: skip
    figure.update_xaxes(title="environment steps, at the rungs", type="log", tickvals=search.rungs)
    figure.update_yaxes(title=search.file.metric)
    return figure


def _plots(figures: Iterable[go.Figure]) -> str:
    for figure in figures:
        figure.update_layout(template="none", colorway=AGENT_COLOURS, plot_bgcolor=PALE, title=None, height=340,
                             margin={"l": 70, "r": 20, "t": 30, "b": 60}, font={"family": "system-ui, sans-serif"},
                             legend={"orientation": "h", "y": 1, "yanchor": "bottom"})  # fmt: skip
        figure.update_traces(marker={"showscale": False})  # the page says it in words; a narrow screen has no room
        figure.update_xaxes(gridcolor="white", zeroline=False, automargin=True)
        figure.update_yaxes(gridcolor="white", zeroline=False, automargin=True)
    return '<div class="plots">' + "\n".join(map(plot, figures)) + "</div>"


def _trials(trials: Iterable[Any], search: Search) -> str:
    header = ("trial", "how it stands", *(f"after {steps} steps" for steps in search.rungs), *search.axes)
    return table((_row(trial, search) for trial in trials), header)


def _row(trial: Any, search: Search) -> list[Any]:
    values = reached(trial)
    words = words_of(trial.params)
    missing = [float("nan")] * (len(search.rungs) - len(values))
    return [str(trial.number), SAID[trial.state], *values, *missing, *(words.get(key, "") for key in search.axes)]


def _section(heading: str, content: str) -> str:
    return f"<section>\n<h2>{escape(heading)}</h2>\n{content}\n</section>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
