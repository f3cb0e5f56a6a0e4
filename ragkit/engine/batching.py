"""Cut requests into batches of similar length and run them on a local resource."""

import time
from collections.abc import Callable, Sequence

from ragkit.engine.calls import Batching, LocalResource, Reply, Request

Outcome = Reply | Exception
OnBatch = Callable[[Sequence[int], Sequence[Outcome]], None]


def plan_batches(sizes: Sequence[int], limits: Batching) -> list[list[int]]:
    """Return batches as lists of positions: longest first, ties in order of arrival.

    A batch holds at most `limits.requests` requests and `limits.tokens` tokens when each of its requests is padded to
    the longest. A request longer than the limit gets a batch of its own.
    """
    order = sorted(range(len(sizes)), key=lambda position: -sizes[position])
    batches: list[list[int]] = []
    for position in order:
        batch = batches[-1] if batches else None
        if batch is None or len(batch) >= limits.requests or (len(batch) + 1) * sizes[batch[0]] > limits.tokens:
            batches.append([position])
        else:
            batch.append(position)
    return batches


def execute_in_batches(resource: LocalResource, requests: Sequence[Request], on_batch: OnBatch) -> None:
    """Answer requests of one operation in batches; `on_batch` gets the positions and outcomes of each as it ends.

    A batch that raises is halved until the request that is to blame stands alone (which also gets a batch that did
    not fit in memory through), so one request never fails its neighbours.
    """
    if not requests:
        return
    with resource.in_use(requests[0].op):
        resource.measure(requests)
        for positions in plan_batches([request.size for request in requests], resource.batching()):
            on_batch(positions, _execute(resource, [requests[position] for position in positions]))


def _execute(resource: LocalResource, batch: Sequence[Request]) -> list[Outcome]:
    start = time.perf_counter()
    try:
        outcomes = resource.execute(batch[0].op, batch)
    except Exception as error:  # noqa: BLE001 - whatever a model raises belongs to a request, not to the run
        if len(batch) == 1:
            return [error]
        outcomes = None
    if outcomes is None:  # outside the except block, whose traceback would keep the failed batch in memory
        middle = len(batch) // 2
        return _execute(resource, batch[:middle]) + _execute(resource, batch[middle:])
    share = (time.perf_counter() - start) / len(batch)
    return [outcome if isinstance(outcome, Exception) else outcome._replace(seconds=share) for outcome in outcomes]
