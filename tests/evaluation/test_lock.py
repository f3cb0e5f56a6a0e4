"""What a run's lock holds."""

import hashlib
import os
import subprocess
import sys
from typing import Annotated

from ragkit import Pipeline, Stage, stage
from ragkit.evaluation.lock import make_lock
from ragkit.prompts import prompt_setting

IN_PYTHON = """
import json
from ragkit import Pipeline, Stage, stage
from ragkit.evaluation.lock import make_lock
from typing import Any

class Told:
    pass

@stage("answer.of_python", writes="answer")
class Answer(Stage):
    function: Any
    thing: Any = Told()

    async def run(self, question: str) -> str:
        return self.function(question)

def answer(text):
    def inner(word):
        return word in {"yes", "no", "perhaps", "never"}
    return str(inner(text))

print(json.dumps(make_lock(Pipeline([Answer(function=answer)]), {}), sort_keys=True))
"""


def test_a_pipeline_of_python_has_the_same_lock_in_every_process():
    command = [sys.executable, "-c", IN_PYTHON]
    seeds = [os.environ | {"PYTHONHASHSEED": seed} for seed in ("1", "2")]
    locks = [subprocess.run(command, env=seed, capture_output=True, check=True).stdout for seed in seeds]
    assert locks[0] == locks[1]
    assert b"answer.of_python" in locks[0]


def test_every_prompt_of_a_stage_is_in_the_lock(tmp_path):
    @stage("answer.two_prompts", writes="answer")
    class TwoPrompts(Stage):
        prompt: Annotated[str, prompt_setting("question")]
        second_prompt: Annotated[str, prompt_setting("question")]

        async def run(self, question: str) -> str:
            return ""

    files = [tmp_path / "a.jinja", tmp_path / "b.jinja"]
    for file in files:
        file.write_text(f"{file.name} {{{{ question }}}}")
    lock = make_lock(Pipeline([TwoPrompts(prompt=str(files[0]), second_prompt=str(files[1]))]), {})
    assert lock["prompts"] == {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
