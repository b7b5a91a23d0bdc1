"""A W&B sweep file as people write it, read and checked before anything starts."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from training.record import metrics as names
from training.sweeps import targets
from training.sweeps.numbers import as_number, short
from training.sweeps.parameters import Parameter, parse
from training.sweeps.trial import SweepError

argv = targets.argv
anchored = targets.anchored
Method = Literal["grid", "random", "bayes"]
METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
_LARGEST = 2**18
_DEEPEST = 5
_READ = ("name", "method", "metric", "parameters", "early_terminate", "run_cap")
_UNUSED = ("program", "command", "project", "entity", "description", "controller", "apiVersion", "kind", "job")
_UNUSED_TOO = ("image_uri", "settings", "launch", "tune")
_REWARDS = (names.CHOSEN, names.REJECTED, names.ACCURACY, names.MARGIN, names.LOGPS_CHOSEN, names.LOGPS_REJECTED)
_OTHERS = ("logits/chosen", "logits/rejected", "entropy", "mean_token_accuracy")
_SAMPLES = tuple(name for name in names.METRICS if name.startswith("samples/"))
LOGGED = (
    *(f"eval/{name}" for name in (names.LOSS, names.COMMON_BETA_LOSS, *_REWARDS, *_OTHERS, *_SAMPLES)),
    *(f"train/{name}" for name in (names.LOSS, *_REWARDS, *_OTHERS, "pairs_per_second", "tokens_per_second")),
)
_DEFAULT = f"eval/{names.ACCURACY}"
_HYPERBAND = ("min_iter", "max_iter", "s", "eta")
# What the evaluation pairs are drawn by: metrics of other pairs do not compare.
_PAIRS = ("dataset_name", "dataset_config", "dataset_test_split", "dataset_test_size", "max_eval_samples", "where")


@dataclass(frozen=True)
class SweepFile:
    """A sweep as its file asks for it. `metric` is a W&B key; `parameters` have training.run's names; `notes` are lines
    for the person at the terminal; `text` is the file as it is.
    """

    name: str
    method: Method
    metric: str
    maximize: bool
    parameters: tuple[Parameter, ...]
    early_terminate: Mapping[str, Any] | None
    run_cap: int | None
    notes: tuple[str, ...]
    text: str


def read(path: Path) -> SweepFile:
    """The sweep in a W&B sweep file. Nothing in it is executed.

    Raises SweepError, one line with the place, if it cannot be read or cannot be run.
    """
    text = _text(path)
    try:
        content = _content(text)
        notes = _notes(content)
        method = _method(content.get("method"))
        metric, maximize = _metric(content, method, notes)
        parameters = _parameters(content.get("parameters"), method, notes)
        name = content.get("name")
        return SweepFile(
            path.stem if name is None else name if isinstance(name, str) else short(name),
            method,
            metric,
            maximize,
            parameters,
            _early(content.get("early_terminate")),
            _cap(content.get("run_cap")),
            tuple(notes),
            text,
        )
    except SweepError as error:
        raise SweepError(f"{path}: {error}") from None


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without Python objects, in which no key may come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise SweepError(f"{path} is larger than {_LARGEST // 1024} KB: no sweep file")
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror or error}; give a W&B sweep file") from error
    except UnicodeDecodeError:
        raise SweepError(f"{path} is no text in UTF-8: no sweep file") from None


def _content(text: str) -> dict[str, Any]:
    try:
        content = yaml.load(text.removeprefix("\ufeff"), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SweepError(f"line {mark.line + 1 if mark else 1}: no valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SweepError(f"no valid YAML: {short(' '.join(str(error).split()))}") from error
    if not isinstance(content, dict):
        raise SweepError(f"{'empty' if content is None else short(content)}, where `method:` and `parameters:` belong")
    for key in content:
        if key not in (*_READ, *_UNUSED, *_UNUSED_TOO):
            raise SweepError(_unknown(f"`{key}` is unknown", str(key), _READ))
    return content


def _notes(content: Mapping[str, Any]) -> list[str]:
    unused = [key for key in ("program", "command") if key in content]
    if not unused:
        return []
    verb = "are" if len(unused) > 1 else "is"
    return [f"{' and '.join(unused)} {verb} not executed: every run is a training.run of this machine's Python"]


def _method(stated: Any) -> Method:
    if stated in METHODS:
        return cast(Method, stated)
    if stated is None:
        raise SweepError("`method` is missing; write method: bayes, random or grid")
    raise SweepError(_unknown(f"method {short(stated)} is unknown", short(stated), METHODS))


def _metric(content: Mapping[str, Any], method: Method, notes: list[str]) -> tuple[str, bool]:
    """The metric's W&B key, and whether more of it is better."""
    stated = content.get("metric")
    if stated is None:
        if method == "bayes":
            notes.append(f"no metric is named: the search maximizes {_DEFAULT}, comparable across beta and loss type")
        return _DEFAULT, True
    stated = {"name": stated} if isinstance(stated, str) else stated
    if not isinstance(stated, dict) or not isinstance(stated.get("name"), str):
        raise SweepError(f"metric needs a name, such as {_DEFAULT}")
    key = _key(stated["name"])
    if "target" in stated:
        notes.append("metric.target is not used: the sweep goes on after a run reaches it")
    return key, _maximize(key, stated.get("goal"), notes)


