"""`ragkit doctor`: what works on this machine and what does not."""

import importlib.metadata
import platform
from collections.abc import Callable

from rich.markup import escape
from rich.table import Table

from ragkit.cli.console import output


def doctor() -> int:
    """Show versions, devices, the builds of faiss and torch, and the embedded models."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(overflow="fold")
    findings = {name: _try(check) for name, check in _CHECKS.items()} | _embedded_models()
    for name, (text, good) in findings.items():
        table.add_row(name, "[green]ok[/green]" if good else "[red]missing[/red]", escape(text))
    output.print(table)
    return 0 if all(good for _, good in findings.values()) else 1


def _try(check: Callable[[], tuple[str, bool]]) -> tuple[str, bool]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - any failure is a finding here
        return f"{type(error).__name__}: {error}", False


def _embedded_models() -> dict[str, tuple[str, bool]]:
    from ragkit.models.embedded import status

    converted = {True: ", converted", False: ", converted at first use (20 s)", None: ""}
    return {
        f"embedded:{model.name}": (f"{model.version}{converted[model.converted]}", True)
        if model.version
        else (model.install, False)
        for model in status()
    }


def _python() -> tuple[str, bool]:
    return f"{platform.python_version()} on {platform.platform(terse=True)}, {platform.machine()}", True


def _torch() -> tuple[str, bool]:
    import torch

    devices = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    seen = ", ".join(devices) or ("no CUDA device" if torch.version.cuda else f"{torch.get_num_threads()} threads")
    return f"{torch.__version__} ({build}; {seen})", True


def _faiss() -> tuple[str, bool]:
    import faiss

    build = "GPU build" if hasattr(faiss, "StandardGpuResources") else "CPU build"
    count = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return f"{faiss.__version__} ({build}; {count} GPUs)", True


def _package(name: str) -> Callable[[], tuple[str, bool]]:
    def check() -> tuple[str, bool]:
        try:
            return importlib.metadata.version(name), True
        except importlib.metadata.PackageNotFoundError:
            return f"pip install {name}", False

    return check


def _folders() -> tuple[str, bool]:
    from ragkit.paths import models_dir, project_dir

    return f"indexes and call cache in {project_dir().resolve()}, converted models in {models_dir()}", True


_CHECKS: dict[str, Callable[[], tuple[str, bool]]] = {
    "python": _python,
    "ragkit": _package("ragkit"),
    "torch": _torch,
    "transformers": _package("transformers"),
    "sentence-transformers": _package("sentence-transformers"),
    "faiss": _faiss,
    "bm25s": _package("bm25s"),
    "pymupdf": _package("pymupdf"),
    "langchain-core": _package("langchain-core"),
    "folders": _folders,
}
