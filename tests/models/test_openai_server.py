import asyncio
import math

import pytest
from openai_server import OK, openai_server

from ragkit.errors import InputError, RagkitError
from ragkit.models.langchain_models import LangChainModel, OpenAIModel

SCHEMA = {
    "type": "object",
    "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
    "required": ["queries"],
}


@pytest.fixture
def served():
    with openai_server() as (url, script):
        yield url, script


def model(url, **settings):
    return OpenAIModel(**{"model": "tiny", "base_url": url, "backoff": 0.001, "retries": 3, **settings})


def ask(resource, prompt="hello", **settings):
    return asyncio.run(resource.generate(prompt, **settings))


def test_a_call_carries_its_settings_and_counts_usage(served, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    url, script = served
    generation = ask(model(url), max_new_tokens=9, stop=["\n"])
    assert (generation.text, generation.finish) == ("fine", "stop")
    assert (generation.prompt_tokens, generation.completion_tokens) == (11, 7)
    (request,) = script.requests
    assert request["messages"] == [{"role": "user", "content": "hello"}]
    assert request["max_tokens"] == 9
    assert request["temperature"] == 0
    assert request["stop"] == ["\n"]
    assert "seed" not in request


def test_draws_get_seeds_of_their_own(served):
    url, script = served
    for draw in (0, 1, 0):
        ask(model(url), temperature=0.7, seed=5, draw=draw)
    seeds = [request["seed"] for request in script.requests]
    assert seeds[0] == seeds[2] != seeds[1]
    assert script.requests[0]["temperature"] == 0.7


def test_chat_turns_keep_their_roles(served):
    url, script = served
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    ask(model(url), turns)
    assert script.requests[0]["messages"] == turns


def test_stop_text_that_a_server_leaves_in_is_cut(served):
    url, script = served
    script.reply = "one\ntwo"
    assert ask(model(url), stop=["\n"]).text == "one"


def test_without_usage_data_tokens_are_estimated(served):
    url, script = served
    script.usage = False
    script.reply = "12345678"
    generation = ask(model(url), "x" * 41)
    assert (generation.prompt_tokens, generation.completion_tokens) == (11, 2)


def test_tokens_are_counted_without_a_call(monkeypatch):
    monkeypatch.setattr(OpenAIModel, "call", None)
    assert asyncio.run(model("http://localhost:9/v1").count_tokens("x" * 41)) == 11


@pytest.mark.parametrize("failure", [408, 409, 429, 500, 503])
def test_transient_failures_are_tried_again(served, failure):
    url, script = served
    script.plan = [failure, failure, OK]
    assert ask(model(url)).text == "fine"
    assert len(script.requests) == 3


@pytest.mark.parametrize("failure", [400, 401, 404])
def test_lasting_failures_are_not_tried_again(served, failure):
    url, script = served
    script.plan = [failure] * 9
    with pytest.raises(Exception, match=f"injected {failure}"):
        ask(model(url))
    assert len(script.requests) == 1


def test_retries_end(served):
    url, script = served
    script.plan = [429] * 9
    with pytest.raises(Exception, match="injected 429"):
        ask(model(url, retries=2))
    assert len(script.requests) == 3


def test_a_slow_answer_is_cut_off_and_tried_again(served):
    url, script = served
    script.plan = [2.0, OK]
    assert ask(model(url, timeout=0.5)).text == "fine"
    assert len(script.requests) == 2


def test_a_body_that_is_not_json_is_an_error(served):
    url, script = served
    script.plan = ["broken"] * 9
    with pytest.raises(Exception):  # noqa: B017 - the client's own error; what counts is that there is one
        ask(model(url))


def test_a_server_that_is_not_there_is_tried_again_and_reported():
    with pytest.raises(Exception, match=r"[Cc]onnect"):
        ask(model("http://127.0.0.1:9/v1", retries=1))


def test_calls_at_once_in_several_event_loops(served):
    url, script = served
    resource = model(url)

    async def several():
        return await asyncio.gather(*(resource.generate(f"q{n}") for n in range(5)))

    for _ in range(3):
        assert [generation.text for generation in asyncio.run(several())] == ["fine"] * 5
    assert len(script.requests) == 15


def test_the_key_comes_from_the_environment_alone(served, monkeypatch):
    url, script = served
    monkeypatch.setenv("MY_KEY", "sesame")
    resource = model(url, api_key_env="MY_KEY")
    ask(resource)
    assert script.keys == ["Bearer sesame"]
    assert "sesame" not in resource.fingerprint() + repr(resource)


def test_without_key_the_official_server_is_refused(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InputError, match="NO_SUCH_KEY"):
        ask(OpenAIModel(model="tiny", api_key_env="NO_SUCH_KEY"))


def test_an_address_from_the_environment_is_part_of_the_fingerprint(served, monkeypatch):
    url, _script = served
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    resource = OpenAIModel(model="tiny")
    official = resource.fingerprint()
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert resource.fingerprint() == model(url).fingerprint() != official
    assert ask(resource).text == "fine"
    monkeypatch.setenv("OPENAI_API_BASE", "http://me:sesame@host/v1")
    assert "host" in resource.fingerprint() and "sesame" not in resource.fingerprint()


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_is_fatal(served, status):
    url, script = served
    script.plan = [status]
    with pytest.raises(Exception, match=f"injected {status}") as caught:
        ask(model(url))
    assert model(url).is_fatal(caught.value)


def test_json_is_asked_for_by_schema(served):
    url, script = served
    script.reply = '{"queries": ["a", "b"]}'
    assert ask(model(url), schema=SCHEMA).text == script.reply
    (request,) = script.requests
    assert request["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "JSON Schema" in request["messages"][-1]["content"]


@pytest.mark.parametrize(
    "reply", ['```json\n{"queries": ["a"]}\n```', 'Sure! {"queries": ["a"]}', '{"queries": ["a"', "{'queries': ['a'],}"]
)
def test_broken_json_is_repaired(served, reply):
    url, script = served
    script.reply = reply
    assert ask(model(url), schema=SCHEMA).text == '{"queries": ["a"]}'
    assert len(script.requests) == 1


def test_json_that_breaks_the_schema_is_asked_for_again(served):
    url, script = served
    script.replies = ["no idea", '{"queries": "a"}', '{"queries": ["a"]}']
    generation = ask(model(url), schema=SCHEMA)
    assert generation.text == '{"queries": ["a"]}'
    assert (generation.prompt_tokens, generation.completion_tokens) == (33, 21)
    assert [len(request["messages"]) for request in script.requests] == [1, 3, 5]
    assert script.requests[2]["messages"][3] == {"role": "assistant", "content": '{"queries": "a"}'}


def test_json_is_given_up_after_three_attempts(served):
    url, script = served
    script.reply = "I would rather not."
    script.finish = "length"
    with pytest.raises(RagkitError, match=r"3 attempts \(it was cut at max_new_tokens\).*I would rather not"):
        ask(model(url), schema=SCHEMA)
    assert len(script.requests) == 3


def test_a_server_without_structured_output_is_asked_in_words(served, caplog):
    url, script = served
    script.refuse_schema = True
    script.reply = '{"queries": []}'
    resource = model(url)

    async def twice():
        return [await resource.generate("x", schema=SCHEMA) for _ in range(2)]

    assert [generation.text for generation in asyncio.run(twice())] == [script.reply] * 2
    assert ["response_format" in request for request in script.requests] == [True, False, False]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_request_refused_for_another_reason_leaves_the_schema_on(served, caplog):
    url, script = served
    script.plan = [400, 400]
    script.reply = '{"queries": []}'
    resource = model(url)

    async def twice():
        with pytest.raises(Exception, match="injected 400"):
            await resource.generate("too long", schema=SCHEMA)
        await resource.generate("x", schema=SCHEMA)

    asyncio.run(twice())
    assert ["response_format" in request for request in script.requests] == [True, False, True]
    assert not caplog.records


def test_grammar_is_not_supported(served):
    url, script = served
    with pytest.raises(RagkitError, match="grammar"):
        ask(model(url), grammar='start: "a"')
    assert not script.requests


def test_choose_by_log_probabilities(served):
    url, script = served
    script.top_logprobs = [
        ("no", math.log(0.6)),
        (" yes", math.log(0.2)),
        ("Maybe", math.log(0.1)),
        ("ye", math.log(0.1)),
    ]
    choice = asyncio.run(model(url).choose("q", ["yes", "no"]))
    assert choice.label == "no"
    assert math.exp(choice.logprobs["no"]) == pytest.approx(2 / 3, abs=1e-6)
    assert math.exp(choice.logprobs["yes"]) == pytest.approx(1 / 3, abs=1e-6)
    assert len(script.requests) == 1


def test_choose_takes_an_exact_answer_where_log_probabilities_do_not_tell(served):
    url, script = served
    script.top_logprobs = [("rel", -0.1)]
    script.reply = '"relevant."'
    choice = asyncio.run(model(url).choose("q", ["relevant", "related"]))
    assert (choice.label, choice.logprobs) == ("relevant", None)
    assert len(script.requests) == 1


def test_choose_falls_back_to_an_answer_held_to_the_choices(served):
    url, script = served
    script.replies = ["Well, that depends", '{"choice": "Yes"}', '{"choice": "yes"}']
    args = {"prompt": "q", "choices": ["yes", "no"]}
    reply = asyncio.run(model(url).call("choose", args))
    assert reply.value["label"] == "yes"
    assert (reply.prompt_tokens, reply.completion_tokens) == (33, 21)
    enum = script.requests[-1]["response_format"]["json_schema"]["schema"]["properties"]["choice"]["enum"]
    assert enum == ["yes", "no"]
    assert len(script.requests) == 3
    with pytest.raises(RagkitError, match="different"):
        asyncio.run(model(url).choose("q", ["a", "a"]))


def test_any_langchain_class_can_be_named(served):
    url, script = served
    kwargs = {"model": "tiny", "base_url": url, "api_key": "sesame", "temperature": 0.3}
    resource = LangChainModel(**{"class": "langchain_openai.ChatOpenAI", "kwargs": kwargs, "backoff": 0.001})
    script.plan = [500, OK]
    assert ask(resource).text == "fine"
    assert len(script.requests) == 2
    assert "sesame" not in resource.fingerprint()
    assert '"tiny"' in resource.fingerprint()
