"""The process itself: it speaks nothing but its protocol, and the dashboard has the rewards from it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from dashboard.generation import COMMAND, GenerationError, Service
from training.record import reader

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, pairs_file: Path) -> Path:
    """A run of two steps."""
    from training.run import main

    told = {
        "runs": tmp_path_factory.mktemp("runs"),
        "name": "tiny run",
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": 2,
        "eval_steps": 2,
        "learning_rate": 3e-3,
        "sample_max_new_tokens": 2,
    }
    assert main(["-q", *(f"--{key}={value}" for key, value in told.items())]) == 0
    return Path(told["runs"]) / "tiny run"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service(COMMAND)
    yield made
    made.close()


def test_the_dashboard_has_the_rewards_of_every_pair_and_asks_once(run, service):
    digest = reader.read_run(run).data["eval"]
    scores = {row["pair_id"]: row for row in reader.read_scores(run, 2).to_pylist()}
    pairs = pq.read_table(run.parent / ".shared" / digest / "pairs.parquet").to_pylist()
    for pair in pairs:
        found = service.token_rewards(run, pair["prompt"], [pair["chosen"], pair["rejected"]], 2)
        for side, rewards in zip(("chosen", "rejected"), found, strict=True):
            row = scores[pair["pair_id"]]
            assert rewards.total == pytest.approx(0.1 * (row[f"{side}_logp"] - row[f"ref_{side}_logp"]), abs=1e-4)
            assert "".join(rewards.tokens) == pair[side] + "<|end|>"
            assert sum(rewards.rewards) == pytest.approx(rewards.total, abs=1e-9)
    begun = time.monotonic()
    for pair in pairs:
        service.token_rewards(run, pair["prompt"], [pair["chosen"], pair["rejected"]], 2)
    assert time.monotonic() - begun < 0.1


def test_a_reason_comes_through_as_a_sentence(run, service, tmp_path):
    with pytest.raises(
        GenerationError, match=r"^tiny run \(finished\) has no checkpoint of step 9; kept: step 2, .*\.$"
    ):
        service.token_rewards(run, "one", ["two", "three"], 9)
    with pytest.raises(GenerationError, match="it is not a run"):
        service.token_rewards(tmp_path, "one", ["two", "three"])


def test_its_output_is_the_protocol_alone_and_it_ends_with_its_input(run, tmp_path):
    pair = {"prompt": "Is 3 a number?", "answers": [" Yes.", " No."]}
    asked = [
        b"{",
        orjson.dumps({"id": 1, "do": "ping"}),
        orjson.dumps({"id": 2, "do": "token_rewards", "run": str(run), **pair}),
        orjson.dumps({"id": 3, "do": "token_rewards", "run": str(tmp_path), **pair}),
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "training.generate", "--memory", "1", "--idle", "60"],
        input=b"\n".join(asked),
        cwd=ROOT,
        capture_output=True,
        timeout=120,
    )
    broken, ping, rewards, refused = map(orjson.loads, ended.stdout.splitlines())
    assert ended.returncode == 0
    assert (broken["id"], broken["error"][:8]) == (None, "not JSON")
    assert ping["id"] == 1
    assert (rewards["id"], rewards["checkpoint"], len(rewards["tokens"])) == (2, "best", 2)
    assert (refused["id"], "it is not a run" in refused["error"]) == (3, True)
    assert b"Traceback" not in ended.stderr
