"""Which runs may be compared with each other, and by what."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b

from dashboard.analysis.hyperparameters import text
from dashboard.analysis.losses import DEFAULTS, loss_argument
from dashboard.analysis.losses import UNTRAINED as UNTRAINED
from dashboard.analysis.losses import beta as beta
from dashboard.analysis.losses import loss_type as loss_type
from dashboard.analysis.losses import untrained_loss as untrained_loss
from dashboard.analysis.losses import worse_than_untrained as worse_than_untrained
from dashboard.analysis.ranking import EVAL_ACCURACY, EVAL_LOSS
from dashboard.analysis.references import References, Shared, references
from dashboard.analysis.study import Study
from training.record.metrics import CHOSEN, LOSS, MARGIN, REJECTED, split_key
from training.record.schema import Run


@dataclass(frozen=True)
class EvaluationSet:
    """Runs evaluated on the same pairs: by the hash of the pairs where it is known, else by source and number of pairs.

    `proven` tells which of the two. Metrics of different sets are never ranked against each other.
    """

    name: str
    runs: tuple[Run, ...]
    proven: bool


def evaluation_sets(runs: Iterable[Run]) -> tuple[EvaluationSet, ...]:
    """The runs grouped by evaluation set, the largest group first, equal ones in order of appearance."""
    groups: dict[tuple[str, bool], list[Run]] = {}
    for run in runs:
        digest = pairs_hash(run)
        key = (digest, True) if digest else (f"{run.source}\0{run.n_eval}", False)
        groups.setdefault(key, []).append(run)
    ordered = sorted(groups, key=lambda key: -len(groups[key]))
    return tuple(EvaluationSet(_set_name(groups[key]), tuple(groups[key]), key[1]) for key in ordered)


def pairs_hash(run: Run) -> str | None:
    """The hash of the run's evaluation pairs, if its source has it."""
    digest = run.data.get("eval")
    return digest if isinstance(digest, str) and digest else None


def _set_name(runs: Sequence[Run]) -> str:
    """How many pairs, and of which data sets, or sources where these are not known; the first two are named."""
    counts = sorted({run.n_eval for run in runs if run.n_eval})
    pairs = " or ".join(f"{count:,}" for count in counts[:3]) + " pairs" if counts else "an unknown number of pairs"
    origins = list(dict.fromkeys(map(_origin, runs)))
    shown = origins if len(origins) <= 2 else [origins[0], f"{len(origins) - 1:,} more sources"]
    return f"{pairs} of {' and '.join(shown)}"


def _origin(run: Run) -> str:
    dataset = run.data.get("dataset")
    return dataset if isinstance(dataset, str) and dataset else run.source


@dataclass(frozen=True)
class Group:
    """Runs that may be compared. `id` is short and plain, the same whenever the same sources are read.

    `proven` if hashes or reference log-probabilities show that they belong together; else it is assumed of some.
    `scales` says on how many scales their losses are; `recovered` has, by run id, the beta that the identity proves
    where no source states one.
    """

    id: str
    label: str
    runs: tuple[Run, ...]
    proven: bool
    scales: int = 1
    recovered: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """What a run is grouped by: its pairs (or its source) and its reference; `proven` if nothing is assumed."""

    pairs: str
    reference: str
    proven: bool


@dataclass(frozen=True)
class _Kin:
    """Where the runs that are alike by `_kin` stand, and the fingerprints of their reference models."""

    places: set[_Place] = field(default_factory=set)
    models: set[str] = field(default_factory=set)


def accuracy_groups(study: Study, found: References | None = None) -> tuple[Group, ...]:
    """Runs of one evaluation set, one reference model and one max_length, the largest group first.

    By the hash of the pairs, where it is there; by the reference's log-probabilities (`references`), which join runs
    of any source and tell runs of one source apart; by the fingerprint of the reference model where a run has none; and
    last, as an assumption, by source and number of pairs. `found` are the study's references, if they are at hand.
    """
    known = found or references(study)
    placed = _by_reference(study, known.groups)
    kin: dict[str, _Kin] = {}
    for run, place in placed.items():
        like = kin.setdefault(_kin(study[run].run), _Kin())
        like.places.add(place)
        like.models.add(_fingerprint(study[run].run))
    groups: dict[tuple[str, str], list[tuple[Run, bool]]] = {}
    for run, evidence in study.items():
        place = placed.get(run) or _without_reference(evidence.run, kin.get(_kin(evidence.run), _Kin()))
        groups.setdefault((place.pairs, place.reference), []).append((evidence.run, place.proven))
    names = [_set_name([run for run, _ in members]) for members in groups.values()]
    count = Counter(names)
    made = [
        Group(
            "/".join(filter(None, key)),
            name if count[name] == 1 or not key[1] else f"{name}, {key[1]}",
            tuple(run for run, _ in members),
            all(proven for _, proven in members),
            len({_loss(run, known.identities[run.id].beta)[0] for run, _ in members}),
            _recovered([run.id for run, _ in members], known),
        )
        for (key, members), name in zip(groups.items(), names, strict=True)
    ]
    return tuple(sorted(made, key=lambda group: -len(group.runs)))


def _recovered(runs: Iterable[str], known: References) -> dict[str, float]:
    found = {run: known.identities[run] for run in runs}
    return {run: one.beta for run, one in found.items() if one.stated is None and one.beta is not None}


