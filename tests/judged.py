"""What the whole report says of a source: shared by the tests of the truth about runs."""

from pathlib import Path

from dashboard.reports import build
from dashboard.sources.imported import Corrections
from training.record.metrics import COMMON_BETA_LOSS
from training.record.writer import RunWriter

EVAL_COMMON = f"eval/{COMMON_BETA_LOSS}"


def report(*paths: Path, **asked):
    return build.build(list(paths), Corrections(), **asked)


def findings(made):
    return {finding.id: finding for finding in made.content.findings}


def runs(made):
    return [line.run for line in made.content.lines]


def named(made, ids):
    return {made.content.names[run] for run in ids}


def notes(made):
    return made.content.notes


def epochs(folder, name, evaluations, config=None, data=None, best=None):
    """A run of one evaluation an epoch; `best` is the epoch whose checkpoint was kept."""
    writer = RunWriter(folder, name)
    writer.publish({"config": {"loss_type": ["sigmoid"], "beta": 0.1, **(config or {})}, "data": data or {}})
    for epoch, metrics in enumerate(evaluations, 1):
        writer.log(epoch, float(epoch), {f"eval/{key}": value for key, value in metrics.items()})
    if best is not None:
        kept = {f"eval/{key}": value for key, value in evaluations[best - 1].items()}
        writer.best(best, "eval/loss", kept)
    writer.finish("finished")
    return folder


def identical_reference(fell, beta=0.1, reference=(-260.0, -240.0)):
    """What TRL logs where chosen and rejected answers fell by so many nats."""
    found = {}
    for side, nats, base in zip(("chosen", "rejected"), fell, reference, strict=True):
        found |= {f"logps/{side}": base - nats, f"rewards/{side}": -beta * nats}
    return {**found, "rewards/margins": found["rewards/chosen"] - found["rewards/rejected"]}
