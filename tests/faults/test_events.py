"""A stream of events while Redis is away."""

import pytest

from jobs.status import Failure, Progress
from tests.api.streams import events
from tests.faults.api import client_of, running_api
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench

pytestmark = pytest.mark.service


@pytest.mark.parametrize("how", ["hangs", "is shut down"])
def test_a_stream_outlives_a_redis_that_is_away_and_goes_on_when_it_is_back(
    bench: Bench, valkey: Valkey, how: str
) -> None:
    away, back = (valkey.freeze, valkey.thaw) if how == "hangs" else (valkey.stop, valkey.start)
    job_id = bench.submit()
    claim = bench.claims.claim("standard", "by hand")
    assert claim
    with running_api(bench, valkey.url) as api, client_of(api) as client:
        with events(client, job_id) as stream:
            assert next(stream).name == "loading"
            away()
            for _ in range(4):
                stream.heartbeat()
            assert client.get(f"/events/{job_id}").status_code == 503
            back()
            bench.claims.report(claim, Progress(step=1, steps=2, fraction=0.5))
            assert next(stream).name == "step"
            bench.claims.fail(claim, Failure(code="x", message="x"))
            assert [event.name for event in stream] == ["failed"]
        assert "Traceback" not in api.said
        assert api.said.count("polling jobs failed; retrying") == 1
