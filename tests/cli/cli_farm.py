"""A pipeline with scripted models and its questions, and a way to run the command line in a process of its own."""

import os
import subprocess
import sys

PIPELINE = """\
name: farm
models:
  reader:
    provider: scripted
    rules:
      - {contains: "moisture is wheat safe", reply: "14 percent [1]"}
      - {matches: 'must maize be|maize [0-9]', reply: "15 percent [1]"}
    default: unanswerable
  words: {provider: hash}
index:
  documents: ["docs/*.txt"]
  dense: {encoder: words}
  sparse: {}
pipeline:
  - retrieve.hybrid: {k: 2}
  - context.pack: {model: reader}
  - answer.read: {model: reader}
run:
  questions: questions.jsonl
  metrics: [em, f1, recall@2]
"""
WHEAT = "At what moisture is wheat safe?"
QUESTIONS = [
    {"id": "w", "question": WHEAT, "answers": ["14 percent"], "supporting_ids": ["wheat.txt"]},
    {"id": "m", "question": "How dry must maize be?", "answers": ["15 percent"], "supporting_ids": ["maize.txt"]},
    {"id": "n", "question": "Who invented the plough?", "answerable": False},
]


def start(*arguments, **options):
    """Start a command in a process of its own."""
    command = [sys.executable, "-c", "from ragkit.cli import main; main()", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "160"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )
