"""FAISS: loaded when it is needed, and looked into."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need


def load_faiss() -> Any:
    """Import FAISS, or say how to install it."""
    return need("faiss", "faiss-cpu", "a dense index")


def layers(faiss: Any, index: Any) -> list[Any]:
    """Return an index and those it wraps (behind a transformation, a refinement, a graph), the outermost first."""
    found = [faiss.downcast_index(index)]
    while True:
        outer = found[-1]
        if isinstance(outer, faiss.IndexPreTransform):
            found.append(faiss.downcast_index(outer.index))
        elif isinstance(outer, faiss.IndexRefine):
            found.append(faiss.downcast_index(outer.base_index))
        elif isinstance(outer, faiss.IndexHNSW):
            found.append(faiss.downcast_index(outer.storage))
        else:
            return found


def is_flat(faiss: Any, index: Any) -> bool:
    """Tell whether an index keeps the vectors as they are and compares with all of them."""
    return isinstance(faiss.downcast_index(index), faiss.IndexFlat)


def flat_vectors(faiss: Any, index: Any) -> NDArray[np.float32]:
    """Return the vectors of a Flat index as a read-only view of its memory, which keeps the index alive."""
    view = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
    return np.asarray(_Owned(index, view))


class _Owned:
    """Memory of a FAISS index, handed to NumPy together with its owner."""

    def __init__(self, index: Any, view: NDArray[np.float32]) -> None:
        self.index = index
        interface = view.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], True)}


def reason(error: RuntimeError) -> str:
    """Return what FAISS complains of without the place in its source."""
    return str(error).rsplit(": ", 1)[-1]
