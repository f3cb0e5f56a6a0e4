"""Learning when to stop searching: an agent goes several ways for each question, and frugal ones are reinforced."""

import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar, cast

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import objectives
from ragkit.engine.run_folder import replace_file
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.stages.agents.actions import FINISH
from ragkit.stages.react import AgentReact, Walk
from ragkit.tuning.calls import values_of
from ragkit.tuning.frugal.evidence import agent_of, recalls
from ragkit.tuning.frugal.stopping import StopReward, advantages, best_search
from ragkit.tuning.job import AdapterSettings, Objective, Trained, TrainingJob, TrainingStep
from ragkit.tuning.objectives import checkpoints
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.objectives.policy import starting_policy
from ragkit.tuning.rows import RolloutRow, Row


@dataclass(frozen=True, slots=True)
class Sample:
    """One reply of a way: what the model saw, what it wrote, and what its way earned above the others.

    Attributes:
        weight: 1 over the replies of the way, so that long ways do not count for more.
    """

    prompt: list[int]
    completion: list[int]
    advantage: float
    weight: float


@objectives.register("react_grpo")
class ReactGrpo(Objective):
    """GRPO over whole ways through `agent.react`, with the reward of stopping in time.

    Each question is sent on its way `generations` times, through the same engine and the same index as in answering;
    every way has prompts of its own. What a way earns above its group's mean is the advantage of all its replies; a
    way ends at `finish`, so nothing after it is learned from. Groups in which all earn the same are dropped. Replies
    are not held to the grammar here: form is part of what is learned. `batch_size` counts questions.

    Log entries to watch: `reward`, `searches`, `recall`, `finished`, `frac_reward_zero_std`, `kl`.

    Source: Java et al. 2025 (FrugalRAG), arXiv 2507.07634, stage 2; Shao et al. 2024 (GRPO), arXiv 2402.03300.
    """

    rows: ClassVar[type[Row]] = RolloutRow

    reward: StopReward = Field(default_factory=StopReward, description="what a way earns")
    generations: int = Field(8, ge=2, description="ways of a question, which are compared with each other")
    temperature: float = Field(0.9, gt=0, description="of the replies")
    beta: float = Field(0.1, ge=0, description="weight of the divergence from the model as it was")
    clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient")

    @override
    def check(self, adapter: AdapterSettings) -> None:
        if adapter.type not in ("lora", "qlora"):
            raise InputError(f"objective react_grpo trains a lora, not adapter type {adapter.type}")

    @override
    def train(self, job: TrainingJob) -> Trained:
        shared.require()
        loaded = shared.load(job)
        rows = cast("Sequence[RolloutRow]", job.rows)
        settings, began = job.training, time.monotonic()
        steps = shared.step_count(len(rows), settings)
        order = _order(len(rows), steps * settings.batch_size, settings.seed)
        optimizer, _ = shared.optimiser(loaded.weights, settings)
        schedule = _schedule(optimizer, steps, job)
        policies = job.folder / "policy"
        shutil.rmtree(policies, ignore_errors=True)
        _write_policy(loaded.weights, policies / "reference")
        loaded.weights.load_adapter(str(policies / "reference"), "reference", autocast_adapter_dtype=False)
        loaded.weights.set_adapter("default")
        last = shared.last_checkpoint(job.checkpoints) if job.resume else None
        done = 0
        logged: list[dict[str, float]] = []
        if last is not None:
            done, logged = checkpoints.read(last, loaded.weights, optimizer)
            _wind_on(schedule, done)
        tokens = 0
        with ExitStack() as stack:
            pipelines = {name: stack.enter_context(opener("train")).pipeline for name, opener in job.sets.items()}
            stages = {name: agent_of(pipeline, job.name)[1] for name, pipeline in pipelines.items()}
            for step in range(done, steps):
                batch = [rows[place] for place in order[step * settings.batch_size : (step + 1) * settings.batch_size]]
                _write_policy(loaded.weights, policies / str(step))
                groups = self._ways(batch, stages, policies / str(step), step, job)
                shutil.rmtree(policies / str(step))
                samples, figures = self._samples(batch, groups, stages, loaded, settings.max_length)
                figures |= self._update(samples, loaded, optimizer)
                figures["learning_rate"] = schedule.get_last_lr()[0]
                schedule.step()
                tokens += sum(len(sample.prompt) + len(sample.completion) for sample in samples)
                logged.append({"step": step + 1, **figures})
                replace_file(job.folder / "log.json", json.dumps(logged, indent=1) + "\n")
                if (step + 1) % settings.save_every == 0 and step + 1 < steps:
                    checkpoints.write(job.checkpoints, loaded.weights, optimizer, logged)
                passed = time.monotonic() - began
                job.on_step(TrainingStep(step + 1, steps, figures, tokens, passed, step + 1 - done))
        loaded.weights.delete_adapter("reference")
        shutil.rmtree(policies)
        shared.keep(loaded.weights, loaded.tokenizer.tokenizer, job)
        took = {"seconds": round(time.monotonic() - began, 1)} | ({"resumed_at_step": done} if done else {})
        return Trained(steps, {"first": logged[0], "last": logged[-1], **took})

    def _ways(
        self, batch: Sequence[RolloutRow], stages: Mapping[str, AgentReact], adapter: Path, step: int, job: TrainingJob
    ) -> list[list[Walk]]:
        """Return the ways of each question, gone by the policy as it is."""
        policy = starting_policy(replace(job, adapter=job.adapter.model_copy(update={"start": str(adapter)})))
        changes = {
            "model": policy, "temperature": self.temperature, "constrain": False, "reasks": 0, "demos": None,
            "stop": (), "stopper": None,
        }  # fmt: skip
        own = {name: stage.model_copy(update=changes) for name, stage in stages.items()}
        first = step * self.generations
        tasks = [
            partial(own[row.origin["set"]].walk, row.question, draw)
            for row in batch
            for draw in range(first, first + self.generations)
        ]
        try:
            outcomes = run_tasks(tasks, name="ways", on_progress=job.on_progress)
        finally:
            policy.close()
        walks = values_of(outcomes, "objective react_grpo: a way failed")
        return [walks[start : start + self.generations] for start in range(0, len(walks), self.generations)]

    def _samples(
        self,
        batch: Sequence[RolloutRow],
        groups: Sequence[Sequence[Walk]],
        stages: Mapping[str, AgentReact],
        loaded: shared.Loaded,
        longest: int,
    ) -> tuple[list[Sample], dict[str, float]]:
        """Return the replies to learn from, and figures of the ways."""
        samples: list[Sample] = []
        earned: list[float] = []
        equal = 0
        for row, walks in zip(batch, groups, strict=True):
            budget = stages[row.origin["set"]].budget
            rewards = [self.earned(walk, row, budget) for walk in walks]
            earned += rewards
            above = advantages(rewards)
            equal += not any(above)
            for walk, advantage in zip(walks, above, strict=True):
                for decision in walk.decisions if any(above) else ():
                    prompt = loaded.tokenizer.encode(decision.prompt)
                    completion = [*loaded.tokenizer.encode_text(decision.reply), loaded.end]
                    if len(prompt) + len(completion) <= longest:
                        samples.append(Sample(prompt, completion, advantage, 1 / len(walk.decisions)))
        walks = [walk for group in groups for walk in group]
        found = [
            (recalls(walk.turns, row.gold) or [0.0])[-1]
            for row, group in zip(batch, groups, strict=True)
            for walk in group
        ]
        return samples, {
            "reward": mean(earned),
            "searches": mean(walk.searches for walk in walks),
            "recall": mean(found),
            "finished": mean(walk.stopped == FINISH for walk in walks),
            "frac_reward_zero_std": equal / len(groups),
        }

    def earned(self, walk: Walk, row: RolloutRow, budget: int) -> float:
        """Return what a way earns: stopping, and the form of its replies."""
        values = recalls(walk.turns, row.gold)
        stopped = self.reward.stop(len(values), best_search(values), values[-1] if values else 0.0, budget, row.tau)
        steps = [one.readable for one in walk.decisions if not (one.readable and one.action.name == FINISH)]
        return stopped + self.reward.format([True, *steps])

    def _update(self, samples: Sequence[Sample], loaded: shared.Loaded, optimizer: Any) -> dict[str, float]:
        """Make one step of the optimiser; none where there is nothing to learn from."""
        import torch

        if not samples:
            return {"loss": 0.0, "kl": 0.0}
        total = sum(sample.weight for sample in samples)
        losses, divergences = 0.0, 0.0
        for sample in samples:
            logprobs = self._logprobs(sample, loaded)
            ratio = (logprobs - logprobs.detach()).exp()
            loss = -sample.advantage * ratio
            if self.beta:
                loaded.weights.set_adapter("reference")
                with torch.no_grad():
                    before = self._logprobs(sample, loaded)
                loaded.weights.set_adapter("default")
                kl = (before - logprobs).exp() - (before - logprobs) - 1
                loss = loss + self.beta * kl
                divergences += float(kl.detach().mean()) * sample.weight / total
            loss = loss.mean() * sample.weight / total
            loss.backward()
            losses += float(loss.detach())
        trained = [param for param in loaded.weights.parameters() if param.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, self.clip)
        optimizer.step()
        optimizer.zero_grad()
        return {"loss": losses, "kl": divergences}

    def _logprobs(self, sample: Sample, loaded: shared.Loaded) -> Any:
        """Return the log-probabilities of a completion's tokens, shape (tokens,), as they were sampled."""
        import torch

        device = next(loaded.weights.parameters()).device
        ids = torch.tensor([[*sample.prompt, *sample.completion]], device=device)
        length = len(sample.completion)
        scores = loaded.weights(input_ids=ids, use_cache=False).logits[0, -length - 1 : -1].float() / self.temperature
        return torch.log_softmax(scores, -1).gather(-1, ids[0, -length:, None])[:, 0]


def _order(rows: int, count: int, seed: int) -> list[int]:
    """Return which row comes when: all of them, shuffled, as often as it takes."""
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    order: list[int] = []
    while len(order) < count:
        order += draw.sample(range(rows), rows)
    return order[:count]


def _schedule(optimizer: Any, steps: int, job: TrainingJob) -> Any:
    from transformers import get_scheduler

    name = {"constant": "constant_with_warmup"}.get(job.training.schedule, job.training.schedule)
    return get_scheduler(name, optimizer, round(job.training.warmup * steps), steps)


def _wind_on(schedule: Any, steps: int) -> None:
    """Bring a schedule to where it was after so many steps."""
    with shared.silenced():  # that no step of the optimiser came before is as it should be
        for _ in range(steps):
            schedule.step()


def _write_policy(weights: Any, folder: Path) -> None:
    """Write the adapter as it is, for the engine's model to read."""
    with shared.silenced():
        weights.save_pretrained(str(folder), selected_adapters=["default"])
