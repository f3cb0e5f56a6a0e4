"""Progress where standard error is no terminal."""

import logging

from ragkit.cli.console import ProgressBars, _ToConsole
from ragkit.cli.training import TrainingLine, describe, duration
from ragkit.tuning.job import TrainingStep


def test_a_step_is_said_to_be_done_once(capsys):
    with ProgressBars() as bars:
        for done in (0, 5, 10, 10):
            bars("dense", done, 10)
        for done in (0, 4):  # the same step again, of another size
            bars("dense", done, 4)
    assert capsys.readouterr().err == "dense: 10 of 10\ndense: 4 of 4\n"


def test_a_training_says_a_line_now_and_then(capsys):
    with TrainingLine() as line:
        for n in (1, 5, 10, 10):
            line(TrainingStep(n, 10, {"loss": 2 / n, "learning_rate": 5e-4}, 1000 * n, 2.0 * n, n))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "training: step 1 of 10, loss 2.000, rate 5.0e-04, 500 tokens/s, 18 s left"
    assert last == "training: step 10 of 10, loss 0.200, rate 5.0e-04, 500 tokens/s"


def test_the_time_left_is_that_of_this_start():
    step = TrainingStep(60, 100, {}, 0, 1200.0, 10)  # resumed after step 50
    assert describe(step, {"reward": 0.25}) == "reward 0.250, 1 h 20 min left"
    assert duration(75) == "1 min 15 s"


def test_what_is_logged_twice_in_a_row_is_said_once(capsys):
    log = logging.getLogger("a test")
    handler = _ToConsole()
    log.addHandler(handler)
    for text in ("a", "a", "b", "a"):
        log.warning(text)
    log.removeHandler(handler)
    assert capsys.readouterr().err == "a\nb\na\n"
