"""The service on a GPU: what passes between two queued jobs, beside the work of the networks."""

import statistics
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.client import Client, encode
from benchmarks.fixtures import running_service, running_valkey, until
from benchmarks.gpu_subject import Subject
from benchmarks.harness import Figure, figure
from jobs.connection import connect
from jobs.records.record import JobRecords

JOBS = 20
BODY = {"prompt": "a red circle", "H": 64, "W": 64, "ddim_steps": 8, "type": "standard"}
WORK = ("encode", "sample", "decode")


def measure(subject: Subject) -> Iterator[Figure]:
    """With the tiny model, whose jobs follow one another closely."""
    gaps: list[float] = []
    with running_valkey(subject.folder) as broker, running_service(subject.folder, broker) as url:
        client = Client(url)
        records = JobRecords(connect(broker), result_ttl_seconds=600)
        for _ in range(1 + subject.rounds):  # the first round loads the model, and records graphs
            ids = [client.generate(encode(BODY)) for _ in range(JOBS)]
            until(lambda last=ids[-1]: records.get(last).state.final, pause=0.01)
            gaps.append(1000 * statistics.median(_gaps(client, records, ids)))
    yield figure("from job to job, beside the networks (aim 5)", gaps[1:], unit="ms")


def _gaps(client: Client, records: JobRecords, ids: list[str]) -> list[float]:
    ends = {job: records.get(job).finished or 0.0 for job in ids}
    in_order = sorted(ids, key=ends.__getitem__)
    timings = {job: client.status(job)["metadata"]["timings"] for job in ids}
    return [
        ends[later] - ends[earlier] - sum(timings[later].get(phase, 0.0) for phase in WORK)
        for earlier, later in pairwise(in_order)
    ]
