"""Whether training began, went on and ended as it should: divergence, gradients, the start and the end."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dashboard.analysis.findings.finding import Finding
from dashboard.analysis.findings.per_run import Check, Seen, collect
from dashboard.analysis.logged import series, untrained
from dashboard.analysis.ranking import EVAL_LOSS, At
from dashboard.analysis.study import Evidence, Floats, Study
from training.record.history import number
from training.record.metrics import CHOSEN, LOSS, REJECTED

TRAIN_LOSS = f"train/{LOSS}"

SPIKE_Z, SPIKE_RATIO = 6.0, 10.0  # the same as training/watch.py: of the norms themselves z > 6 is common
SPIKE_NEEDS, SPIKE_WINDOW = 20, 50
MAD_TO_SD = 1.4826
CLIPPED_SHARE, CLIPPED_NEEDS = 0.5, 20  # above a half, max_grad_norm sets most steps and not the gradient
START_ERROR = {"float32": 1e-3, "lower": 0.05}  # relative, what rounding explains (training/watch.py)
START_MARGIN = {"float32": 0.01, "lower": 2.0}  # nats of a pair's margin
START_MOVED = 0.05  # share of pairs beyond START_MARGIN that no rounding explains
NOISY_START, NOISY_NEEDS = 1.5, 10  # times the untrained loss; logged values
STILL_SHARE, STILL_NEEDS = 0.15, 4  # of the whole fall, in the last quarter; evaluations
STILL_LEAST, STILL_Z = 0.02, 4.0  # nats that the loss fell in all; times the noise of one evaluation
EARLY_SHARE = 0.98  # the last evaluation may lie some steps before the end


def check(study: Study, at: At) -> list[Finding]:
    """What the curves of each run say of its training."""
    return collect(_CHECKS, study, at)


def _not_finite(evidence: Evidence) -> tuple[Seen, bool] | None:
    """Where a loss was NaN or infinite, and whether it was still so at its last value."""
    found = []
    for key in (TRAIN_LOSS, EVAL_LOSS):
        curve = series(evidence, key)
        bad = np.flatnonzero(~np.isfinite(curve.values)).tolist()
        if bad:
            times = "once, at" if len(bad) == 1 else f"{len(bad):,} times, first at"
            words = f"{key} {times} step {curve.steps[bad[0]]:,}"
            seen = Seen(words, {"metric": key, "times": len(bad), "first_step": curve.steps[bad[0]]}, len(bad))
            found.append((seen, bad[-1] == len(curve) - 1))
        elif not len(curve) and not math.isfinite(evidence.run.metrics.get(key, 0.0)):
            found.append((Seen(f"the last {key}", {"metric": key, "times": 1, "first_step": None}, 1), True))
    return max(found, key=lambda one: one[1], default=None)


def _diverged(evidence: Evidence, at: At) -> Seen | None:
    found = _not_finite(evidence)
    return found[0] if found and found[1] else None


def _recovered(evidence: Evidence, at: At) -> Seen | None:
    found = _not_finite(evidence)
    return found[0] if found and not found[1] else None


def _spikes(evidence: Evidence, at: At) -> Seen | None:
    """Norms above SPIKE_RATIO times the median of those before, at robust z > SPIKE_Z of the logarithm."""
    curve = series(evidence, "train/grad_norm")
    norms = np.asarray(curve.values, dtype=np.float64)
    known = np.isfinite(norms) & (norms > 0)
    logs, steps = np.log(norms[known]), np.asarray(curve.steps)[known]
    if len(logs) <= SPIKE_NEEDS:
        return None
    rises = logs[SPIKE_NEEDS:] - _middles(logs)
    spikes = {
        int(steps[i]): math.exp(rises[i - SPIKE_NEEDS])
        for i in SPIKE_NEEDS + np.flatnonzero(rises > math.log(SPIKE_RATIO))
        if rises[i - SPIKE_NEEDS] > SPIKE_Z * _spread(logs[max(0, i - SPIKE_WINDOW) : i])
    }
    if not spikes:
        return None
    step = max(spikes, key=spikes.__getitem__)
    where = "at" if len(spikes) == 1 else f"at {len(spikes)} logged steps, most at"
    words = f"{where} step {step:,}: {spikes[step]:,.0f} times the median before it"
    return Seen(words, {"spikes": len(spikes), "largest_step": step, "largest_ratio": spikes[step]}, spikes[step])


def _middles(logs: Floats) -> Floats:
    """From index SPIKE_NEEDS on, the median of the values before, of the last SPIKE_WINDOW if there are more."""
    early = [np.median(logs[:i]) for i in range(SPIKE_NEEDS, min(SPIKE_WINDOW, len(logs)))]
    if len(logs) <= SPIKE_WINDOW:
        return np.array(early)
    return np.concatenate([early, np.median(sliding_window_view(logs[:-1], SPIKE_WINDOW), axis=1)])


def _spread(logs: Floats) -> float:
    """The standard deviation as the median of the distances from the median has it."""
    return MAD_TO_SD * float(np.median(np.abs(logs - np.median(logs))))


def _clipped(evidence: Evidence, at: At) -> Seen | None:
    limit = number(evidence.run.config.get("max_grad_norm"))
    norms = np.asarray(series(evidence, "train/grad_norm").values)
    norms = norms[np.isfinite(norms)]
    if limit is None or limit <= 0 or len(norms) < CLIPPED_NEEDS:
        return None
    share = float((norms > limit).mean())
    if share <= CLIPPED_SHARE:
        return None
    numbers = {"share": share, "logged": len(norms), "max_grad_norm": limit}
    return Seen(f"{share:.1%} of {len(norms):,} logged steps, max grad norm {limit:g}", numbers, share)


def _precision(evidence: Evidence) -> str:
    """Which of START_ERROR and START_MARGIN hold: "float32" only where the record says so."""
    config, dtype = evidence.run.config, evidence.run.environment.get("dtype")
    lower = any(config.get(key) for key in ("bf16", "fp16", "tf32"))
    return "float32" if dtype == "float32" and not lower else "lower"


def _start(evidence: Evidence, at: At) -> Seen | None:
    """The evaluation before training. TRL's own accuracy is 0.0 there (strict >): accuracy is not looked at."""
    curve, due, precision = series(evidence, EVAL_LOSS), untrained(evidence), _precision(evidence)
    if not len(curve) or curve.steps[0] != 0:
        return None
    loss, proven = curve.values[0], curve.epochs[0] == 0
    # Step 0 of a foreign log may be a first log after some training, which lowers the loss and never raises it.
    error = math.nan if due is None else (loss - due) / due
    off = math.isfinite(loss) and (abs(error) if proven else error) > START_ERROR[precision]
    scores = evidence.scores.get(0)
    moved = 0.0 if scores is None or not len(scores) else float(np.mean(~(np.abs(scores.h) <= START_MARGIN[precision])))
    if not off and moved <= START_MOVED:
        return None
    rewards = {f"eval/{name}": series(evidence, f"eval/{name}").values[:1].tolist() for name in (CHOSEN, REJECTED)}
    words = [f"loss {loss:.4f}" + ("" if due is None else f", due {due:.4f}")] if math.isfinite(loss) else []
    words += [f"{moved:.1%} of the pairs have a margin already"] if moved > START_MOVED else []
    size = abs(error) if math.isfinite(error) else 0.0
    return Seen("; ".join(words), {"loss": loss, "due": due, "moved": moved, **rewards}, size)


