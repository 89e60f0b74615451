"""Campaigns on a real Dask cluster of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guestdbg.campaign import Campaign, CampaignError, ExecutorLost, Progress
from guestdbg.campaign.worker import digest_of
from tests.campaign.dask_cluster import cluster_of, distributed
from tests.campaign.jobs import Arithmetic, Deadly


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a cluster with two workers, each a process that is started again if it dies."""
    with (
        cluster_of(2, tmp_path_factory.mktemp("dask")) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_cluster_gives_the_same_table(client: Any, tmp_path: Path) -> None:
    serial = Campaign.create(tmp_path / "serial", Arithmetic(), 3000, seed=5)
    serial.run(workers=0)
    campaign = Campaign.create(tmp_path / "dask", Arithmetic(), 3000, seed=5)
    summary = campaign.run(client.get_executor())
    assert campaign.to_arrow().equals(serial.to_arrow())
    assert summary == serial.summary()  # with what is minimised


def test_files_are_sent_once_to_each_worker(client: Any, tmp_path: Path) -> None:
    file = os.urandom(1 << 20)
    job = Arithmetic(file=digest_of(file))
    campaign = Campaign.create(tmp_path / "c", job, 600, seed=5, files=[file])
    sent = []
    scatter = client.scatter
    client.scatter = lambda *args, **options: (
        sent.append(options["workers"]) or scatter(*args, **options)
    )
    try:
        campaign.run(client, send_files=True)
    finally:
        client.scatter = scatter
    assert sorted(map(tuple, sent)) == sorted(
        (address,) for address in client.scheduler_info()["workers"]
    )
    assert campaign.summary().counts.total() == 600


def test_a_worker_that_is_killed_is_replaced(client: Any, tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Arithmetic(0.002), 1500, seed=5)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if not killed and progress.done > 100:
            pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    summary = campaign.run(client, on_progress=kill)
    assert killed
    assert summary.counts["worker died"] == 0
    whole = Campaign.create(tmp_path / "d", Arithmetic(), 1500, seed=5)
    whole.run(workers=0)
    assert campaign.to_arrow().equals(whole.to_arrow())


def test_a_case_that_kills_its_worker_is_found(client: Any, tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Deadly([5], [], str(tmp_path)), 8)
    # So that it does not take a worker four times for each attempt.
    client.run_on_scheduler(_allow_one_failure)
    summary = campaign.run(client)
    assert summary.counts == {"ok": 7, "worker died": 1}
    assert [failure.case for failure in summary.failures] == [5]


def _allow_one_failure(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = 0


def test_a_cluster_that_vanishes(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Arithmetic(0.002), 3000, seed=5)
    cluster = cluster_of(1, tmp_path)
    client = distributed.Client(cluster, set_as_default=False)
    closing: list[threading.Thread] = []

    def close(progress: Progress) -> None:
        if not closing and progress.done > 50:
            closing.append(threading.Thread(target=cluster.close))
            closing[0].start()

    started = time.monotonic()
    with client, pytest.raises(ExecutorLost, match="can be resumed"):
        campaign.run(client, on_progress=close)
    assert time.monotonic() - started < 60
    closing[0].join()
    done = campaign.summary().done
    assert 50 < done < 3000
    assert campaign.run(workers=2).complete


def test_a_client_that_is_closed(tmp_path: Path) -> None:
    campaign = Campaign.create(tmp_path / "c", Arithmetic(), 10)
    with cluster_of(1, tmp_path, processes=False) as cluster:
        client = distributed.Client(cluster, set_as_default=False)
        client.close()
        with pytest.raises(CampaignError, match="executor runs nothing any more"):
            campaign.run(client)
