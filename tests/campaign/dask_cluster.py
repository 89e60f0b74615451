"""A Dask cluster of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

dask = pytest.importorskip("dask", reason="distributed is not installed")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")


def cluster_of(workers: int, directory: Path, *, threads: int = 1, processes: bool = True) -> Any:
    """A cluster whose files are in a directory. A worker that dies is started again."""
    dask.config.set(temporary_directory=str(directory))
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        processes=processes,
        dashboard_address=":0",
        local_directory=str(directory),
    )