def _noisy(evidence: Evidence, at: At) -> Seen | None:
    """The loss of training batches before anything is learned: noise that evaluation does not have, such as dropout."""
    curve, due, config = series(evidence, TRAIN_LOSS), untrained(evidence), evidence.run.config
    losses = [value for value in curve.values if math.isfinite(value)]
    if due is None or not losses or config.get("disable_dropout") is False or config.get("neftune_noise_alpha"):
        return None
    first, lowest = losses[0], min(losses)
    wrong = curve.steps[0] == 1 and abs(first - due) > START_ERROR["lower"] * due
    never = len(losses) >= NOISY_NEEDS and first > NOISY_START * due and lowest > due
    if not wrong and not never:
        return None
    words = f"{first:.4f} at step {curve.steps[0]:,}, due {due:.4f}" + (f"; never below {lowest:.4f}" if never else "")
    return Seen(words, {"first": first, "step": curve.steps[0], "lowest": lowest, "due": due}, abs(first - due))


def _early(evidence: Evidence, at: At) -> Seen | None:
    run = evidence.run
    reached = max([run.step or 0, *(curve.steps[-1] for curve in evidence.history.values() if len(curve))])
    if run.status == "running" or not run.max_steps or not 0 < reached < EARLY_SHARE * run.max_steps:
        return None
    numbers = {"step": reached, "max_steps": run.max_steps, "status": run.status}
    state = "" if run.status == "unknown" else f", {run.status}"
    return Seen(f"step {reached:,} of {run.max_steps:,}{state}", numbers, 1 - reached / run.max_steps)


