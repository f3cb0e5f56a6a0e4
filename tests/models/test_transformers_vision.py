import asyncio
import io

import pytest
from openai_server import openai_server
from PIL import Image
from tiny_vision import tiny_idefics3, tiny_qwen2_vl, tiny_smolvlm

from ragkit.engine.batching import execute_in_batches
from ragkit.engine.calls import Request
from ragkit.errors import InputError, RagkitError
from ragkit.models import OpenAIModel, TransformersVisionModel
from ragkit.models.base import slot
from ragkit.models.scripted import ScriptedModel

KINDS = {"qwen2_vl": tiny_qwen2_vl, "idefics3": tiny_idefics3, "smolvlm": tiny_smolvlm}


class Colour:
    def __init__(self, colour, size=(80, 50)):
        self.colour, self.size = colour, size
        self.key = f"{colour} {size}"

    def open(self):
        return Image.new("RGB", self.size, self.colour)

    def png(self):
        written = io.BytesIO()
        self.open().save(written, "PNG")
        return written.getvalue()


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    folder = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    return TransformersVisionModel(model=str(folder), dtype="float32", device="cpu")


def request(prompt, *pictures, **settings):
    args = {"prompt": prompt, "max_new_tokens": 6} | settings
    if pictures:
        args["pictures"] = [picture.key for picture in pictures]
    return Request("generate", args, pictures or None)


def answers(model, *requests):
    replies = [None] * len(requests)

    def keep(positions, outcomes):
        for position, outcome in zip(positions, outcomes, strict=True):
            replies[position] = outcome

    execute_in_batches(model, list(requests), keep)
    return replies


def test_a_batch_answers_as_its_prompts_alone_do(model):
    asked = [
        request(f"first {slot(0)} second {slot(1)}: which?", Colour("red"), Colour("blue", (100, 60))),
        request(f"look {slot(0)}", Colour("green")),
        request("words alone"),
    ]
    together = answers(model, *asked)
    alone = [answers(model, one)[0] for one in asked]
    assert [reply.value["text"] for reply in together] == [reply.value["text"] for reply in alone]
    assert all(reply.completion_tokens == 6 and reply.prompt_tokens > 10 for reply in together)


def test_what_is_seen_and_where_it_stands_changes_the_answer(model):
    prompt = f"first {slot(0)} second {slot(1)}"
    one, other = answers(
        model, request(prompt, Colour("red"), Colour("blue")), request(prompt, Colour("blue"), Colour("red"))
    )
    assert one.prompt_tokens == other.prompt_tokens
    assert one.value["logprob"] != other.value["logprob"]


def test_pictures_stand_where_the_prompt_has_them_and_text_cannot_add_one(model):
    with model.in_use("count_tokens"):
        prompts = model._processing
    image = prompts.processor.image_token
    end = prompts.processor.tokenizer.eos_token
    text = prompts.render(f"a {slot(0)} b {slot(1)} c {image} {end} d")
    assert text.count(image) == 2
    order = [text.index("a "), text.index(image), text.index(" b "), text.rindex(image), text.index(" c ")]
    assert order == sorted(order)
    assert text.count(end) == prompts.render("a").count(end)


def test_samples_depend_on_seed_and_draw_alone(model):
    drawn = [request("words", temperature=1.0, seed=3, draw=draw) for draw in (0, 1, 0)]
    first, second, again = (reply.value["text"] for reply in answers(model, *drawn))
    assert first == again != second


def test_a_schema_is_kept(model):
    schema = {"type": "object", "properties": {"n": {"enum": ["4"]}}, "required": ["n"], "additionalProperties": False}
    (reply,) = answers(model, request(f"see {slot(0)}", Colour("red"), max_new_tokens=60, schema=schema))
    assert reply.value["text"].replace(" ", "").replace("\n", "") == '{"n":"4"}'


def test_a_prompt_that_is_too_long_fails_alone(model):
    short, long = request("words"), request("word " * 3000)
    good, bad = answers(model, short, long)
    assert good.value["finish"] == "length"
    assert isinstance(bad, InputError) and "context" in str(bad)


def test_other_questions_than_generating_are_refused(model):
    (reply,) = answers(model, request("words"))
    assert reply.value["text"]
    with pytest.raises(RagkitError, match="does not choose"):
        asyncio.run(model.choose("words", ["a", "b"]))


def test_slots_have_to_be_those_of_the_pictures():
    see = OpenAIModel(model="m", base_url="http://localhost:1/v1")
    with pytest.raises(InputError, match="slots for the pictures"):
        asyncio.run(see.generate(f"{slot(1)}", pictures=[Colour("red")]))
    with pytest.raises(InputError, match="takes no pictures"):
        asyncio.run(ScriptedModel(default="x").generate(slot(0), pictures=[Colour("red")]))


def test_a_chat_model_gets_text_and_pictures_interleaved():
    pytest.importorskip("langchain_openai")
    with openai_server() as (url, script):
        model = OpenAIModel(model="m", base_url=url, retries=0)
        prompt = [{"role": "system", "content": "Look."}, {"role": "user", "content": f"a {slot(0)} b {slot(1)}?"}]
        reply = asyncio.run(model.generate(prompt, pictures=[Colour("red"), Colour("blue")]))
    assert reply.text == "fine"
    system, user = script.requests[0]["messages"]
    assert system["content"] == "Look."
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text", "image_url", "text"]
    assert [part["text"] for part in user["content"][::2]] == ["a ", " b ", "?"]
    assert user["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert user["content"][1] != user["content"][3]
