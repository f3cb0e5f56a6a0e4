"""Training jobs on a tiny random model."""

from pathlib import Path

from ragkit.models.transformers_lm import TransformersModel
from ragkit.tuning.job import AdapterSettings, TrainingJob, TrainingSettings


class KilledError(BaseException):
    """Stands for a killed process: nothing catches it."""


def tiny_job(base, folder, rows, **changes):
    """Return a job of six steps of two rows, with what is to be different."""
    settings = {
        "folder": Path(folder),
        "model": TransformersModel(model=str(base), dtype="float32", device="cpu"),
        "rows": rows,
        "validation": (),
        "adapter": AdapterSettings(r=4),
        "training": TrainingSettings(steps=6, batch_size=2, learning_rate=0.01, save_every=2),
        "resume": False,
        "on_step": lambda _: None,
        "on_progress": lambda *_: None,
    }
    return TrainingJob(**settings | changes)


def result(folder):
    """Return the bytes of the trained adapter."""
    return (Path(folder) / "adapter" / "adapter_model.safetensors").read_bytes()


def train_killed(objective, base, folder, rows, *, at=5, **changes):
    """Train until a step, as if the process was killed there, and then resume; return what the resumed one did."""

    def kill(step):
        if step.step >= at:
            raise KilledError

    try:
        objective.train(tiny_job(base, folder, rows, on_step=kill, **changes))
    except KilledError:
        return objective.train(tiny_job(base, folder, rows, resume=True, **changes))
    raise AssertionError("the training was over before it was killed")
