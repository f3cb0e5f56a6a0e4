"""Jobs on tiny encoders and rerankers: colours serve their own name, which a random model does not know."""

from pathlib import Path

from ragkit.tuning.job import AdapterSettings, TrainingJob, TrainingSettings
from ragkit.tuning.rows import RankingRow

PAIRS = {
    "warm colour": "red paint", "cold colour": "blue paint", "leaf colour": "green paint", "night colour": "black ink",
    "snow colour": "white chalk", "lemon colour": "yellow dye", "soil colour": "brown earth", "ash colour": "grey dust",
}  # fmt: skip


class Killed(BaseException):
    pass


def rows(scores=None):
    """Rows of two sets, with negatives that serve nobody, and a teacher's score of what serves if one is given."""
    found = []
    for number, (query, passage) in enumerate(PAIRS.items()):
        name = "bright" if number < 4 else "dull"
        negatives = tuple(f"{text} {query.split()[0]}" for text in ("wet wood", "dry sand", "old iron"))
        taught = None if scores is None else (scores, *(0.0 for _ in negatives))
        found.append(
            RankingRow(query=query, positives=(passage,), negatives=negatives, scores=taught, origin={"set": name})
        )
    return found


def job(model, folder, **changes):
    settings = {
        "folder": Path(folder),
        "model": model,
        "rows": rows(),
        "validation": (),
        "adapter": AdapterSettings(r=4),
        "training": TrainingSettings(steps=6, batch_size=4, learning_rate=0.01, max_length=64, save_every=2),
        "resume": False,
        "on_step": lambda _: None,
        "on_progress": lambda *_: None,
    }
    return TrainingJob(**settings | changes)


def kill_at(step):
    def kill(told):
        if told.step == step:
            raise Killed

    return kill


def contents(folder):
    """Return every file of a result."""
    return {path.name: path.read_bytes() for path in sorted((Path(folder) / "adapter").rglob("*")) if path.is_file()}
