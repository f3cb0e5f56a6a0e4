"""Progress where standard error is no terminal."""

from ragkit.cli.console import ProgressBars


def test_a_step_is_said_to_be_done_once(capsys):
    with ProgressBars() as bars:
        for done in (0, 5, 10, 10):
            bars("dense", done, 10)
        for done in (0, 4):  # the same step again, of another size
            bars("dense", done, 4)
    assert capsys.readouterr().err == "dense: 10 of 10\ndense: 4 of 4\n"
