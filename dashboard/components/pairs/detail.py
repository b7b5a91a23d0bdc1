"""One pair: its prompt and answers as text, and what each run makes of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from dash import dcc, html

from dashboard.analysis import numbers
from dashboard.analysis.losses import beta
from dashboard.components import layout as parts
from dashboard.components.pairs import words as pairs_words
from dashboard.components.pairs.seen import MOST_LISTED, Seen
from dashboard.sources.catalog import Snapshot
from dashboard.sources.pair_texts import Pair, Turn
from training.record.metrics import CHOSEN, MARGIN, REJECTED, describe

LONGEST = 20_000
"""Characters of a text that are shown."""

ROLES = {"user": "User", "assistant": "Assistant", "system": "System"}


def head(found: Seen, row: int) -> list[Any]:
    """The pair's id and what is remarkable about it."""
    matrix = found.matrix
    place = np.flatnonzero(found.suspects.rows == row)
    badges = []
    if len(place):
        named = len(found.suspects.rows)
        badges.append(parts.badge(f"suspected wrong label, {int(place[0]) + 1} of {named}", "warning"))
    if matrix.truncated[row]:
        badges.append(parts.badge("truncated", "warning", "max_length cut an answer: what is beyond was not scored."))
    right = int(matrix.right[row].sum())
    runs = len(matrix.runs)
    words = f"{right} of {runs} runs right" if runs > 1 else ("right" if right else "not right")
    return [html.Span(numbers.one_line(matrix.pairs[row]), className="pairs-id"), parts.badge(words, "plain"), *badges]


def texts(found: Seen, row: int, pair: Pair) -> list[Any]:
    """Prompt, then chosen beside rejected, as text and nothing else."""
    matrix = found.matrix
    tokens = {"chosen": int(matrix.chosen_tokens[row]), "rejected": int(matrix.rejected_tokens[row])}
    answers = [
        html.Div([_answer_head(side, tokens[side]), *_said(turns)], className=f"pairs-answer pairs-{side}")
        for side, turns in (("chosen", pair.chosen), ("rejected", pair.rejected))
    ]
    prompt = html.Div([html.Div("Prompt", className="control-label"), *_said(pair.prompt)], className="pairs-prompt")
    return [prompt, html.Div(answers, className="pairs-answers")]


def _answer_head(side: str, tokens: int) -> html.Div:
    name = {"chosen": "Chosen", "rejected": "Rejected"}[side]
    return html.Div([name, html.Span(f"{tokens:,} tokens", className="dim")], className="control-label pairs-side")


def _said(turns: Sequence[Turn]) -> list[html.Div]:
    alone = len(turns) == 1
    return [
        html.Div(
            [
                *([] if alone and turn.role in ("", "user", "assistant") else [_role(turn.role)]),
                html.Div(_cut(turn.text), className="pairs-text", dir="auto"),
            ],
            className="pairs-turn",
        )
        for turn in turns
    ]


def _role(role: str) -> html.Div:
    return html.Div(ROLES.get(role, numbers.one_line(role)), className="pairs-role")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"


def scores(found: Seen, row: int, snapshot: Snapshot, slots: Mapping[str, int]) -> list[Any]:
    """A row per run: log-probabilities, rewards and the margin of this pair, the most accurate run first."""
    title = [
        "Run",
        "Step",
        _explained("Chosen reward", CHOSEN),
        _explained("Rejected reward", REJECTED),
        _explained("Reward margin", MARGIN),
        html.Span(["Margin, nats ", parts.help_mark("Reward margin / beta: on one scale for all runs.")]),
        "Chosen log-prob.",
        "Rejected log-prob.",
    ]
    rows = [_scored(found, row, column, snapshot, slots) for column in found.by_rank[:MOST_LISTED]]
    table = parts.table(title, rows, "This pair under each run", numeric=range(1, 8))
    return [table, *pairs_words.listed(found)]


def _explained(words: str, metric: str) -> html.Span:
    return html.Span([f"{words} ", parts.help_mark(describe(metric).meaning)])


def _scored(found: Seen, row: int, column: int, snapshot: Snapshot, slots: Mapping[str, int]) -> list[Any]:
    matrix = found.matrix
    run = snapshot.runs[matrix.runs[column]]
    scale, h = beta(run.config), float(matrix.h[row, column])
    chosen, rejected = float(matrix.chosen[row, column]), float(matrix.rejected[row, column])
    rewards = [numbers.metric(None if scale is None else scale * nats, 3) for nats in (chosen, rejected, h)]
    policy = (float(matrix.chosen_logp[row, column]), float(matrix.rejected_logp[row, column]))
    before = (policy[0] - chosen, policy[1] - rejected)
    colour = "pairs-right" if h > 0 else "pairs-wrong" if h < 0 else ""
    return [
        parts.run_link(run, slots[run.id]),
        f"{matrix.steps[column]:,}",
        *rewards,
        html.Span(numbers.metric(h, 2), className=colour),
        *(
            f"{numbers.metric(now, 1)} (was {numbers.metric(then, 1)})"
            for now, then in zip(policy, before, strict=True)
        ),
    ]


def token_place(runs: Sequence[tuple[str, str]], chosen: str | None) -> html.Div:
    """Where each token's share of the reward is shown, once it is asked for; `runs` are ids and names."""
    if not runs:
        why = "What each token contributes needs a checkpoint on this machine, and none of these runs has kept its own."
        return html.Div(parts.notice(why), className="pairs-tokens")
    options = [{"value": run, "label": name} for run, name in runs]
    value = chosen if chosen in dict(runs) else runs[0][0]
    picker = dcc.Dropdown(options, value, id="pairs-token-run", clearable=False, className="pairs-token-run")
    button = html.Button(
        "Show what each token contributes", id="pairs-token-show", className="btn btn-main", type="button"
    )
    bar = html.Div([parts.labelled("Run", picker), button], className="pairs-token-bar")
    waiting = html.Div(parts.skeleton(120), id="pairs-token-wait", hidden=True)
    return html.Div([bar, waiting, html.Div(id="pairs-token-map", **{"aria-live": "polite"})], className="pairs-tokens")
