import asyncio
import subprocess
import sys

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListChatModel
from pydantic import ValidationError

from ragkit.engine.policy import allow_code
from ragkit.errors import InputError, MissingPackageError, RagkitError
from ragkit.models.langchain_classes import load_class, make_client, without_secrets
from ragkit.models.langchain_embeddings import LangChainEncoder
from ragkit.models.langchain_models import LangChainModel

FAKE = "langchain_core.language_models.FakeListChatModel"


@pytest.fixture
def code_is_allowed():
    allow_code()
    yield
    allow_code(False)


@pytest.mark.parametrize("cls", [LangChainModel, LangChainEncoder])
@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "builtins.eval", "langchainevil.X"])
def test_other_packages_need_permission(cls, path):
    with pytest.raises(ValidationError, match="--allow-code"):
        cls(**{"class": path})


@pytest.mark.parametrize("path", ["", "ChatOpenAI", "langchain_core..x", "langchain_core.x()", "../langchain_core.x"])
def test_a_class_path_has_to_be_one(path):
    with pytest.raises(ValidationError, match="not a class path"):
        LangChainModel(**{"class": path})


def test_a_module_of_that_name_beside_the_pipeline_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "langchain_evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValidationError, match="'langchain_evil' is not installed: pip install langchain-evil"):
        LangChainModel(**{"class": "langchain_evil.Chat"})


def test_permission_allows_any_class_of_the_right_kind(code_is_allowed):
    with pytest.raises(InputError, match="not a BaseChatModel"):
        asyncio.run(LangChainModel(**{"class": "pathlib.Path"}).generate("x"))
    with pytest.raises(MissingPackageError, match="pip install no-such-package"):
        asyncio.run(LangChainModel(**{"class": "no_such_package.Chat"}).generate("x"))


def test_wrong_classes_and_settings_are_named():
    with pytest.raises(InputError, match="no class 'Nothing' in langchain_core"):
        asyncio.run(LangChainModel(**{"class": "langchain_core.Nothing"}).generate("x"))
    with pytest.raises(InputError, match="not a BaseChatModel"):
        asyncio.run(LangChainModel(**{"class": "langchain_core.documents.Document"}).generate("x"))
    with pytest.raises(InputError, match="refuses its settings"):
        asyncio.run(LangChainModel(**{"class": FAKE, "kwargs": {"nothing": 1}}).generate("x"))
    with pytest.raises(InputError, match="not a Embeddings"):
        load_class("langchain_core.documents.Document", Embeddings)


def test_a_model_without_structured_output_is_asked_in_words():
    model = LangChainModel(**{"class": FAKE, "kwargs": {"responses": ["nothing", '{"a": 1}']}})
    assert asyncio.run(model.generate("x", schema={"type": "object", "required": ["a"]})).text == '{"a": 1}'


def test_choose_without_log_probabilities():
    model = LangChainModel(**{"class": FAKE, "kwargs": {"responses": ['{"choice": "b"}']}})
    choice = asyncio.run(model.choose([{"role": "user", "content": "x"}], ["a", "b"]))
    assert (choice.label, choice.logprobs) == ("b", None)


def test_a_chat_model_can_be_wrapped():
    model = LangChainModel.wrap(FakeListChatModel(responses=["hello"]), "hello", concurrency=2)
    assert model.concurrency == 2
    assert asyncio.run(model.generate("x")).text == "hello"
    one, other, named = (
        LangChainModel.wrap(FakeListChatModel(responses=[reply]), name).fingerprint()
        for reply, name in [("a", "x"), ("b", "x"), ("a", "y")]
    )
    assert len({one, other, named}) == 3
    with pytest.raises(InputError, match="not a langchain BaseChatModel"):
        LangChainModel.wrap("nothing", "x")
    with pytest.raises(ValidationError):
        LangChainModel.wrap(FakeListChatModel(responses=["a"]), "x", concurrency="many")


def test_secrets_stay_out_of_fingerprints():
    settings = {
        "api_key": "s1",
        "openai_api_key": "s2",
        "default_headers": {"Authorization": "s3"},
        "max_tokens": 5,
        "stop_token": "</s>",
        "auth": ["u", "s5"],
        "a": [{"token": "s4", "b": object(), "url": "http://me:s6@host/x"}],
    }
    kept = {"max_tokens": 5, "stop_token": "</s>", "a": [{"url": "http://me:***@host/x"}]}
    assert without_secrets(settings) == kept


def test_a_client_that_cannot_be_made_ends_the_run(code_is_allowed, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = LangChainModel(**{"class": "langchain_openai.ChatOpenAI", "kwargs": {"model": "tiny"}})
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        asyncio.run(model.generate("x"))
    assert model.is_fatal(caught.value)

    def incomplete(**settings):
        raise ImportError("pip install other")

    with pytest.raises(MissingPackageError, match="pip install other"):
        make_client(incomplete, {}, "incomplete")


def test_embeddings():
    encoder = LangChainEncoder(
        **{"class": "langchain_core.embeddings.DeterministicFakeEmbedding", "kwargs": {"size": 8}}
    )
    query, passage = (asyncio.run(encoder.embed("soil", kind)) for kind in ("query", "passage"))
    assert query.shape == (8,) and query.dtype == np.float32
    np.testing.assert_array_equal(query, passage)
    assert encoder.describe()["kwargs"] == {"size": 8}


def test_wrapped_embeddings():
    encoder = LangChainEncoder.wrap(DeterministicFakeEmbedding(size=4), name="fake-4")
    assert asyncio.run(encoder.embed("soil")).shape == (4,)
    assert encoder.describe()["kwargs"] == {"name": "fake-4"}
    with pytest.raises(InputError, match="not a langchain Embeddings"):
        LangChainEncoder.wrap(1, name="x")


def test_embeddings_that_are_not_numbers_are_an_error():
    class Broken(Embeddings):
        def embed_query(self, text):
            return [float("nan")]

        def embed_documents(self, texts):
            return [[[1.0]]]

    encoder = LangChainEncoder.wrap(Broken(), name="broken")
    for kind in ("query", "passage"):
        with pytest.raises(RagkitError, match="one vector of numbers"):
            asyncio.run(encoder.embed("x", kind))


def test_importing_the_models_loads_no_model_library():
    code = """
import sys, ragkit.models
from ragkit.engine.registry import models
providers = {"transformers", "langchain", "openai", "langchain-embeddings", "sentence-transformers", "cross-encoder"}
assert providers | {"scripted", "hash", "overlap"} <= set(models)
heavy = {"torch", "transformers", "sentence_transformers", "openai", "langchain_openai", "llguidance", "jsonschema"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
