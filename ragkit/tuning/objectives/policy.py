"""Learning from rewards: the model writes, rewards judge, and what was better than its siblings gets more probable."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal, cast

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import objectives
from ragkit.engine.run_folder import replace_file
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.models.rewards import columns_of, score_all, unique_names, weight_of
from ragkit.models.transformers_lm import TransformersModel
from ragkit.tuning.calls import values_of
from ragkit.tuning.job import Objective, Trained, TrainingJob
from ragkit.tuning.objectives import trainer as shared
from ragkit.tuning.rewards import Audit, Reward, RewardFunction, audit_rewards
from ragkit.tuning.rows import PromptRow, Row


class PolicyObjective(Objective):
    """What GRPO and RLOO share.

    `batch_size` and `micro_batch` count prompts; each is answered `generations` times. Completions are sampled by the
    model as it is at the step, so no step learns from old ones. Before the training, the rewards are audited: a policy
    that does no work must earn less than the model does. Log entries to watch: `reward`, `rewards/<name>/mean`,
    `frac_reward_zero_std` (prompts whose completions all earn the same: nothing is learned from them), `kl`,
    `entropy`, `completions/mean_length`.
    """

    rows: ClassVar[type[Row]] = PromptRow

    rewards: tuple[Reward | RewardFunction, ...] = Field(
        min_length=1, description="what is earned: the weighted sum of these"
    )
    generations: int = Field(8, ge=2, description="completions of a prompt, which are compared with each other")
    temperature: float = Field(1.0, gt=0, description="of the sampling; they have to differ to be compared")
    max_new_tokens: int = Field(32, ge=1, description="the most tokens of a completion")
    beta: float = Field(0.04, ge=0, description="weight of the divergence from the model as it was; 0: none")
    audit: int = Field(64, ge=0, description="prompts to audit the rewards with; 0: train whatever can be earned")
    abstain: str = Field("unanswerable", min_length=1, description="for the audit: the reply that counts as abstaining")

    @override
    def train(self, job: TrainingJob) -> Trained:
        shared.require()
        audit = self._audit(job) if self.audit else None
        loaded = shared.load(job)
        rows, prompts, left_out = self._fitting(job, loaded)
        columns_of([row.columns for row in rows])
        steps = shared.step_count(len(rows), job.training)
        order = shared.planned([len(prompt) for prompt in prompts], steps, job.training)
        base, config = self._trl()
        micro = job.training.micro_batch or job.training.batch_size
        args = shared.arguments(
            config,
            job,
            steps,
            per_device_train_batch_size=micro * self.generations,
            num_generations=self.generations,
            temperature=self.temperature,
            max_completion_length=self.max_new_tokens,
            beta=self.beta,
            reward_weights=[weight_of(reward) for reward in self.rewards],
            shuffle_dataset=False,
            **shared.reference(job),
            **self._loss(),
        )
        from datasets import Dataset

        trainer = _trainer_class(base, prompts)(
            model=loaded.weights,
            args=args,
            reward_funcs=judges(self.rewards, rows, loaded),
            train_dataset=Dataset.from_dict({"prompt": [str(position) for position in order]}),
            processing_class=loaded.tokenizer.tokenizer,
            optimizers=shared.optimiser(loaded.weights, job.training),
        )
        figures = {} if audit is None else {"audit": audit}
        return shared.run(trainer, job, rows=len(rows), rows_too_long=left_out, **figures)

    @abstractmethod
    def _trl(self) -> tuple[Any, Any]:
        """Return TRL's trainer and the class of its arguments."""

    @abstractmethod
    def _loss(self) -> dict[str, Any]:
        """Return the arguments that are this objective's own."""

    def _fitting(self, job: TrainingJob, loaded: shared.Loaded) -> tuple[list[PromptRow], list[list[int]], int]:
        """Return the rows whose prompts leave room for a completion, their token ids, and how many do not."""
        rows = cast("Sequence[PromptRow]", job.rows)
        longest = job.training.max_length - self.max_new_tokens
        encoded = [(row, loaded.tokenizer.encode(row.prompt)) for row in rows]
        fitting = [(row, ids) for row, ids in encoded if len(ids) <= longest]
        if not fitting:
            raise InputError(
                f"training: all {len(rows)} prompts are longer than max_length {job.training.max_length} less "
                f"max_new_tokens {self.max_new_tokens}: raise max_length"
            )
        return [row for row, _ in fitting], [ids for _, ids in fitting], len(rows) - len(fitting)

    def _audit(self, job: TrainingJob) -> dict[str, Any]:
        """Audit the rewards with the model as it is before the training; a resumed training has done so.

        Raises:
            InputError: the rewards can be earned without answering.
        """
        file = job.folder / "audit.json"
        if job.resume and shared.last_checkpoint(job.checkpoints) is not None and file.is_file():
            done: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return done
        rows = cast("Sequence[PromptRow]", job.rows)
        asked = rows[:: max(1, len(rows) // self.audit)][: self.audit]
        found = self._audited(asked, job)
        job.folder.mkdir(parents=True, exist_ok=True)
        replace_file(file, (json.dumps(found.as_dict(), indent=1) + "\n").encode())
        found.check()
        return found.as_dict()

    def _audited(self, rows: Sequence[PromptRow], job: TrainingJob) -> Audit:
        policy = starting_policy(job)
        tasks = [
            partial(
                policy.generate,
                row.prompt,
                max_new_tokens=self.max_new_tokens,
                temperature=self.temperature,
                seed=job.training.seed,
            )
            for row in rows
        ]
        try:
            outcomes = run_tasks(tasks, name="audit", on_progress=job.on_progress)
        finally:
            policy.close()
        written = [generation.text for generation in values_of(outcomes, "audit of the rewards")]
        return audit_rewards(self.rewards, rows, written, abstain=self.abstain, words=self.max_new_tokens)


@objectives.register("grpo")
class Grpo(PolicyObjective):
    """Group relative policy optimisation: a completion's advantage is what it earns above its group's mean.

    `gspo` and `luspo` weigh whole completions instead of tokens.

    Source: Shao et al. 2024, arXiv 2402.03300; the variants are TRL's: `dr_grpo` arXiv 2503.20783, `dapo` arXiv
    2503.14476, `cispo` arXiv 2506.13585, `sapo` arXiv 2511.20347, `gspo` arXiv 2507.18071, `luspo` arXiv 2602.05261.
    """

    loss: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "gspo", "luspo"] = Field(
        "dapo", description="grpo | bnpo | dr_grpo | dapo | cispo | sapo | gspo | luspo"
    )

    @override
    def _trl(self) -> tuple[Any, Any]:
        from trl import GRPOConfig, GRPOTrainer

        return GRPOTrainer, GRPOConfig

    @override
    def _loss(self) -> dict[str, Any]:
        if self.loss == "gspo":
            return {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4}
        if self.loss == "luspo":
            return {
                "loss_type": "luspo",
                "importance_sampling_level": "sequence",
                "epsilon": 2e-3,
                "epsilon_high": 2.5e-3,
            }
        return {"loss_type": self.loss}


@objectives.register("rloo")
class Rloo(PolicyObjective):
    """REINFORCE leave-one-out: a completion's advantage is what it earns above the mean of its group's others.

    Source: Ahmadian et al. 2024, arXiv 2402.14740.
    """

    @override
    def _trl(self) -> tuple[Any, Any]:
        from trl import RLOOConfig, RLOOTrainer

        return RLOOTrainer, RLOOConfig

    @override
    def _loss(self) -> dict[str, Any]:
        return {}


def starting_policy(job: TrainingJob) -> TransformersModel:
    """Return the model that a training starts from, for the engine's calls.

    Raises:
        InputError: the job's model is no language model of transformers.
    """
    model = job.model
    if not isinstance(model, TransformersModel):
        raise InputError(f"a policy is a language model of provider transformers, not {type(model).__name__}")
    return TransformersModel(
        model=model.model,
        revision=model.revision,
        device=model.device,
        dtype=model.dtype,
        chat=model.chat,
        adapter=job.adapter.start,
        max_batch_size=model.max_batch_size,
        max_batch_tokens=model.max_batch_tokens,
    )


def judges(rewards: Sequence[RewardFunction], rows: Sequence[PromptRow], loaded: shared.Loaded) -> list[Any]:
    """Return rewards as TRL calls them: prompts are the numbers of rows, and completions come as token ids."""

    def judge(reward: RewardFunction, prompts: Sequence[str], completion_ids: Sequence[Sequence[int]]) -> list[float]:
        asked = [rows[int(prompt)] for prompt in prompts]
        completions = [loaded.tokenizer.decode(ids) for ids in completion_ids]
        return score_all(reward, [row.prompt for row in asked], completions, columns_of([row.columns for row in asked]))

    def named(reward: RewardFunction, name: str) -> Any:
        def call(prompts: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
            return judge(reward, prompts, completion_ids)

        call.__name__ = name  # what TRL logs it under
        return call

    return [named(reward, name) for reward, name in zip(rewards, unique_names(rewards), strict=True)]


def _trainer_class(base: Any, prompts: Sequence[list[int]]) -> Any:
    """Return a trainer of TRL that reads prompts as ragkit's models do: a prompt is the number of its token ids."""

    class Exact(base):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            with shared.silenced():
                super().__init__(**options)

        def _tokenize_prompts(self, numbers: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [prompts[int(number)] for number in numbers], None, {}

    return Exact