def _key(stated: str) -> str:
    """A metric's W&B key: Transformers' `eval_loss` is `eval/loss`. Raises SweepError if it is never logged."""
    for split in names.SPLITS:
        if (
            stated[: len(split) + 1] in (f"{split}/", f"{split}_")
            and (key := f"{split}/{stated[len(split) + 1 :]}") in LOGGED
        ):
            return key
    bare = [logged for logged in LOGGED if logged.partition("/")[2] in (stated, f"rewards/{stated}")]
    raise SweepError(_unknown(f"metric {short(stated)} is never logged", stated, bare[:1] or LOGGED))


def _maximize(key: str, goal: Any, notes: list[str]) -> bool:
    better = names.describe(key).better
    right = {"higher": "maximize", "lower": "minimize", None: None}[better]
    if goal is None:
        if right is None:
            raise SweepError(f"metric {key} needs a goal: maximize or minimize")
        notes.append(f"metric {key} has no goal: {right[:-1]}ing it")
        return right == "maximize"
    if goal not in GOALS:
        raise SweepError(_unknown(f"metric.goal {short(goal)} is unknown", short(goal), GOALS))
    if right is not None and goal != right:
        raise SweepError(f"metric.goal is {goal}, but {better} is better for {key}; write goal: {right}")
    return bool(goal == "maximize")


def _parameters(stated: Any, method: Method, notes: list[str]) -> tuple[Parameter, ...]:
    if not isinstance(stated, dict) or not stated:
        raise SweepError("`parameters` is missing or empty; name what to search: beta: {values: [0.05, 0.1]}")
    found: dict[str, Parameter] = {}
    written: dict[str, str] = {}
    for name, content in _flat(stated, "", 1):
        target = targets.resolve(name)
        if target in found:
            raise SweepError(f"parameters.{written[target]} and parameters.{name} both set {target}; leave one out")
        if target != name.replace("-", "_"):
            notes.append(f"{name} is taken as {target}")
        found[target], written[target] = parse(target, content), name
    parameters = tuple(found.values())
    searched = [parameter for parameter in parameters if not parameter.constant]
    if not searched:
        raise SweepError("every parameter is a constant: there is nothing to search; give one of them values")
    if method == "grid":
        for parameter in searched:
            parameter.grid()
    targets.check(parameters)
    if other := [parameter.name for parameter in searched if parameter.name in _PAIRS]:
        notes.append(
            f"{', '.join(other)} varies: runs are evaluated on different pairs, so their metrics compare badly"
        )
    if any(parameter.name == "seed" for parameter in searched):
        notes.append("seed varies: pairs that it holds out or draws for evaluation differ, and their metrics with them")
    return parameters


def _flat(stated: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The parameters by dotted name, out of nested `parameters:`."""
    for key, content in stated.items():
        name = f"{prefix}{key}"
        if not isinstance(content, dict) or "parameters" not in content:
            yield name, content
        elif len(content) > 1 or not isinstance(content["parameters"], dict) or depth == _DEEPEST:
            raise SweepError(
                f"parameters.{name}: `parameters` must be alone and hold parameters, {_DEEPEST} deep at most"
            )
        else:
            yield from _flat(content["parameters"], f"{name}.", depth + 1)


def _early(stated: Any) -> Mapping[str, Any] | None:
    """W&B's rule: `min_iter` with `eta`, or `max_iter` with `s` and `eta`; counted in evaluations."""
    if stated is None:
        return None
    if not isinstance(stated, dict) or stated.get("type") != "hyperband":
        raise SweepError("early_terminate needs `type: hyperband`, the only type there is")
    found = {key: as_number(value) for key, value in stated.items()}
    for key, value in found.items():
        if key not in (*_HYPERBAND, "type", "strict"):
            raise SweepError(_unknown(f"early_terminate.{key} is unknown", str(key), _HYPERBAND))
        if key in _HYPERBAND and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1):
            raise SweepError(f"early_terminate.{key} must be a number of at least 1, got {short(value)}")
        if key in ("min_iter", "max_iter", "s") and not float(value).is_integer():
            raise SweepError(f"early_terminate.{key} must be a whole number, got {short(value)}")
    if found.get("eta", 3) <= 1:
        raise SweepError("early_terminate.eta must be above 1: the best 1/eta of the runs go on")
    if "min_iter" in found and not {"max_iter", "s"} & set(found):
        return found
    if "min_iter" not in found and {"max_iter", "s"} <= set(found):
        return found
    raise SweepError("early_terminate needs either min_iter (and eta), or max_iter and s (and eta)")


def _cap(stated: Any) -> int | None:
    cap = as_number(stated)
    if cap is None or (type(cap) is int and cap > 0):
        return cap
    raise SweepError(f"run_cap must be a whole number above 0, got {short(stated)}")


def _unknown(what: str, name: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if not near and len(known) == 1:
        near = list(known)
    return f"{what}; did you mean {near[0]}?" if near else f"{what}; known: {', '.join(known)}"
