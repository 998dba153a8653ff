"""`on_cluster`: work that a Dask scheduler distributes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from edgec.errors import MissingDependency
from edgec.extras import install

PartT = TypeVar("PartT")
ResultT = TypeVar("ResultT")


def on_cluster(work: Callable[[PartT], ResultT], parts: Sequence[PartT], scheduler: str) -> Iterator[ResultT]:
    """Call `work` with each of `parts` on the machines of a cluster; yield each result when it arrives.

    Args:
        work: A function at the top level of a module that all machines have.
        parts: Parts that can be sent to other processes.
        scheduler: Address of the scheduler, `tcp://...`.

    Raises:
        MissingDependency: Dask is not installed.
        Exception: Any exception that `work` raised.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingDependency("--scheduler needs Dask", remedy=install("dask")) from error
    with distributed.Client(scheduler) as client:
        for future in distributed.as_completed(client.map(work, parts, pure=False)):
            yield future.result()
