"""What the terminal shows of a sweep: numbers from the runs' files, text as text, no more lines than there are."""

import io
import os
import pty
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.record.writer import RunWriter
from training.sweeps import table
from training.sweeps.table import Clock, Row, Screen, View
from training.sweeps.trial import Trial


def view(rows: list[Row], total: int = 8, best: str | None = None, eta: float | None = None) -> View:
    counts = {state: sum(row.state == state for row in rows) for state in {row.state for row in rows}}
    return View(rows, counts, total, best, eta)


def on_terminal(draw, lines: int = 24, columns: int = 100) -> str:
    """What `draw(screen)` writes to a terminal of that size."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (lines, columns))
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    with os.fdopen(slave, "w") as stream, Screen(stream=stream) as screen:
        draw(screen)
    shown = b""
    with suppress(OSError):  # all is read, and nobody writes any more
        while chunk := os.read(master, 4096):
            shown += chunk
    os.close(master)
    return shown.decode()


def test_a_row_is_read_from_the_runs_small_file(tmp_path):
    writer = RunWriter(tmp_path, "s-00")
    writer.expect(40)
    writer.publish({"sweep": "s"})
    writer.log(10, 0.5, {"eval/loss": 0.6, "eval/rewards/accuracies": 0.75})
    trial = Trial(0, "s-00", {"beta": 0.1})
    expected = Row("s-00", {"beta": 0.1}, "running", 10, 40, 0.75, 0.6)
    assert table.row(trial, "running", tmp_path) == expected
    writer.log(20, 1.0, {"eval/common_beta_loss": 0.5})
    assert table.row(trial, "running", tmp_path).loss == 0.5
    writer.finish("finished")
    assert table.row(trial, "finished", tmp_path).step == 20


def test_a_run_that_is_not_there_or_damaged_has_no_numbers(tmp_path):
    trial = Trial(0, "s-00", {})
    assert table.row(trial, "running", tmp_path) == Row("s-00", {}, "running")
    (tmp_path / "s-00").mkdir()
    (tmp_path / "s-00" / "latest.json").write_text("{")
    assert table.row(trial, "running", tmp_path) == Row("s-00", {}, "running")
    (tmp_path / "s-00" / "latest.json").write_text('{"metrics": [1], "step": "x"}')
    assert table.row(trial, "running", tmp_path) == Row("s-00", {}, "running")


def test_values_are_shown_short_and_text_without_control_characters():
    assert table.settings({"learning_rate": 3e-05, "beta": 0.1, "use_peft": True}) == (
        "learning_rate 3e-05, beta 0.1, use_peft True"
    )
    assert table.settings({"a": 1 / 3, "b": "x\x1b[31m\ny"}) == "a 0.3333, b x�[31m�y"


@given(st.text())
def test_no_text_can_move_the_cursor(text):
    assert all(character.isprintable() for character in table.plain(text))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12000, "3 h 20 min")]
)
def test_durations_in_words(seconds, words):
    assert table.duration(seconds) == words


def test_the_totals_in_one_line():
    rows = [Row("a", {}, "finished"), Row("b", {}, "pruned"), Row("c", {}, "failed"), Row("d", {}, "running")]
    assert table.totals(view(rows, 16, "a (accuracy 0.7)", 300)) == (
        "3 of 16 runs ended (1 finished, 1 pruned, 1 failed), 1 running; best so far a (accuracy 0.7); ETA 5 min"
    )
    assert table.totals(view([], 4)) == "0 of 4 runs ended, 0 running"


def test_the_eta_is_the_steps_left_at_the_speed_so_far():
    """Of 4 runs of 100 steps one has made 40 steps in 20 s, 2 a second. Left are its 50, 100 of the one that loads, and
    200 of two to come: 350 steps, 175 s."""
    clock = Clock()
    begun = [Row("a", {}, "running", 10, 100), Row("b", {}, "running")]
    assert clock.eta(begun, 4, 1000.0) is None
    now = [Row("a", {}, "running", 50, 100), Row("b", {}, "running")]
    assert clock.eta(now, 4, 1020.0) == pytest.approx(175.0)


def test_runs_to_come_are_expected_to_be_as_long_as_those_that_ended():
    """100 and 20 steps until they finished or were pruned: 60 on average. 100 steps in 50 s; 90 + 2 x 60 are left."""
    clock = Clock()
    ended = [Row("a", {}, "finished", 100, 100), Row("b", {}, "pruned", 20, 100)]
    clock.eta([ended[0], Row("b", {}, "running", 0, 100)], 5, 0.0)
    rows = [ended[0], Row("b", {}, "pruned", 20, 100), Row("c", {}, "running", 80, 170)]
    assert clock.eta(rows, 5, 50.0) == pytest.approx((90 + 2 * (100 + 20) / 2) / (100 / 50))


def test_an_ended_sweep_has_nothing_left():
    clock = Clock()
    clock.eta([Row("a", {}, "running", 0, 10)], 1, 0.0)
    assert clock.eta([Row("a", {}, "finished", 10, 10)], 1, 5.0) == 0.0


def test_a_terminal_gets_a_table_with_the_values_that_vary():
    rows = [
        Row("s-00", {"beta": 0.1}, "finished", 40, 40, 0.7123, 0.61234),
        Row("s-01", {"beta": 0.5}, "running", 10, 40, 0.5, 0.69),
    ]
    shown = on_terminal(lambda screen: screen.draw(view(rows, best="s-00", eta=30)))
    for words in ("run", "beta", "s-00", "40/40", "0.712", "0.6123", "s-01", "10/40", "running", "ETA 30 s"):
        assert words in shown
    assert shown.index("s-00") < shown.index("s-01")


def test_the_table_fits_the_terminal_those_that_run_first():
    rows = [Row(f"s-{n:02d}", {}, "running" if n in (3, 39) else "finished", n, 50) for n in range(40)]
    shown = on_terminal(lambda screen: screen.draw(view(rows, 40)), lines=12)
    listed = [f"s-{n:02d}" for n in range(40) if f"s-{n:02d}" in shown]
    assert listed == ["s-03", "s-35", "s-36", "s-37", "s-38", "s-39"]
    assert shown.partition("\x1b[2K")[0].count("\n") < 12


def test_a_narrow_terminal_still_tells_runs_numbers_and_values():
    """80 columns are too few for long names: runs are called by their numbers, and the heads give way."""
    drawn = {
        "learning_rate": 3.012e-5,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 4,
        "beta": 0.1,
        "max_steps": 200,
    }
    rows = [Row(f"a-real-sweep-2026-11-21-{n:02d}", drawn, "finished", 120, 200, 0.7, 0.6123) for n in range(2)]
    shown = on_terminal(lambda screen: screen.draw(view(rows)), columns=80)
    lines = [line.split() for line in shown.splitlines() if "120/200" in line][:2]
    values = ["3.012e-05", "8", "4", "0.1", "200", "120/200", "0.700", "0.6123", "finished"]
    assert lines == [["00", *values], ["01", *values]]


def test_a_terminal_of_unknown_size_gets_a_table():
    shown = on_terminal(lambda screen: screen.draw(view([Row("s-00", {}, "running", 10, 40)])), lines=0, columns=0)
    assert "s-00  10/40" in shown


def test_text_of_files_is_no_markup():
    rows = [Row("[red]s[/red]\x1b[2J", {"[bold]x": "[link=http://a]b[/link]"}, "running", 1, 2)]
    shown = on_terminal(lambda screen: (screen.draw(view(rows)), screen.say("[blink]hello")), columns=200)
    for words in ("[red]s[/red]", "[bold]x", "[link=http://a]b[/link]", "[blink]hello"):
        assert words in shown
    assert "\x1b[2J" not in shown


def test_without_a_terminal_there_are_lines_and_progress_now_and_then(monkeypatch):
    stream = io.StringIO()
    clock = [0.0]
    monkeypatch.setattr(table.time, "monotonic", lambda: clock[0])
    rows = [Row("s-00", {"beta": 0.1}, "running", 10, 40, 0.7123, 0.61234)]
    with Screen(stream=stream) as screen:
        screen.note("start  s-00")
        for clock[0] in (1.0, 29.0, 31.0, 32.0):
            screen.draw(view(rows, eta=60.0))
    assert stream.getvalue() == (
        "start  s-00\n0 of 8 runs ended, 1 running; ETA 60 s\n  s-00  step 10/40  accuracy 0.712  loss 0.6123\n"
    )


def test_quiet_shows_nothing_but_what_went_wrong(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(table, "INTERVAL", 0.0)
    with Screen(quiet=True, stream=stream) as screen:
        screen.note("a")
        screen.say("b")
        screen.draw(view([]))
        screen.warn("c\nd")
    assert stream.getvalue() == "c�d\n"


def test_start_and_end_of_a_run_are_no_lines_beside_the_table():
    shown = on_terminal(lambda screen: (screen.note("start s-00"), screen.warn("s-00 failed")))
    assert "start" not in shown
    assert "s-00 failed" in shown


def test_runs_are_looked_up_where_they_are(tmp_path: Path):
    assert table.row(Trial(3, "x", {}), "waiting", tmp_path / "none").state == "waiting"
