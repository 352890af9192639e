"""Everything at once: `make storm N=1000 SEED=7` is the long one."""

from pathlib import Path

import pytest

from tests.faults.storm import Storm, Weather

pytestmark = pytest.mark.service


@pytest.mark.parametrize(
    "weather",
    [
        Weather(jobs=25, seed=1, workers=2, faults=6, every=2),
        pytest.param(Weather(), marks=pytest.mark.slow),
    ],
    ids=lambda weather: f"{weather.jobs} jobs",
)
def test_after_a_storm_every_job_has_ended_once(weather: Weather, tmp_path: Path) -> None:
    outcome = Storm(weather, tmp_path).run()

    assert outcome.submitted == weather.jobs
    assert sum(outcome.faults.values()) == weather.faults
    assert outcome.faults["kill a worker"] >= 3
    assert sum(outcome.by_state.values()) + outcome.forgotten == weather.jobs
    assert outcome.by_state.keys() <= {"SUCCESS", "FAILURE"}
    assert outcome.harm == 0, outcome
