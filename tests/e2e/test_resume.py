"""A run that is killed at any moment goes on where it was, to the same result, and asks nothing twice."""

import random
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DRIVER = Path(__file__).parent / "resume_driver.py"
KILLS = 20
BATCH = 16


def run(place: Path, *kill: object) -> int:
    place.mkdir(exist_ok=True)
    command = [sys.executable, DRIVER, place / "run", place / "log", *kill]
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=600)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr.decode()
    return done.returncode


def answered(place: Path) -> int:
    with sqlite3.connect(place / "home" / "calls.sqlite") as db:
        return int(db.execute("SELECT count(*) FROM calls").fetchone()[0])


def asked(place: Path) -> list[str]:
    return (place / "log").read_text().splitlines()


def predictions(place: Path) -> bytes:
    return (place / "run" / "predictions.jsonl").read_bytes()


def test_a_killed_run_resumes_to_the_same_bytes_without_asking_again(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    assert run(whole) == 0
    calls = asked(whole)
    assert len(calls) == len(set(calls)) > 400
    chance = random.Random(7)
    moments = [(chance.randint(1, len(calls)), chance.uniform(0, 0.03)) for _ in range(KILLS)]

    def kill_and_resume(number: int) -> bool:
        place = tmp_path / f"killed-{number}"
        killed = run(place, *moments[number]) != 0
        before, known = asked(place), answered(place)
        assert len(before) - known in range(BATCH + 1)  # at most the batch under way went unanswered
        assert run(place) == 0
        again = asked(place)[len(before) :]
        assert predictions(place) == predictions(whole)
        assert set(asked(place)) == set(calls)
        assert len(again) == len(calls) - known  # nothing that had been answered was asked again
        return killed

    with ThreadPoolExecutor(2) as pool:
        killed = sum(pool.map(kill_and_resume, range(KILLS)))
    assert killed >= KILLS - 2, "some runs ended before their kill; the moments are badly chosen"
