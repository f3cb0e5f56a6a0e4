"""Run 200 questions into a folder with a model that writes down every call; kills itself if told to.

Usage: resume_driver.py RUN_FOLDER LOG_FILE [CALLS SECONDS]

With the last two, the process gets SIGKILL so many seconds after so many calls were made.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from ragkit import Loop, Pipeline, Stage, stage
from ragkit.engine.calls import Batching, LocalResource, Reply, Request
from ragkit.engine.conditions import Condition
from ragkit.evaluation.questions import Question
from ragkit.settings import RunSettings

ROUNDS = 4


class LoggedModel(LocalResource):
    """Answers slowly, in small batches, and logs each prompt before it answers."""

    category = "model"
    log: Path = Field(exclude=True)
    kill: tuple[int, float] | None = Field(None, exclude=True)
    _calls: int = PrivateAttr(default=0)

    def fingerprint(self) -> str:
        return "logged"

    def batching(self) -> Batching:
        return Batching(requests=16, tokens=1_000_000)

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        with self.log.open("a") as log:
            log.writelines(f"{request.args['prompt']}\n" for request in batch)
        self._calls += len(batch)
        if self.kill is not None and self._calls >= self.kill[0]:
            threading.Timer(self.kill[1], os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(0.01)
        return [Reply(f"reply to {request.args['prompt']}", 5, 3) for request in batch]


@stage("test.round", writes=("vars.round", "answer"))
class Round(Stage):
    """Ask once per round: one round for a question that says stop, else four."""

    model: LoggedModel

    async def run(self, question: str, round: int = 0, answer: str | None = None) -> dict[str, Any]:  # noqa: A002
        reply = (await self.model.call("generate", {"prompt": f"{question} {answer} {round}"})).value
        return {"vars.round": round + 1, "answer": reply}


def main(folder: Path, log: Path, kill: tuple[int, float] | None) -> None:
    os.environ["RAGKIT_HOME"] = str(folder.parent / "home")
    until = Condition.model_validate(
        {"any_of": [{"field": "vars.round", "at_least": ROUNDS}, {"field": "answer", "contains": "stop"}]}
    )
    loop = Loop(do=[Round(model=LoggedModel(log=log, kill=kill))], until=until, max=ROUNDS)
    pipeline = Pipeline([loop], name="resume", run=RunSettings(metrics=("em",)))
    questions = [
        Question(id=f"q{n:03d}", question=f"question {n}" + (" stop" if n % 3 else ""), answers=("x",))
        for n in range(200)
    ]
    pipeline.run(questions, out=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), (int(sys.argv[3]), float(sys.argv[4])) if sys.argv[3:] else None)
