"""Sources to report on, written where a test wants them: a foreign table, our own runs with per-pair scores."""

import csv
import io
import json

import numpy as np
import pyarrow as pa

from dashboard import report
from training.record.writer import SCORE_COLUMNS, RunWriter

HOSTILE = "<img src=x onerror=alert(1)> **bold** [link](https://evil.example) `code` | \x1b[31mred \u202e"
NAMES = (
    "x" * 200,
    "تجربة-النموذج-الأول",
    "👨\u200d👩\u200d👧 family 🚀",
    "実験その一、とても長い名前の実行で切り詰めが必要です",
    "a\tb",
)
COLUMNS = ["Name", "State", "beta", "learning_rate", "eval/loss", "eval/rewards/accuracies", "eval/runtime"]


def table(rows, columns=COLUMNS):
    """A W&B runs table: n = 50 s x 20 pairs a second = 1,000 in every row."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*columns, "eval/samples_per_second"])
    writer.writerows([[*row, "20.0"] for row in rows])
    return out.getvalue()


def write_export(path, hostile=HOSTILE):
    rows = [
        ["top", "finished", 0.1, 1e-6, 0.45, 0.84, 50],
        ["near", "finished", 0.2, 2e-6, 0.50, 0.83, 50],
        ["far", "finished", 0.1, 3e-5, 0.75, 0.60, 50],
        [hostile, "crashed", 0.1, 4e-5, "NaN", 0.5, 50],
    ]
    path.write_text(table(rows), encoding="utf-8")
    return path


def margins(right, n=400, seed=0):
    """Margins of n pairs, of which the first `right` are positive."""
    noise = np.random.default_rng(seed)
    return np.where(np.arange(n) < right, 1.0, -1.0) * (5 + noise.random(n))


def scores(h):
    n = len(h)
    columns = {
        "pair_id": [f"pair {number}" for number in range(n)],
        "chosen_logp": h - 50,
        "rejected_logp": np.full(n, -60.0),
        "ref_chosen_logp": np.full(n, -50.0),
        "ref_rejected_logp": np.full(n, -60.0),
        "chosen_tokens": np.full(n, 9),
        "rejected_tokens": np.full(n, 9),
        "chosen_truncated": np.full(n, False),
        "rejected_truncated": np.full(n, False),
    }
    return pa.table(columns, schema=SCORE_COLUMNS)


def scored_run(runs, name, *right, n=400, beta=0.1, seed=0, status="finished", **config):
    """A run that got so many of `n` pairs right at step 10, 20, ...; the first pairs are the right ones."""
    writer = RunWriter(runs, name)
    loss_type = {"beta": beta, "loss_type": ["sigmoid"], **config}
    data = {"eval": "e" * 64, "n_eval": n, "dataset": "ours", "reference": {"fingerprint": "f" * 64}}
    writer.publish({"config": loss_type, "data": data})
    best = None
    for step, count in zip(range(10, 1000, 10), right, strict=False):
        h = margins(count, n, seed)
        means = {"eval/loss": float(np.logaddexp(0, -beta * h).mean()), "eval/rewards/accuracies": count / n}
        if "common_beta" in config:
            means["eval/common_beta_loss"] = float(np.logaddexp(0, -config["common_beta"] * h).mean())
        writer.log(step, step / 10, means)
        writer.scores(step, scores(h))
        if best is None or count > best:
            best = count
            writer.best(step, "eval/rewards/accuracies", means)
    writer.finish(status)


def run(capsys, *arguments):
    code = report.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def as_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--format", "json")
    assert code == 0, err
    return json.loads(out)
