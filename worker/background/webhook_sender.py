"""Delivers webhook messages with retries, in a thread of its own.

The request goes to the IP address that was checked, with the URL's host name for `Host` and TLS.
Redirects are not followed, and the body of the response is not read.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import certifi
import httpx
import structlog

from jobs.errors import RecordsUnavailable, WebhookRefused
from jobs.webhooks.deliveries import Deliveries, Delivery
from jobs.webhooks.rules import WebhookRules
from jobs.webhooks.signature import WebhookSecrets, signed_headers
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

_CONCURRENT = 64
"""Attempts at once; `jobs.webhooks.deliveries` limits those of one receiver."""
_GONE = 410
"""The receiver wants no further attempts (Standard Webhooks)."""


class WebhookSender(PeriodicThread):
    """Delivers the messages that are due.

    Args:
        deliveries: the messages.
        rules: which URLs may be called.
        secrets: sign the messages, those of each submitter with its own.
        retry_seconds: the pause before each retry; after the last retry the message is dropped.
        timeout_seconds: of one attempt, in all.
        seconds: the interval between two searches for due messages.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        rules: WebhookRules,
        secrets: WebhookSecrets,
        *,
        retry_seconds: Sequence[float],
        timeout_seconds: float,
        seconds: float = 1.0,
    ) -> None:
        super().__init__("webhooks", seconds)
        self._deliveries = deliveries
        self._rules = rules
        self._secrets = secrets
        self._retry_seconds = retry_seconds
        self._timeout = timeout_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls = ssl.create_default_context()
        self._tls.load_verify_locations(certifi.where())

    def tick(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._deliver_due())

    def stop(self) -> None:
        """Stop at once: unfinished deliveries return to Redis, for another worker."""
        self._stopped.set()
        with suppress(RuntimeError):  # the loop has just ended
            if self._loop:
                self._loop.call_soon_threadsafe(self._cancel)
        super().stop()

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _deliver_due(self) -> None:
        """Deliver until nothing is due and no attempt runs; a slow one holds up no other."""
        self._loop = asyncio.get_running_loop()
        # for `_post`, in which a name may take seconds to be resolved
        self._loop.set_default_executor(ThreadPoolExecutor(_CONCURRENT, "webhook-address"))
        running: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        try:
            async with httpx.AsyncClient(
                verify=self._tls, trust_env=False, limits=limits
            ) as client:
                while not self._stopped.is_set():
                    while len(running) < _CONCURRENT and (due := self._deliveries.take()):
                        running.add(asyncio.create_task(self._deliver(client, due)))
                    if not running:
                        break
                    ended, running = await asyncio.wait(
                        running, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED
                    )
                    for attempt in ended:
                        attempt.result()  # raises RecordsUnavailable
        finally:
            self._loop = None

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            code = await self._post(client, delivery)
        except asyncio.CancelledError:
            with suppress(RecordsUnavailable):  # then another sender has it after its lease
                self._deliveries.later(delivery, 0)
            raise
        except (WebhookRefused, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            self._not_delivered(delivery, str(error) or type(error).__name__)
        else:
            if 200 <= code < 300:
                self._deliveries.done(delivery)
                log.info("webhook delivered", message=delivery.message_id, tries=delivery.tries)
            elif code == _GONE:
                self._deliveries.done(delivery)
                log.warning("webhook receiver is gone", message=delivery.message_id)
            else:
                self._not_delivered(delivery, f"the receiver answered {code}")

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery) -> int:
        # checked again, because the name may resolve to another address since the job was submitted
        address, *_ = await asyncio.to_thread(self._rules.check, delivery.url)
        url = httpx.URL(delivery.url)
        secrets = self._secrets.of(delivery.submitter)
        signed = signed_headers(secrets, delivery.message_id, int(time.time()), delivery.body)
        request = client.build_request(
            "POST",
            url.copy_with(host=address),
            content=delivery.body,
            headers={"Host": url.netloc.decode(), "Content-Type": "application/json", **signed},
            extensions={
                "sni_hostname": url.host,
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout),
            },
        )
        async with asyncio.timeout(self._timeout):
            response = await client.send(request, stream=True, follow_redirects=False)
            await response.aclose()
        return response.status_code

    def _not_delivered(self, delivery: Delivery, reason: str) -> None:
        logger = log.bind(message=delivery.message_id, tries=delivery.tries, reason=reason)
        if delivery.tries > len(self._retry_seconds):
            self._deliveries.done(delivery)
            logger.error("webhook dropped after the last retry")
            return
        wait = self._retry_seconds[delivery.tries - 1]
        self._deliveries.later(delivery, wait)
        logger.warning("webhook not delivered", retry_in=wait)
