"""A run that is killed at any moment goes on where it was, to the same result, and asks nothing twice."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

DRIVER = Path(__file__).parent / "resume_driver.py"
KILLS = 20


def start(place: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(place / "run"), str(place / "log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(place: Path) -> None:
    process = start(place)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()


def cached(place: Path) -> int:
    path = place / "home" / "calls.sqlite"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as db:
        try:
            return int(db.execute("SELECT count(*) FROM calls").fetchone()[0])
        except sqlite3.OperationalError:  # killed before the table was made
            return 0


def logged(place: Path) -> list[str]:
    log = place / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_a_killed_run_resumes_to_the_same_bytes_without_asking_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    began = time.monotonic()
    finish(whole)
    usual = time.monotonic() - began
    calls = logged(whole)
    assert len(calls) == len(set(calls))

    chance = random.Random(7)
    repeated = 0
    interrupted = 0
    for _ in range(KILLS):
        before = len(logged(killed))
        answered = cached(killed)
        process = start(killed)
        time.sleep(chance.uniform(0.15, 1.0) * usual)
        interrupted += process.poll() is None
        process.kill()
        process.wait()
        # What was logged but not answered when the process died was one batch at the most.
        fresh = logged(killed)[before:]
        assert len(fresh) - (cached(killed) - answered) in range(17)
        repeated += len(fresh) - (cached(killed) - answered)
    finish(killed)
    assert interrupted >= KILLS // 4, "hardly any run was killed before its end; the test says nothing"
    assert (killed / "run" / "predictions.jsonl").read_bytes() == (whole / "run" / "predictions.jsonl").read_bytes()
    assert (killed / "run" / "metrics.json").read_bytes() != b""
    everything = logged(killed)
    assert set(everything) == set(calls)
    assert len(everything) == len(calls) + repeated  # nothing that had been answered was asked again
