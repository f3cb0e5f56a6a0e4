"""Judges without models, of the same doors as trained ones."""

import json
import math

from ragkit.engine.calls import LocalResource, Reply
from ragkit.models.base import ENTAILMENT, EntailmentModel, TextClassifier
from ragkit.stages.refuting.response import words

LITTLE = {"this", "is", "the", "a", "that", "it", "and", "of", "has", "have", "was", "are", "in", "by"}


class WordStance(EntailmentModel, LocalResource):
    """Entailed is what has most of its words in the premise; if just one of the two denies something, contradicted."""

    def fingerprint(self):
        return "word stance"

    def execute(self, op, batch):
        return [Reply(choice(self.says(**request.args))) for request in batch]

    def says(self, premise, hypothesis):
        own, other = set(words(hypothesis)) - LITTLE, set(words(premise))
        denials = {"no", "not", "never"}
        shared = len((own - denials) & other) / max(1, len(own - denials))
        if shared < 0.5:
            return ENTAILMENT[1]
        return ENTAILMENT[0] if bool(own & denials) == bool(other & denials) else ENTAILMENT[2]


def choice(label, p=1.0):
    rest = math.log(max((1 - p) / 2, 1e-30))
    return {"label": label, "logprobs": {name: math.log(p) if name == label else rest for name in ENTAILMENT}}


class FixedTone(TextClassifier, LocalResource):
    """Finds every text as polite as every other."""

    polite: float

    def fingerprint(self):
        return json.dumps({"tone": self.polite})

    def execute(self, op, batch):
        logs = {"polite": math.log(self.polite), "rude": math.log(1 - self.polite)}
        return [Reply({"label": max(logs, key=logs.__getitem__), "logprobs": logs}) for _ in batch]
