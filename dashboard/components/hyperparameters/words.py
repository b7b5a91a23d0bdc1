"""The Hyper-parameters page's answer in words: what matters, what cannot be told, and whether the runs are enough."""

from collections.abc import Sequence
from typing import NamedTuple

from dash import html

from dashboard.analysis.effects import FEW, Effect
from dashboard.analysis.hyperparameters import upper, words
from dashboard.analysis.importance import FEWEST, RUNS_PER_PARAMETER
from dashboard.components import layout as parts
from dashboard.components.hyperparameters.seen import Judged, Seen
from training.record.schema import Run

SHOWN = 3
"""Sentences on single hyper-parameters that are seen at once; the others are folded away."""


class Answer(NamedTuple):
    """A headline, whether it states a finding, the sentences below it, and those folded away."""

    headline: str
    told: bool
    details: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()


def answer(shown: Seen, found: Judged) -> Answer:
    """Which hyper-parameters matter, as far as these runs tell."""
    n, k = shown.configurations, len(shown.rows.columns)
    if not n:
        return Answer(f"No run has a {shown.label} to be judged by.", False, (_why_none(shown),))
    if not k:
        return _one_configuration(shown)
    if not found.effects:
        return Answer(
            f"{_count(n, 'configuration')} cannot tell what matters.",
            False,
            (f"{upper(_vary(shown))}. From {FEW} configurations on, effects can be tested.", _left_out(shown)),
        )
    proven = [effect for effect in found.effects if effect.proven]
    untold = [effect for effect in found.effects if effect.untold and not effect.proven]
    others = [effect for effect in found.effects if effect not in proven and effect not in untold]
    ordered = [*proven, *untold, *others]
    return Answer(
        _headline(proven, untold, shown),
        bool(proven),
        tuple(filter(None, (*(effect.sentence for effect in ordered[:SHOWN]), enough(shown), _left_out(shown)))),
        tuple(effect.sentence for effect in ordered[SHOWN:]),
    )


def _headline(proven: Sequence[Effect], untold: Sequence[Effect], shown: Seen) -> str:
    label = shown.label
    rest = f" Whether {_names(untold, 'or')} does cannot be told." if untold else ""
    if proven:
        return f"{upper(_names(proven))} {'matters' if len(proven) == 1 else 'matter'} for {label}.{rest}"
    if untold:
        return f"What matters for {label} cannot be told: {_names(untold)} {_blurred(untold)}."
    return f"No hyper-parameter is shown to matter for {label}."


def _blurred(untold: Sequence[Effect]) -> str:
    if all("the loss itself" in effect.untold for effect in untold):
        return "sets the scale of the loss" if len(untold) == 1 else "set the scale of the loss"
    return "moved together with another" if len(untold) == 1 else "moved together"


def _names(effects: Sequence[Effect], joint: str = "and", most: int = 3) -> str:
    names = [words(effect.key) for effect in effects[:most]]
    if len(effects) > most:
        return f"{', '.join(names)} {joint} {len(effects) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}"


def enough(shown: Seen) -> str:
    """Whether there are runs enough for importance too."""
    n, k = shown.configurations, len(shown.rows.columns)
    needed = max(FEWEST, RUNS_PER_PARAMETER * k)
    if k < 2:
        return ""
    ratio = f"{_count(n, 'configuration')} of {k} hyper-parameters"
    if n >= needed:
        return f"{ratio} are enough to compare their importance ({needed} are needed)."
    return f"{ratio} are few: {needed} would be needed to say which matters most."


def _one_configuration(shown: Seen) -> Answer:
    if not any(run.config for run in shown.runs):
        return Answer(
            "No configuration is known of these runs.",
            False,
            (
                "Their source has metrics alone, so what made them differ cannot be told. "
                "Import the runs table of the same project (W&B: Export as CSV with the config columns).",
            ),
        )
    judged = sum(shown.value(run) is not None for run in shown.runs)
    if judged < 2:
        return Answer(
            "One configuration was run: there is nothing to compare it with.",
            False,
            ("Train a second one, for example with another learning rate or beta.", _left_out(shown)),
        )
    return Answer(
        f"No hyper-parameter varies among {_count(judged, 'run')}.",
        False,
        ("They differ at most by seed or name. Vary learning rate or beta to learn what they do.", _left_out(shown)),
    )


def _vary(shown: Seen) -> str:
    names = [words(column.key) for column in shown.rows.columns]
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"{listed} {'varies' if len(names) == 1 else 'vary'}"


def _left_out(shown: Seen) -> str:
    """Which runs are not judged, and why."""
    left = [run for run in shown.runs if shown.value(run) is None]
    if not left:
        return ""
    reasons = {"running": 0, "failed": 0, "pruned": 0, f"without {shown.label}": 0}
    for run in left:
        reasons[_reason(run, shown)] += 1
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
    return f"Not judged: {listed}."


def _reason(run: Run, shown: Seen) -> str:
    return run.status if run.status in ("running", "failed", "pruned") else f"without {shown.label}"


def _why_none(shown: Seen) -> str:
    return _left_out(shown) or "Runs are judged once they have ended with an evaluation."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def panel(found: Answer) -> html.Div:
    """The answer as the page shows it."""
    head = html.P(found.headline, className="headline" if found.told else "headline dim")
    details = [html.P(text, className="answer-detail") for text in found.details if text]
    many = "1 more hyper-parameter" if len(found.folded) == 1 else f"{len(found.folded)} more hyper-parameters"
    rest = parts.folded(many, html.Ul([html.Li(text) for text in found.folded]))
    return html.Div([head, *details, *([rest] if found.folded else [])], className="answer")
