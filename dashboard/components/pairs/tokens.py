"""The implicit reward of each token of both answers, as a heat map over their text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dash import html

from dashboard import generation
from dashboard.analysis import numbers, ranking
from dashboard.analysis.losses import beta
from dashboard.analysis.numbers import visible
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Evidence
from dashboard.components import context
from dashboard.components import layout as parts
from dashboard.generation import TokenRewards
from dashboard.sources import pair_texts
from dashboard.sources.catalog import Snapshot
from training.record import schema
from training.record.schema import Run

APART = 1e-3
"""Reward by which the sum over tokens may differ from the kept score before it is said."""

Kept = tuple[float | None, float | None]

SIDES = ("chosen", "rejected")

_SPACES = {" ": "·", "\n": "⏎", "\t": "⇥"}


def shown(snapshot: Snapshot, run_id: str, pair_id: str, at: At) -> list[Any]:
    """The heat map of a pair under a run, or one sentence on why there is none; waits for the model's process."""
    run, evidence = snapshot.runs.get(run_id), context.study(snapshot).get(run_id)
    if run is None or evidence is None or run.source != "runs":
        return [parts.notice("This run is gone; choose another one.", "warning")]
    pair = pair_texts.texts(context.catalog().root, run).pair(pair_id)
    if pair is None:
        return [parts.notice("The texts of this pair are not kept, so its tokens are not known.", "warning")]
    directory = context.catalog().local.root / run.id
    checkpoint, step, about = _checkpoint(directory, run, at)
    answers = [pair.given[side] for side in SIDES]
    try:
        found = generation.service().token_rewards(directory, pair.given["prompt"], answers, checkpoint)
    except generation.GenerationError as error:
        return [parts.notice(str(error), "bad")]
    return heat_map(list(zip(("Chosen", "Rejected"), found, _kept(evidence, step, pair_id), strict=True)), about)


def _checkpoint(directory: Path, run: Run, at: At) -> tuple[str | int | None, int | None, list[str]]:
    """Which checkpoint to ask for, the step it is of if that is known, and what must be said of it."""
    judged, folder = ranking.evaluation_step(run, at), directory / schema.CHECKPOINTS
    if judged is not None and judged == run.best_step and (folder / "best").is_dir():
        return "best", judged, [f"Checkpoint of step {judged:,}, the one that was scored."]
    if judged is not None and (folder / f"checkpoint-{judged}").is_dir():
        return judged, judged, [f"Checkpoint of step {judged:,}, the one that was scored."]
    if (folder / "best").is_dir():
        other = "an unknown step" if run.best_step is None else f"step {run.best_step:,}"
        missed = "of the evaluation" if judged is None else f"of step {judged:,}"
        return "best", run.best_step, [f"The checkpoint {missed} was not kept: this is the best one, of {other}."]
    return None, None, ["The checkpoint that was scored was not kept: this is the newest one."]


def _kept(evidence: Evidence, step: int | None, pair_id: str) -> Kept:
    """The rewards of both answers in the scores of that step, as far as they are known."""
    scores, scale = evidence.scores.get(-1 if step is None else step), beta(evidence.run.config)
    if scores is None or scale is None or pair_id not in scores.pairs:
        return None, None
    row = scores.pairs.index(pair_id)
    return scale * float(scores.chosen[row]), scale * float(scores.rejected[row])


def heat_map(sides: Sequence[tuple[str, TokenRewards, float | None]], about: Sequence[str]) -> list[Any]:
    """`sides` are name, token rewards (tokens, rewards, total) and the reward kept in the scores, if it is known.

    One colour scale for both answers: its end is the largest |reward| of a token.
    """
    sizes = [abs(reward) for _, found, _ in sides for reward in found.rewards if np.isfinite(reward)]
    most = max(sizes, default=0.0) or 1.0
    answers = [_side(name, found, kept, most) for name, found, kept in sides]
    return [*(parts.notice(text) for text in about), _legend(most), html.Div(answers, className="pairs-answers")]


def _side(name: str, found: TokenRewards, kept: float | None, most: float) -> html.Div:
    spans = [_token(token, reward, most) for token, reward in zip(found.tokens, found.rewards, strict=True)]
    title = html.Div([name, html.Span(f"reward {numbers.metric(found.total, 3)}", className="dim")])
    title.className = "control-label pairs-side"
    return html.Div(
        [title, html.Div(spans, className="pairs-token-text", dir="auto"), *_sum(found.total, kept)],
        className="pairs-answer",
    )


def _token(token: str, reward: float, most: float) -> html.Span:
    """A token; its colour is set by a custom property from -1 to 1, its number shown under the pointer and on focus."""
    share = reward / most if np.isfinite(reward) else 0.0
    number = _signed(reward)
    words = _shown(token)
    sign = "pairs-token pairs-up" if share > 0 else "pairs-token pairs-down"
    return html.Span(
        words,
        className=sign,
        tabIndex=0,
        role="note",
        style={"--reward": f"{abs(share):.3f}"},
        **{"data-tip": number, "aria-label": f"{visible(token)}: {number}"},
    )


def _signed(reward: float) -> str:
    """With its sign, but of what rounds to nothing."""
    text = f"{reward:+.4f}".replace("-", "−")
    return text if float(f"{reward:.4f}") else "0.0000"


def _shown(token: str) -> str:
    """The token with its spaces seen where it has nothing else, and line breaks always."""
    if not token.strip():
        return "".join(_SPACES.get(char, char) for char in token) or "∅"
    return token.replace("\n", "⏎\n")


def _sum(total: float, kept: float | None) -> list[Any]:
    if kept is None:
        return []
    apart = abs(total - kept)
    if apart <= APART:
        return [
            html.P(
                f"The tokens add up to the reward that was scored, {numbers.metric(kept, 4)}.", className="chart-note"
            )
        ]
    text = (
        f"The tokens add up to {numbers.metric(total, 4)}, the scores say {numbers.metric(kept, 4)}: "
        "the checkpoint is not the one that was scored, or computes with other precision."
    )
    return [parts.notice(text, "warning")]


def _legend(most: float) -> html.Div:
    end = numbers.metric(most, 3)
    words = [html.Span(f"−{end} lowers the reward"), html.Span(className="pairs-ramp"), html.Span(f"+{end} raises it")]
    return html.Div(words, className="pairs-legend")
