"""A worker that cannot store pictures claims no jobs."""

import threading
from pathlib import Path

import pytest
from redis import Redis

from jobs.pictures.store import PictureStore
from jobs.records.claims import Claims
from tests.worker.conftest import until
from worker.background.lease import LeaseKeeper
from worker.background.store_probe import StoreProbe
from worker.background.watchdog import Watchdog

AGES = 1e9
"""Seconds for which a probe is relied upon in a test that must see no second one."""


class CountingStore(PictureStore):
    probes = 0

    def probe(self) -> None:
        self.probes += 1
        super().probe()


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(str(tmp_path / "outputs"))


def in_the_way(tmp_path: Path) -> Path:
    """Put a file where the store's folder of parts must be, so that no picture can be stored."""
    obstacle = tmp_path / "outputs" / ".parts"
    obstacle.parent.mkdir()
    obstacle.touch()
    return obstacle


def test_a_store_that_works_is_probed_once_in_a_while(store: CountingStore) -> None:
    probe = StoreProbe(store, seconds=AGES)
    for _ in range(10):
        probe.wait(lambda: False)
    assert store.probes == 1
    probe.suspect()
    assert probe.usable()
    assert store.probes == 2


def test_who_waits_goes_on_when_the_store_works_again(store: CountingStore, tmp_path: Path) -> None:
    obstacle = in_the_way(tmp_path)
    probe = StoreProbe(store, seconds=0.05)
    waiting = threading.Thread(target=probe.wait, args=[lambda: False], daemon=True)
    waiting.start()
    until(lambda: store.probes > 2)
    assert probe.problem
    assert waiting.is_alive()
    obstacle.unlink()
    waiting.join(120)
    assert not waiting.is_alive()
    assert probe.problem == ""


def test_a_worker_that_leaves_does_not_wait(store: CountingStore, tmp_path: Path) -> None:
    in_the_way(tmp_path)
    probe = StoreProbe(store, seconds=AGES)
    leaving = threading.Event()
    waiting = threading.Thread(target=probe.wait, args=[leaving.is_set], daemon=True)
    waiting.start()
    until(lambda: probe.problem)
    leaving.set()
    waiting.join(120)
    assert not waiting.is_alive()


def test_without_any_message_the_worker_notices_that_the_store_works_again(
    store: CountingStore, tmp_path: Path
) -> None:
    obstacle = in_the_way(tmp_path)
    probe = StoreProbe(store, seconds=0.05)
    assert not probe.usable()
    probe.start()
    obstacle.unlink()
    until(lambda: probe.problem == "")
    probe.stop()


class HangingStore(PictureStore):
    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.answers = threading.Event()

    def probe(self) -> None:
        self.answers.wait()


def test_a_probe_that_hangs_is_told_and_ends_the_worker(tmp_path: Path) -> None:
    store = HangingStore(str(tmp_path))
    probe = StoreProbe(store, seconds=AGES, slow_seconds=0.05)
    hung = threading.Event()
    claims = Claims(Redis(), lease_seconds=9, max_attempts=3, result_ttl_seconds=60)
    watchdog = Watchdog(
        LeaseKeeper(claims, renew_seconds=AGES),
        others={"the probe": lambda: probe.probing},
        on_hang=hung.set,
        progress_seconds=0.1,
        deadline_seconds=AGES,
    )
    watchdog.tick()
    assert not hung.is_set()
    waiting = threading.Thread(target=probe.usable, daemon=True)
    waiting.start()
    until(lambda: "has not answered" in probe.problem)
    watchdog.start()
    assert hung.wait(120)
    watchdog.stop()
    store.answers.set()
    waiting.join(120)
    assert probe.problem == ""
    assert probe.probing is None
