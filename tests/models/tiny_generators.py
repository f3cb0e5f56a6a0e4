"""Tiny random language models and adapters on disk, which go through the same code as real ones."""

import json
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ragkit.engine.batching import execute_in_batches
from ragkit.engine.calls import Request

END = "<|end|>"


def tiny_model(folder: Path, seed: int = 0, hidden: int = 32, extra_tokens: tuple[str, ...] = ()) -> Path:
    """Write a random two-layer Llama whose tokenizer knows bytes, an end token and further tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)
    wrapped.add_tokens(list(extra_tokens))
    wrapped.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=wrapped.eos_token_id,
        bos_token_id=None,
        initializer_range=0.4,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def load_alone(model: Path) -> torch.nn.Module:
    """Load a model by transformers itself."""
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def tiny_lora(folder: Path, model: Path, seed: int, **settings: object) -> Path:
    """Write a random LoRA adapter, none of whose parts is zero."""
    torch.manual_seed(seed)
    settings = {"target_modules": ["q_proj", "v_proj", "down_proj"], "init_lora_weights": False, "r": 4} | settings
    adapted = get_peft_model(load_alone(model), LoraConfig(task_type="CAUSAL_LM", **settings))
    return _save(adapted, folder)


def tiny_soft_prompt(folder: Path, model: Path, seed: int, tokens: int = 5) -> Path:
    """Write a random prompt-tuning adapter."""
    torch.manual_seed(seed)
    adapted = get_peft_model(load_alone(model), PromptTuningConfig(num_virtual_tokens=tokens, task_type="CAUSAL_LM"))
    torch.nn.init.normal_(adapted.prompt_encoder["default"].embedding.weight)
    return _save(adapted, folder)


def _save(adapted, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks the hub whether the base's vocabulary has grown
        adapted.save_pretrained(folder)
    return folder


def edit_config(folder: Path, **changes: object) -> None:
    """Change an adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def answers(model, op, many):
    """Answer requests of one operation, in the model's batches."""
    requests = [Request(op, args) for args in many]
    outcomes = [None] * len(requests)

    def keep(positions, found):
        for position, outcome in zip(positions, found, strict=True):
            outcomes[position] = outcome

    execute_in_batches(model, requests, keep)
    return outcomes
