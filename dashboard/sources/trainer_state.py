"""Reads the trainer_state.json of Hugging Face's Trainer: nested checkpoints are one run, files beside it tell more."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dashboard.sources import trainer_log
from dashboard.sources.beside import Beside, beta_of, look
from dashboard.sources.evaluated import RUNTIME, SPEED, counted
from dashboard.sources.files import File
from dashboard.sources.imported import NO_CORRECTIONS, Corrections, Imported, SourceError, at, with_evaluations
from dashboard.sources.points import by_note, few, whole
from dashboard.sources.trainer_log import CHECKPOINT, State, is_trainer_state
from dashboard.sources.vocabulary import seems_dpo
from training.record.history import number
from training.record.metrics import LOSS
from training.record.schema import History, Run, Series, Status

__all__ = ["MOST_BYTES", "is_trainer_state", "read"]

MOST_BYTES = 2 * trainer_log.LARGEST
"""Of all states that are kept at once."""

_NO_NAME = re.compile(
    r"\W*|outputs?|results?|models?|checkpoints?|(checkpoint|global_step|step)[-_]?\d+|runs?|logs?|saves?|final|trainer"
    r"|content|home|root|tmp|mnt|users?|workspace|drive|mydrive",
    re.IGNORECASE | re.ASCII,
)
_KEPT = ("num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps")
_WITHOUT_REWARDS = {
    "ORPO": {"log_odds_ratio", "log_odds_chosen", "odds_ratio_loss"},
    "GRPO": {"reward", "reward_std"},
    "reward modelling": {"mean_reward", "margin"},
}
_OTHER_REWARDS = {"ORPO": {"log_odds_ratio", "log_odds_chosen"}, "KTO": {"kl"}}


def read(
    files: Sequence[File],
    siblings: Mapping[PurePosixPath, File],
    prefix: str,
    corrections: Corrections = NO_CORRECTIONS,
) -> Imported:
    """The runs in all trainer states of a source; `siblings` are all of its files. Ids: `prefix`, a number from 1.

    A state whose log begins another one of the same folder, with the same max_steps, is an earlier checkpoint of that
    run. Raises SourceError, one sentence, if no file is a trainer's state.
    """
    problems: list[str] = []
    runs: list[Run] = []
    histories: dict[str, History] = {}
    groups = _groups(files, problems)
    names = _names(groups)
    for base, group in groups.items():
        for state, notes in _told_apart(group):
            alone = len(group) == 1 or state.file.path.parent == base
            beside = look(dict.fromkeys([state.file.path.parent, *([base] if alone else [])]), siblings)
            if not alone and look([base], siblings).notes:
                notes.append(f"the files in {base} may be of another of its runs and are not used.")
            name = _name(names[base], state, group)
            run, history = _run(f"{prefix}-{len(runs) + 1}", name, state, beside, notes, corrections)
            runs.append(run)
            histories[run.id] = history
    if not runs:
        raise SourceError(problems[0] if problems else "There is no trainer_state.json.")
    about = by_note((run.name, note) for run in runs for note in run.notes)
    told = (*few(problems, "files could not be read"), *few(about, "notes are at the runs"))
    rows = (frozenset[str]().union(*state.rows) for group in groups.values() for state, _ in group)
    named = frozenset[str]().union(*rows)
    keys = {name: _key(name, corrections) for name in named - corrections.ignored}
    return Imported(tuple(runs), told, histories, named=named, keys=keys)


def _key(name: str, corrections: Corrections) -> str:
    return name if trainer_log.is_of_whole_run(name) else trainer_log.key_of(name, corrections)


_Group = list[tuple[State, list[State]]]
"""The runs of one folder, the longest first: the newest state, and the earlier ones of the same run."""


def _groups(files: Sequence[File], problems: list[str]) -> dict[PurePosixPath, _Group]:
    """The runs by their folder. Read one by one, largest first, so that an earlier checkpoint need not be kept."""
    groups: dict[PurePosixPath, _Group] = defaultdict(list)
    kept = 0
    for file in sorted(files, key=lambda file: (-file.size, str(file.path))):
        try:
            if kept and kept + file.size > MOST_BYTES:
                raise SourceError(f"{file.path} is left out: the states together are larger than the limit.")
            state = trainer_log.parse(file)
        except SourceError as problem:
            problems.append(str(problem))
            continue
        later = next((earlier for newest, earlier in groups[state.base] if newest.holds(state)), None)
        if later is None:
            groups[state.base].append((state, []))
            kept += file.size
        else:
            later.append(state)
    filled = {base: _with_lines(sorted(group, key=lambda one: -one[0].step)) for base, group in groups.items() if group}
    return dict(sorted(filled.items()))


def _with_lines(group: _Group) -> _Group:
    """The runs of a folder, each log of lines with the state that was saved of the same run."""
    runs = [one for one in group if not one[0].is_lines]
    for lines, earlier in (one for one in group if one[0].is_lines):
        for place, (state, before) in enumerate(runs):
            if (continued := state.continued(lines)) is not None:
                runs[place] = (continued, [*before, lines, *earlier])
                break
        else:
            runs.append((lines, earlier))
    return sorted(runs, key=lambda one: -one[0].step)


def _told_apart(group: _Group) -> Iterator[tuple[State, list[str]]]:
    """Each run of a folder with what made it one, or another one."""
    first = group[0][0]
    for state, earlier in group:
        notes = []
        for lines in (one for one in earlier if one.is_lines and not state.is_lines):
            notes.append(f"{lines.file.path.name} is the log of the same run, to step {lines.step:,}.")
        saved = sorted((one for one in earlier if one.is_lines == state.is_lines), key=lambda found: found.step)
        if saved:
            shown = ", ".join(found.label[:80] for found in saved[:5])
            more = f" and {len(saved) - 5} more" if len(saved) > 5 else ""
            notes.append(f"the log in {state.label[:80]} begins with that in {shown}{more}: one run, read from there.")
        if state is not first:
            plans = [whole(number(found.stated.get("max_steps"))) for found in (state, first)]
            why = f"its max_steps is {plans[0]}, not {plans[1]}" if plans[0] != plans[1] else "its log is another one"
            notes.append(f"lies beside {first.label[:80]} and is a run of its own: {why}.")
        yield state, notes


def _folders(state: State) -> Iterator[str]:
    """Names of folders that may tell what the run is, nearest first; the last is where the trainer said it saved."""
    yield from reversed(state.base.parts)
    if state.file.origin is not None:
        yield from (folder.name for folder in state.file.origin.parents[:3])
    saved = state.stated.get("best_model_checkpoint")
    if isinstance(saved, str):
        yield from list(reversed(PurePosixPath(saved[:1000].replace("\\", "/")).parts))[1:2]


def _names(groups: Mapping[PurePosixPath, _Group]) -> dict[PurePosixPath, str]:
    """A name for each folder: the nearest that means something, its whole path if two are equal, "" if none does."""
    found = {}
    for base, group in groups.items():
        means = (name for name in _folders(group[0][0]) if not _NO_NAME.fullmatch(name))
        found[base] = next(means, "")[:200]
    shared = {name for name, count in Counter(found.values()).items() if count > 1}
    return {base: str(base)[:200] if name in shared and base.parts else name for base, name in found.items()}


def _name(folder: str, state: State, group: _Group) -> str:
    """The run's name: its folder's; where that holds several runs, the file's or checkpoint's after it."""
    plain = CHECKPOINT.fullmatch(state.label) or state.label in ("trainer_state", "trainer_log")
    main = len(group) == 1 or (plain and state is group[0][0])
    return folder if folder and main else "/".join(part for part in (folder, state.label[:200]) if part)


def _run(
    ident: str, name: str, state: State, beside: Beside, notes: Sequence[str], corrections: Corrections
) -> tuple[Run, History]:
    history, whole_run = trainer_log.curves(state.rows, corrections)
    stated = {name: number(state.stated.get(name)) for name in ("global_step", "max_steps", "epoch")}
    max_steps = whole(stated["max_steps"])
    told = {name: value for name, value in beside.results.items() if name not in corrections.ignored}
    ends = {name: value for name, value in told.items() if trainer_log.is_of_whole_run(name)} | whole_run
    done = max_steps is not None and state.step == max_steps and "train_runtime" in ends
    status: Status = "finished" if done else "unknown"
    best_step, best_metric = _best(state.stated, history)
    results = {trainer_log.key_of(key, corrections): value for key, value in told.items()}
    evaluated = {key: value for key, value in results.items() if key.startswith("eval/") and key not in history}
    config, hint = _config(state, beside)
    notes = [*notes, *beside.notes, *hint, *_about(state, history)]
    run = Run(
        ident,
        name,
        str(state.file.path),
        status,
        config=config,
        metrics={**evaluated, **ends},
        best_step=best_step,
        best_metric=best_metric,
        step=state.step,
        max_steps=max_steps,
        epoch=stated["epoch"] if stated["epoch"] is not None and math.isfinite(stated["epoch"]) else None,
        n_eval=_pairs(history) or whole(beside.results.get("eval_samples")),
        seconds=ends.get("train_runtime"),
        apart=None if seems_dpo(history) or state.brief else "no DPO run",
        notes=tuple(notes),
    )
    return with_evaluations(run, history), history


def _best(stated: Mapping[str, Any], history: History) -> tuple[int | None, str | None]:
    """Step and metric of the best evaluation by the trainer's own choice, where its log has that very value.

    A state gives best_metric's value without its name: the evaluation that has it at the step says which it was.
    """
    value, step = number(stated.get("best_metric")), whole(number(stated.get("best_global_step")))
    if value is None or not math.isfinite(value):
        return None, None
    saved = stated.get("best_model_checkpoint")
    if step is None and isinstance(saved, str) and (match := CHECKPOINT.search(saved[-100:])):
        step = int(match[1])
    evaluations = sorted((key for key in history if key.startswith("eval/")), key=lambda key: key != f"eval/{LOSS}")
    found = next((key for key in evaluations if at(history[key], step) == value), None)
    return (step, found) if found else (None, None)


def _pairs(history: History) -> int | None:
    """The number of evaluation pairs, from the last evaluation that tells its runtime and speed."""
    runtime, speed = (history.get(name, Series()) for name in (RUNTIME, SPEED))
    step = max({*runtime.steps} & {*speed.steps}, default=None)
    return counted(at(runtime, step), at(speed, step))


def _config(state: State, beside: Beside) -> tuple[dict[str, Any], list[str]]:
    """The configuration, and what is to be said of a beta in a folder's name: a hint, used if nothing else tells it."""
    numbers = ((name, number(state.stated.get(name))) for name in _KEPT)
    stated = {name: value if whole(value) is None else whole(value) for name, value in numbers if value is not None}
    config = {**beside.config, **stated}
    hints = ((name, beta) for name in _folders(state) if (beta := beta_of(name)) is not None)
    name, beta = next(hints, ("", None))
    if beta is None or number(config.get("beta")) == beta:
        return config, []
    if "beta" in config:
        said = str(config["beta"])[:40]
        return config, [f'beta is {said} by the files beside it, but {beta:g} by the name of its folder "{name[:80]}".']
    note = f'beta = {beta:g} is only the name of its folder, "{name[:80]}": a hint, until the log confirms it.'
    return {**config, "beta": beta}, [note]


def _about(state: State, history: History) -> Iterator[str]:
    """What a reader of this run must know: what was left out, how far it came, whether it is DPO at all."""
    if state.odd:
        yield f"what has no step or no number in its log is left out ({state.odd:,} of its entries)."
    max_steps = whole(number(state.stated.get("max_steps")))
    if max_steps is not None and 0 < state.step < max_steps:
        yield f"its log ends at step {state.step:,} of {max_steps:,}."
    if not any(key.startswith("eval/") for key in history):
        yield "its log has no evaluation."
    logged = {key.removeprefix("eval/").removeprefix("train/") for key in history}
    if not seems_dpo(history) and state.brief:
        yield "its log names no reward: whether this is preference training, a trainer_state.json beside it would tell."
    elif not seems_dpo(history):
        kind = next((kind for kind, names in _WITHOUT_REWARDS.items() if names & logged), "")
        seems = f"its metrics are those of {kind}" if kind else "it may be supervised fine-tuning"
        yield f"it is no DPO run: its log has no rewards/* ({seems})."
    for kind, names in _OTHER_REWARDS.items():
        if seems_dpo(history) and names & logged:
            yield f"its metrics are those of {kind}, not of DPO: its rewards do not compare with a DPO run's."
