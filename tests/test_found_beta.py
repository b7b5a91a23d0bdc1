"""A beta that no source states but the log proves is shown as found, in every format's table."""

import json

import pytest

from dashboard import report

BETA = 0.25


def state(folder, beta, at=10.0):
    """A trainer's log whose evaluations lie on logps = reference + rewards / beta, at three rewards each."""
    log = []
    for step, (chosen, rejected) in enumerate([(0.1234567, -0.2345678), (0.3456789, -0.4567891), (0.5, -0.9)], 1):
        row = {"eval_rewards/chosen": chosen, "eval_rewards/rejected": rejected, "eval_rewards/accuracies": 0.75}
        row |= {"eval_rewards/margins": chosen - rejected, "eval_loss": 0.6}
        row |= {"eval_logps/chosen": -300 + chosen / beta, "eval_logps/rejected": -at * 40 + rejected / beta}
        log.append({"step": step, "epoch": step / 3, **row})
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(
        json.dumps({"log_history": log, "global_step": 3, "max_steps": 3, "epoch": 1.0})
    )


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_a_proven_beta_stands_in_the_table_as_found(tmp_path, capsys, form):
    state(tmp_path / "logs" / "first", BETA)
    assert report.main([str(tmp_path / "logs"), "--format", form]) == 0
    out = capsys.readouterr().out
    assert "0.25 (found)" in out
    assert "stated nowhere, but proven by log-probabilities and rewards" in " ".join(out.split())


def test_a_stated_beta_stands_in_the_table_as_it_is(tmp_path, capsys):
    state(tmp_path / "logs" / "dpo_beta_0.25", BETA)
    assert report.main([str(tmp_path / "logs")]) == 0
    out = capsys.readouterr().out
    assert "0.25" in out
    assert "found" not in out
