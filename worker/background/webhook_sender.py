"""Delivers webhook messages, off the threads that draw, with back-off, until they are taken.

What is called is the address that was checked, under the name that was given, and nothing that its
answer may point to. The answer's body is not read.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress

import certifi
import httpx
import structlog

from jobs.deliveries import Deliveries, Delivery
from jobs.errors import WebhookRefused
from jobs.webhook_rules import WebhookRules
from jobs.webhook_signature import signed_headers
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

_AT_ONCE = 16
_NO_MORE = 410
"""A receiver that answers so does not want to hear of it again (Standard Webhooks)."""


class WebhookSender(PeriodicThread):
    """Delivers what is due.

    Args:
        deliveries: the messages.
        rules: which URLs may be called.
        secrets: what the messages are signed with.
        retry_seconds: how long to wait before each further attempt; after the last, it is given up.
        timeout_seconds: how long an attempt may take, from the first byte to the last.
        seconds: how often to look for messages.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        rules: WebhookRules,
        secrets: Sequence[str],
        *,
        retry_seconds: Sequence[float],
        timeout_seconds: float,
        seconds: float = 1.0,
    ) -> None:
        super().__init__("courier", seconds)
        self._deliveries = deliveries
        self._rules = rules
        self._secrets = secrets
        self._retry_seconds = retry_seconds
        self._timeout = timeout_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls = ssl.create_default_context()
        self._tls.load_verify_locations(certifi.where())

    def tick(self) -> None:
        while not self._stopped.is_set() and (some := self._due()):
            with suppress(asyncio.CancelledError):
                asyncio.run(self._deliver_all(some))

    def stop(self) -> None:
        """Stop at once: what is under way goes back, and is delivered by another worker."""
        self._stopped.set()
        with suppress(RuntimeError):  # it has just ended by itself
            if self._loop:
                self._loop.call_soon_threadsafe(self._cancel)
        super().stop()

    def _due(self) -> list[Delivery]:
        found: list[Delivery] = []
        while len(found) < _AT_ONCE and (delivery := self._deliveries.take()):
            found.append(delivery)
        return found

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _deliver_all(self, some: Sequence[Delivery]) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with httpx.AsyncClient(verify=self._tls, trust_env=False) as client:
                await asyncio.gather(*(self._deliver(client, delivery) for delivery in some))
        finally:
            self._loop = None

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            code = await self._post(client, delivery)
        except asyncio.CancelledError:
            self._deliveries.later(delivery, 0)
            raise
        except (WebhookRefused, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            self._not_delivered(delivery, str(error) or type(error).__name__)
        else:
            if 200 <= code < 300:
                self._deliveries.done(delivery)
                log.info("webhook delivered", message=delivery.message_id, tries=delivery.tries)
            elif code == _NO_MORE:
                self._deliveries.done(delivery)
                log.warning("webhook not wanted any more", message=delivery.message_id)
            else:
                self._not_delivered(delivery, f"the receiver answered {code}")

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery) -> int:
        # checked again: what was public when the job came may not be any more
        address, *_ = await asyncio.to_thread(self._rules.check, delivery.url)
        url = httpx.URL(delivery.url)
        signed = signed_headers(self._secrets, delivery.message_id, int(time.time()), delivery.body)
        request = client.build_request(
            "POST",
            url.copy_with(host=address),
            content=delivery.body,
            headers={"Host": url.netloc.decode(), "Content-Type": "application/json", **signed},
            extensions={"sni_hostname": url.host, **_patience(self._timeout)},
        )
        async with asyncio.timeout(self._timeout):
            answer = await client.send(request, stream=True, follow_redirects=False)
            await answer.aclose()
        return answer.status_code

    def _not_delivered(self, delivery: Delivery, reason: str) -> None:
        told = log.bind(message=delivery.message_id, tries=delivery.tries, reason=reason)
        if delivery.tries > len(self._retry_seconds):
            self._deliveries.done(delivery)
            told.error("webhook given up")
            return
        wait = self._retry_seconds[delivery.tries - 1]
        self._deliveries.later(delivery, wait)
        told.warning("webhook not delivered", again_in=wait)


def _patience(seconds: float) -> dict[str, dict[str, float]]:
    return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}
