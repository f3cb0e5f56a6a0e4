"""Tiny random image-text models on disk, of the real architectures and with their real processors."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The template of Qwen2-VL, without its branches for videos and for numbered pictures."""
SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""The template of SmolVLM and Idefics 3."""
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.4,
}


def tokenizer(special: tuple[str, ...], end: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes and special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_alone = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = decoders.ByteLevel()
    bytes_alone.add_special_tokens([AddedToken(token, special=True) for token in special])
    return PreTrainedTokenizerFast(tokenizer_object=bytes_alone, eos_token=end, pad_token=end)


def write_processor(
    folder: Path, words: PreTrainedTokenizerFast, template: str, kind: str, pictures: dict, **settings: object
) -> None:
    """Write the files of a processor as the hub has them."""
    words.chat_template = template
    words.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures | {"processor_class": kind}))
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": kind, **settings}))


def tiny_qwen2_vl(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen2-VL with the processor of its kind."""
    special = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(special, "<|im_end|>")
    ids = dict(zip(special, words.convert_tokens_to_ids(list(special)), strict=True))
    write_processor(folder, words, QWEN_TEMPLATE, "Qwen2VLProcessor", {
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112},
    })  # fmt: skip
    torch.manual_seed(seed)
    config = Qwen2VLConfig(
        text_config=TEXT
        | {
            "vocab_size": len(words),
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
        },
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


def tiny_idefics3(folder: Path, seed: int = 0) -> Path:
    """Write a random Idefics 3 with the processor of its kind."""
    return _smol(folder, seed, "idefics3")


def tiny_smolvlm(folder: Path, seed: int = 0) -> Path:
    """Write a random SmolVLM with the processor of its kind."""
    return _smol(folder, seed, "smolvlm")


def _smol(folder: Path, seed: int, kind: str) -> Path:
    rows = tuple(f"<row_{row}_col_{column}>" for row in range(1, 3) for column in range(1, 3))
    special = ("<|im_start|>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *rows)
    words = tokenizer(special, "<end_of_utterance>")
    name = {"smolvlm": "SmolVLM", "idefics3": "Idefics3"}[kind]
    write_processor(folder, words, SMOL_TEMPLATE, f"{name}Processor", {
        "image_processor_type": f"{name}ImageProcessor",
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
    }, image_seq_len=4)  # fmt: skip
    config_class, model_class = {
        "smolvlm": (SmolVLMConfig, SmolVLMForConditionalGeneration),
        "idefics3": (Idefics3Config, Idefics3ForConditionalGeneration),
    }[kind]
    torch.manual_seed(seed)
    end = words.convert_tokens_to_ids("<end_of_utterance>")
    config = config_class(
        text_config=TEXT | {"model_type": "llama", "vocab_size": len(words), "eos_token_id": end, "pad_token_id": end},
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=end,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = model_class(config)
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)
    return folder