def _by_reference(study: Study, shared: tuple[Shared, ...]) -> dict[str, _Place]:
    """Places by the reference's log-probabilities: runs without a hash are with the first that has one."""
    placed: dict[str, _Place] = {}
    for group in shared:
        name = f"reference{group.reference.chosen:.5g}{group.reference.rejected:+.5g}"
        hashed = [_pairs(study[run].run) for run in group.runs]
        first = next(filter(None, hashed), "")
        placed |= {run: _Place(own or first, name, group.proven) for run, own in zip(group.runs, hashed, strict=True)}
    return placed


def _pairs(run: Run) -> str:
    """The evaluation pairs as they were cut: their hash and max_length; empty where there is no hash."""
    digest, length = pairs_hash(run), run.config.get("max_length")
    cut = "" if length is None else f"/length-{text(length)[:20]}"
    return f"pairs-{digest[:8]}{cut}" if digest else ""


def _kin(run: Run) -> str:
    """What runs must agree in to be taken for one group without more evidence: pairs, else source and their number."""
    return _pairs(run) or _of_source(run.source, run.n_eval)


@lru_cache(maxsize=1024, typed=True)
def _of_source(source: str, n_eval: int | None) -> str:
    return f"source-{blake2b(repr((source, n_eval)).encode(), digest_size=4).hexdigest()}"


def _without_reference(run: Run, like: _Kin) -> _Place:
    """The place of a run whose log-probabilities tell nothing: that of its kin (`like`), if they are in one place.

    Proven only if the reference model has the same fingerprint.
    """
    model = _fingerprint(run)
    if len(like.places) == 1:
        (place,) = like.places
        return replace(place, proven=bool(model) and like.models == {model})
    if _pairs(run):
        return _Place(_pairs(run), f"model-{model[:8]}" if model else "", bool(model))
    return _Place(_kin(run), "", False)


def _fingerprint(run: Run) -> str:
    """The fingerprint of the reference model, if the run has recorded it."""
    reference = run.data.get("reference")
    found = reference.get("fingerprint") if isinstance(reference, Mapping) else None
    return found if isinstance(found, str) else ""


def loss_groups(study: Study, found: References | None = None) -> tuple[Group, ...]:
    """The accuracy groups divided by loss type, its other arguments and beta: within one, losses may be compared.

    Beta is the proven one where the identity tells it. What is not stated is a group of its own, and assumed.
    """
    known = found or references(study)
    groups: list[Group] = []
    for group in accuracy_groups(study, known):
        parts: dict[str, list[Run]] = {}
        sure: dict[str, bool] = {}
        for run in group.runs:
            label, stated = _loss(run, known.identities[run.id].beta)
            parts.setdefault(label, []).append(run)
            sure[label] = stated
        groups += [
            Group(
                f"{group.id}/{label.replace(' ', '-')}",
                f"{group.label}, {label.replace('/', ', ')}",
                tuple(runs),
                group.proven and sure[label],
            )
            for label, runs in parts.items()
        ]
    return tuple(sorted(groups, key=lambda group: -len(group.runs)))


def _loss(run: Run, scale: float | None) -> tuple[str, bool]:
    """The loss in short words, and whether its type and beta are known."""
    kind = loss_type(run.config)
    words = [kind or "loss type not stated", "beta not stated" if scale is None else f"beta {scale:g}"]
    for key, default in DEFAULTS.items():
        value = loss_argument(run.config, key)
        words += [f"{key} {value}"] if value != text(default) else []
    return "/".join(words), kind is not None and scale is not None


@dataclass(frozen=True)
class LossScale:
    """Whether eval losses of some runs are on one scale; `reason` says why not, with the values."""

    comparable: bool
    reason: str = ""


def loss_scale(runs: Iterable[Run]) -> LossScale:
    """Loss is comparable only where beta, loss type and TRL's other loss arguments are the same.

    A beta or loss type that is not known counts as the same, any other argument as TRL's default.
    """
    known = list(runs)
    types = sorted({name for run in known if (name := loss_type(run.config)) is not None})
    reasons = [_betas(known)]
    if len(types) > 1:
        reasons.append(f"the loss type differs ({', '.join(types)})")
    for key in DEFAULTS:
        values = sorted({loss_argument(run.config, key) for run in known})
        if len(values) > 1:
            reasons.append(f"{key} differs ({', '.join(values)})")
    reasons = [reason for reason in reasons if reason]
    return LossScale(not reasons, " and ".join(reasons))


def _betas(runs: list[Run]) -> str:
    values = sorted({value for run in runs if (value := beta(run.config)) is not None})
    return f"beta differs ({values[0]:g}–{values[-1]:g})" if len(values) > 1 else ""


def refusal(runs: Iterable[Run], key: str) -> str | None:
    """Why these runs must not be ranked by `key`, in one sentence; None if they may.

    A loss has the scale of its beta and type, a reward that of its beta. Accuracies have one scale.
    """
    known, name = list(runs), split_key(key)[1]
    if name == LOSS and (scale := loss_scale(known)).reason:
        return (
            f"{_upper(scale.reason)}: {key} is on another scale for each; rank by reward accuracy, or by the loss at a "
            "common beta where the runs have per-pair scores."
        )
    if name in (CHOSEN, REJECTED, MARGIN) and (betas := _betas(known)):
        return f"{_upper(betas)}: {key} is multiplied by it; divide by beta to compare."
    return None


def _upper(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def natural_metric(runs: Iterable[Run]) -> str:
    """The key to rank by: eval loss where it is comparable and present, else reward accuracy."""
    known = list(runs)
    has_loss = any(EVAL_LOSS in run.metrics for run in known)
    has_accuracy = any(EVAL_ACCURACY in run.metrics for run in known)
    return EVAL_LOSS if has_loss and (loss_scale(known).comparable or not has_accuracy) else EVAL_ACCURACY
