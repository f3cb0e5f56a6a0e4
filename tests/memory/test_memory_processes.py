"""Several processes and one memory: nothing is lost, and a kill loses at most the wave that is running."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ragkit.engine.state import Passage
from ragkit.memory import Reservoir
from ragkit.models.scripted import HashEncoder

HEAD = """
import asyncio, os, signal, sys
from ragkit.engine.state import Passage
from ragkit.memory import Reservoir, writing
from ragkit.models.scripted import HashEncoder

def page(name):
    return Passage(id=name, page_content="text " * 40, metadata={"title": f"{name} {name}_x {name}_y"})

memory = Reservoir(encoder=HashEncoder(dimension=1024), path=sys.argv[1])
"""

WRITE = (
    HEAD
    + """
for batch in range(30):
    asyncio.run(memory.remember([page(f"{sys.argv[2]}{batch}_{n}") for n in range(5)]))
"""
)

KILLED = (
    HEAD
    + """
asyncio.run(memory.remember([page(f"safe_{n}") for n in range(5)]))
write_facts = writing.write_facts

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)  # the vectors are on disk, the rows are not committed

writing.write_facts = killed
asyncio.run(memory.remember([page(f"lost_{n}") for n in range(5)]))
"""
)

ENDLESS = (
    HEAD
    + """
for batch in range(100_000):
    asyncio.run(memory.remember([page(f"{batch}_{n}") for n in range(5)]))
    print(batch, flush=True)
"""
)


def start(program, folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), *arguments],
        env=environment, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip


def opened(folder):
    return Reservoir(encoder=HashEncoder(dimension=1024), path=folder)


def check(memory, ids):
    """See that the memory holds exactly these passages, and that each is found by its own title and by no other."""
    assert {item.passage.id for item in memory.store.items()} == ids
    for name in sorted(ids)[:: max(1, len(ids) // 60)]:
        assert [key for key, _ in asyncio.run(memory.find(f"{name} {name}_x {name}_y", 0.99)).matches] == [name]


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    writers = [start(WRITE, tmp_path, name) for name in "ab"]
    memory = opened(tmp_path)
    seen = 0
    while any(writer.poll() is None for writer in writers):
        memory.end_wave()
        assert memory.count >= seen
        assert memory.count % 5 == 0  # batches are there whole or not at all
        seen = memory.count
    assert [writer.wait() for writer in writers] == [0, 0]
    memory.end_wave()
    check(memory, {f"{name}{batch}_{n}" for name in "ab" for batch in range(30) for n in range(5)})


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_kill_between_vectors_and_commit_loses_the_running_wave_only(tmp_path):
    assert start(KILLED, tmp_path).wait() == -signal.SIGKILL
    memory = opened(tmp_path)
    safe = {f"safe_{n}" for n in range(5)}
    check(memory, safe)
    assert (tmp_path / "vectors.0").stat().st_size == 10 * 1024 * 4  # those of the lost wave belong to nobody
    passage = Passage(id="next", page_content="text", metadata={"title": "next next_x next_y"})
    asyncio.run(memory.remember([passage]))
    check(memory, safe | {"next"})


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_kill_at_any_moment_keeps_all_that_was_reported(tmp_path):
    writer = start(ENDLESS, tmp_path)
    assert writer.stdout is not None
    reported = [int(writer.stdout.readline()) for _ in range(20)]
    writer.kill()
    reported += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    memory = opened(tmp_path)
    batches = memory.count // 5
    assert memory.count % 5 == 0
    assert batches - len(reported) in (0, 1)
    check(memory, {f"{batch}_{n}" for batch in range(batches) for n in range(5)})
