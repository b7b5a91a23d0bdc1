"""Run folders with a score for each pair, its texts and an audit: python tests/pair_runs.py DIR [runs] [pairs]"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from make_runs import make_run, write_json

from training.record import schema
from training.record.writer import SCORE_COLUMNS, share_audit, share_pairs

DIGEST, AUDIT = "e" * 16, "a" * 16
HOSTILE = "<img src=x onerror=alert(1)> **bold** {{7*7}}"


def margins(rng, pairs, runs, share, mean=1.3, common=0.8, drawn=None):
    """Margins of mean 1.3 and spread 1, of which `common` is the pair's own, (pairs, runs), each run with its unit of
    1 to 40 nats; and which `share` of the labels is flipped. `drawn` draws values of spread 1, else normal ones."""
    draw = drawn or rng.standard_normal
    own = mean + np.sqrt(common) * draw((pairs, 1)) + np.sqrt(1 - common) * draw((pairs, runs))
    flipped = rng.random(pairs) < share
    return np.where(flipped[:, None], -own, own) * rng.uniform(1, 40, runs), flipped


def add_scores(directory: Path, h, seed=0) -> None:
    """The scores of a run's best and last evaluation, with margins `h` in nats, and those of step 0."""
    summary = json.loads((directory / schema.SUMMARY).read_text())
    rng, n = np.random.default_rng(seed), len(h)
    tokens = rng.integers(4, 40, (2, n)).astype(np.int32)
    reference, chosen = -1.5 * tokens + rng.normal(0, 3, (2, n)), 0.4 * h
    (directory / schema.SCORES).mkdir(exist_ok=True)
    for step in {0, summary["best_step"], summary["step"]}:
        grown = 0.0 if step == 0 else 1.0
        columns = [
            [f"eval-{i:04d}" for i in range(n)],
            *(reference + grown * np.stack([chosen, chosen - h])),
            *reference,
            *tokens,
            tokens[0] > 38,
            tokens[1] > 38,
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCORE_COLUMNS, strict=True)]
        pq.write_table(
            pa.Table.from_arrays(arrays, schema=SCORE_COLUMNS), directory / schema.SCORES / f"step-{step}.parquet"
        )


def share_texts(root: Path, pairs: int, digest: str = DIGEST) -> None:
    """The pairs' texts: the first prompt is hostile, the second a dialogue of several turns."""
    prompts = [HOSTILE, "\n\nHuman: One?\n\nAssistant: Yes.\n\nHuman: Two?\n\nAssistant:"]
    rows = [
        {
            "pair_id": f"eval-{i:04d}",
            "prompt": prompts[i] if i < len(prompts) else f"Question {i}: what is {i} times two?",
            "chosen": f"It is {2 * i}.",
            "rejected": f"I will not tell you about {i}.",
        }
        for i in range(pairs)
    ]
    share_pairs(root, digest, pa.Table.from_pylist(rows))


def audit() -> dict:
    lengths = {"min": 4, "p5": 5, "p25": 8, "p50": 12, "p75": 20, "p95": 31, "max": 40}
    side = {
        "pairs": 300,
        "prompts": 290,
        "tokens": {"prompt": lengths, "chosen": lengths, "rejected": lengths},
        "truncated_answer": 0.05,
        "length": {"n": 300, "longer_wins": 0.61},
    }
    return {
        "rows": {"read": 640, "kept": 600, "dropped": {"equal answers": 40}},
        "train": side,
        "eval": side,
        "duplicates": {"exact": 3, "contradictions": 1},
        "examples": {"dropped": {"equal answers": [{"split": "train", "row": 7, "text": HOSTILE}]}, "duplicates": {}},
    }


def add_audit(directory: Path) -> None:
    """Names the shared audit in the run's config.json."""
    head = json.loads((directory / schema.CONFIG).read_text())
    head["data"]["audit"] = {"hash": AUDIT, "rows": audit()["rows"]}
    write_json(directory / schema.CONFIG, head)


def scored_runs(root: Path, runs: int = 4, pairs: int = 300, share: float = 0.1, seed: int = 0):
    """Finished runs run-00, run-01, ... on the same pairs; returns which labels are flipped, shape (pairs,)."""
    h, flipped = margins(np.random.default_rng(seed), pairs, runs, share)
    for number in range(runs):
        directory = make_run(root, f"run-{number:02d}", seed=number, n=pairs, beta=(0.1, 0.5)[number % 2])
        add_scores(directory, h[:, number], seed)
        add_audit(directory)
    share_texts(root, pairs)
    share_audit(root, AUDIT, audit())
    return flipped


if __name__ == "__main__":
    scored_runs(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:4]))
