"""FAISS's search parameters: those of the YAML, and those that restrict one search to some positions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ragkit.errors import InputError, did_you_mean
from ragkit.index.dense.library import layers, load_faiss
from ragkit.index.part import Selection

_FRACTIONS = {"k_factor_rf"}


def apply_parameters(index: Any, factory: str, settings: Mapping[str, float]) -> None:
    """Set search parameters such as nprobe and efSearch on an index.

    Raises:
        InputError: the index has no such parameter, or takes whole numbers only.
    """
    faiss = load_faiss()
    space = faiss.ParameterSpace()
    space.initialize(index)
    known = [space.parameter_ranges.at(number).name for number in range(space.parameter_ranges.size())]
    for name, value in settings.items():
        place = f"index.dense.search.{name}"
        if name not in known:
            raise InputError(
                f"{place}: the factory '{factory}' has no such parameter{did_you_mean(name, known)} "
                f"(it has: {', '.join(known) or 'none'})"
            )
        if name not in _FRACTIONS and value != int(value):
            raise InputError(f"{place} is {value:g}, but has to be a whole number")
        try:
            space.set_index_parameter(index, name, value)
        except RuntimeError as error:
            raise InputError(f"{place}: {error}") from None


def selector(allowed: Selection) -> Any:
    """Return a FAISS selector of the positions that are True; it keeps a copy."""
    faiss = load_faiss()
    bits = np.packbits(allowed, bitorder="little")
    return faiss.IDSelectorBitmap(bits)


def restricted(index: Any, chosen: Any, *, everywhere: bool) -> Any | None:
    """Return search parameters that restrict a search to a selector and leave all else as it is set on the index.

    Args:
        index: any index.
        chosen: a selector.
        everywhere: visit all cells of an IVF.

    Returns:
        None where FAISS has no selector for this kind of index (product quantisers and fast scan without IVF).
    """
    faiss = load_faiss()
    outer = faiss.downcast_index(index)
    if isinstance(outer, faiss.IndexPreTransform):
        inner = restricted(outer.index, chosen, everywhere=everywhere)
        return inner and faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(outer, faiss.IndexRefine):
        inner = restricted(outer.base_index, chosen, everywhere=everywhere)
        return inner and faiss.IndexRefineSearchParameters(base_index_params=inner, k_factor=outer.k_factor)
    if isinstance(outer, faiss.IndexIVF):
        nprobe = outer.nlist if everywhere else outer.nprobe
        if isinstance(outer, faiss.IndexIVFPQ):
            return faiss.IVFPQSearchParameters(
                sel=chosen, nprobe=nprobe, max_codes=outer.max_codes, polysemous_ht=outer.polysemous_ht
            )
        return faiss.SearchParametersIVF(sel=chosen, nprobe=nprobe, max_codes=outer.max_codes)
    if isinstance(outer, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=chosen, efSearch=outer.hnsw.efSearch)
    if isinstance(outer, (faiss.IndexPQ, faiss.IndexFastScan)):
        return None
    return faiss.SearchParameters(sel=chosen)


def ef_search(index: Any) -> int | None:
    """Return how many candidates a graph keeps while it is searched, None for an index without a graph."""
    faiss = load_faiss()
    graphs = [layer for layer in layers(faiss, index) if isinstance(layer, faiss.IndexHNSW)]
    return int(graphs[0].hnsw.efSearch) if graphs else None