def _improving(evidence: Evidence, at: At) -> Seen | None:
    """The evaluation loss still falls: a large part of its whole fall came in the last quarter of the steps."""
    curve = series(evidence, EVAL_LOSS)
    if len(curve) < STILL_NEEDS or evidence.run.status == "running" or not all(map(math.isfinite, curve.values)):
        return None
    last, end = curve.values[-1], curve.steps[-1]
    turn = end - (end - curve.steps[0]) / 4
    before = float(np.interp(turn, curve.steps, curve.values))
    fall, late = curve.values[0] - last, before - last
    steady = all(after < value for value, after in pairwise(curve.values[-3:]))
    if not steady or fall < STILL_LEAST or late < STILL_SHARE * fall or late < STILL_Z * _noise(curve.values):
        return None
    words = f"{late / fall:.1%} of the fall from {curve.values[0]:.4f} to {last:.4f} came in the last quarter"
    return Seen(words, {"fall": fall, "last_quarter": late, "share": late / fall}, late / fall)


def _noise(values: Sequence[float]) -> float:
    """The standard deviation of one value about a smooth curve, from second differences, whose variance is 6 times its.

    Robust, by the median (Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73, 625-633).
    """
    return MAD_TO_SD * float(np.median(np.abs(np.diff(np.asarray(values), 2)))) / math.sqrt(6)


_CHECKS = (
    Check(
        "divergence",
        "bad",
        "The loss was NaN or infinite at the end: {runs}. The last model is lost; lower the learning rate.",
        "definition: a loss is finite",
        _diverged,
    ),
    Check(
        "loss-not-finite",
        "warning",
        "The loss was NaN or infinite for a time, and finite again later: {runs}. Usually a number was too "
        "large for 16 bits; try bf16 or float32.",
        "definition: a loss is finite",
        _recovered,
    ),
    Check(
        "gradient-spikes",
        "warning",
        "The gradient norm jumped in {runs}; if the loss rose there too, lower the learning rate or clip harder.",
        "robust z of the logarithm of the norm, 0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993)",
        _spikes,
        {"z": SPIKE_Z, "ratio": SPIKE_RATIO, "window": SPIKE_WINDOW},
    ),
    Check(
        "clipped-gradients",
        "info",
        "Most gradients were clipped in {runs}: max grad norm, more than the gradient, sets how far a step goes; "
        "harmless by itself, and usual at a high beta.",
        "TRL logs the norm before clipping; DPO's gradient grows with beta (arXiv:2305.18290, section 4)",
        _clipped,
        {"share": CLIPPED_SHARE},
    ),
    Check(
        "wrong-start",
        "bad",
        "Before training, policy and reference must give the same numbers, and do not in {runs}: check the reference "
        "model, dropout and the chat template.",
        "loss at log-ratios of 0: -log sigmoid(0) = ln 2 (arXiv:2305.18290, eq. 7)",
        _start,
        {"relative_error": START_ERROR, "margin": START_MARGIN, "moved": START_MOVED},
    ),
    Check(
        "noisy-start",
        "warning",
        "The training loss does not start at the untrained model's in {runs}: dropout, or another noise, was on in the "
        "policy and not in the reference, the two are not the same model, or the learning rate is far too high.",
        "loss at log-ratios of 0: -log sigmoid(0) = ln 2 (arXiv:2305.18290, eq. 7)",
        _noisy,
        {"first_step_error": START_ERROR["lower"], "never_below": NOISY_START},
    ),
    Check(
        "ended-early",
        "info",
        "Not all planned steps were made in {runs}: beside runs of full length the difference may be the length.",
        "steps made against max_steps",
        _early,
        {"share": EARLY_SHARE},
    ),
    Check(
        "still-improving",
        "info",
        "The evaluation loss was still falling at the end of {runs}: more steps would probably lower it further.",
        "part of the loss's fall in the last quarter of the steps",
        _improving,
        {"share": STILL_SHARE, "fall": STILL_LEAST, "noise": STILL_Z, "evaluations": STILL_NEEDS},
    ),
)
