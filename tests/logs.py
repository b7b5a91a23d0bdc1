"""One small log of every kind that the readers know, and files to put them in."""

import io
import json
import zipfile
from pathlib import Path, PurePosixPath

from dashboard.sources import reading
from dashboard.sources.files import File
from dashboard.sources.imported import Imported
from tests.test_tensorboard import ARGS, events, training
from tests.test_trainer_state import evaluation, state, train

TABLE = (
    b"Name,State,beta,eval/loss,eval/rewards/accuracies,eval/runtime,eval/samples_per_second\n"
    b"swift-1,finished,0.1,0.5123,0.7123,50,20\nslow-2,crashed,0.2,0.6123,0.6123,50,20\n"
)
PANEL = b"Step,swift-1 - eval/loss,swift-1 - eval/loss__MIN,swift-1 - eval/loss__MAX\n10,0.65,0.65,0.65\n20,0.5123,,\n"
SCALARS = b"Wall time,Step,Value\n1700000000.5,10,0.6\n1700000001.5,20,0.5\n"
BY_HAND = b"run,beta,rewards/accuracies\nmine,0.3,0.75\n"
STATE = json.dumps(state(train(10), evaluation(10), train(20), evaluation(20, 0.45))).encode()
BARE = json.dumps([train(10), evaluation(10)]).encode()
LINES = (
    b'{"current_steps": 10, "total_steps": 20, "loss": 0.6, "accuracy": 0.7, "lr": 1e-06, "epoch": 0.1}\n'
    b'{"current_steps": 20, "total_steps": 20, "eval_loss": 0.5, "epoch": 0.2, "percentage": 100.0}\n'
)
EVENTS = events(training(10, 30), ARGS)
LOGS: dict[reading.Kind, bytes] = {
    "runs table": TABLE, "panel": PANEL, "scalars": SCALARS, "trainer state": STATE, "events": EVENTS,
}  # fmt: skip


def one_file(name: str, content: bytes) -> File:
    return File(PurePosixPath(name), len(content), None, lambda count: content[:count])


def packed(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def write(folder: Path, **members: bytes | str) -> Path:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def names(found: Imported) -> list[str]:
    return [run.name for run in found.runs]
