"""What the Pairs page says in words: the answer, what is left out, and why there may be nothing to see."""

from typing import Any

from dash import html

from dashboard.analysis import numbers, pair_matrix
from dashboard.components import layout as parts
from dashboard.components.no_runs import no_runs
from dashboard.components.pairs.seen import CELL_NAMES, MOST_LISTED, Seen, View
from dashboard.sources.catalog import Snapshot

_METHOD = (
    "A wrong label mirrors a margin: the runs clearly prefer the answer that is called rejected. The model: a label "
    "agrees with the sign of a margin the more often, the larger it is, except for a share of flipped labels "
    "(arXiv:2403.00409). It is fitted to the mean margin of the runs; pairs are named only if that share is above 0 by "
    "a likelihood-ratio test, and only so many that 5% of them are expected to be labelled right. On simulated margins "
    "that fit the model, 10% to 25% of the named were. What no data of this kind can tell apart from a wrong label is "
    "an error that all runs make with confidence: where margins have heavy tails, 1% to 3% of rightly labelled pairs "
    "were named, and nothing else. Read the pair."
)


def answer(found: Seen, snapshot: Snapshot) -> list[Any]:
    """The first sentences: how the runs agree, and which labels look wrong."""
    matrix, count = found.matrix, len(found.matrix.pairs)
    seen = pair_matrix.tally(matrix)
    runs = len(matrix.runs)
    who = f"{snapshot.runs[matrix.runs[0]].name} gets" if runs == 1 else f"all {runs} runs get"
    rest = f", and they differ on {seen.contested:,}" if runs > 1 else f", {seen.contested:,} undecided"
    tied = rest if seen.contested else ""
    head = f"Of {count:,} pairs, {who} {seen.right:,} right and {seen.wrong:,} wrong{tied}."
    return [html.P(head, className="headline"), _suspicion(found)]


def _suspicion(found: Seen) -> html.P:
    suspects = found.suspects
    named = len(suspects.rows)
    if suspects.share is None:
        why = "no run tells right from wrong above chance" if not suspects.used else "there are too few pairs"
        text = f"Whether labels are wrong cannot be told: {why}."
    elif not named:
        text = "No label is named as wrong: the runs' errors do not stand out from what margins of their size explain."
        text = (
            text if not suspects.share else "Some labels look wrong, but no single pair can be named with confidence."
        )
    else:
        share = numbers.percent(suspects.share)
        one = "1 pair may be mislabelled" if named == 1 else f"{named:,} pairs may be mislabelled"
        text = (
            f"{one}: the runs clearly prefer the answer that is called rejected. If errors of their own are seldom so "
            f"confident, most of these labels are wrong, and about {share} of all. "
        )
    if suspects.used and (unused := len(found.matrix.runs) - len(suspects.used)):
        text += f" Judged without {_counted(unused)} that copy another one, or are right no more often than by chance. "
    show = html.Button("Show them", className="btn btn-quiet", type="button", **{"data-pairs-only": "suspects"})
    return html.P([text, *([show] if named else []), " ", parts.help_mark(_METHOD)], className="answer-detail")


def notes(found: Seen, wish: View, snapshot: Snapshot, drawn: int, kept: int) -> list[Any]:
    """What is not in the picture, and the filter of a cell."""
    said = []
    if (cell := found.cell(wish)) is not None:
        run = snapshot.runs.get(found.matrix.runs[cell[1]])
        said.append(_cell_chip(f"{CELL_NAMES[cell[0]]}: {run.name if run else found.matrix.runs[cell[1]]}"))
    other, without = len(found.matrix.other), _without(found, wish)
    if other:
        said.append(parts.notice(f"{_runs(other)} evaluated on other pairs and left out: margins need the same pairs."))
    if without:
        said.append(parts.notice(f"{_runs(without)} without scores of each pair, and left out."))
    if drawn < kept:
        said.append(
            parts.notice(f"The map shows the first {drawn:,} of {kept:,} pairs; the list has all. Filter for less.")
        )
    if not kept:
        said.append(parts.notice("No pair is left: choose another filter, or search for something else."))
    if found.texts.problem:
        said.append(parts.notice(found.texts.problem, "warning"))
    return said


def _counted(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def _runs(count: int) -> str:
    return f"{_counted(count)} {'is' if count == 1 else 'are'}"


def _without(found: Seen, wish: View) -> int:
    """How many of the runs that were asked for have no scores."""
    return len(set(wish.wanted) - {*found.matrix.runs, *found.matrix.other})


def _cell_chip(text: str) -> html.Div:
    close = html.Button("All pairs", className="btn btn-quiet", type="button", **{"data-pairs-cell": ""})
    return html.Div([html.Span(f"Only: {text}", className="chip chip-tied"), close], className="pairs-chip")


def listed(found: Seen) -> list[Any]:
    """That a table has not all runs, where it has not."""
    runs = len(found.matrix.runs)
    text = f"The {MOST_LISTED} most accurate of {runs} runs; choose runs above to see others."
    return [html.P(text, className="chart-note")] if runs > MOST_LISTED else []


def nothing(snapshot: Snapshot, wish: View) -> html.Div:
    """Why there is no matrix, and what would give one."""
    train = ["Train a run that has them: ", parts.command("python -m training.run")]
    if snapshot.problem or not snapshot.runs:
        return no_runs(snapshot, "Here you will read each evaluation pair, and see which runs get it right.")
    chosen = [snapshot.runs[run] for run in wish.wanted] or list(snapshot.runs.values())
    foreign = sum(run.source != "runs" for run in chosen)
    why = (
        "Logs of other tools hold means over all pairs; what each pair got is not in them, and cannot be recovered."
        if foreign == len(chosen)
        else "Runs trained here keep the score of each pair at every evaluation, and show them once they have ended."
    )
    lines: list[Any] = [why, train]
    if wish.wanted:
        lines.append("Or choose other runs above; with none chosen, all runs that have scores are shown.")
    return parts.empty("No scores of single pairs", lines)
