"""Where a request wants its pictures and messages to go: may they go there?"""

import posixpath
from collections.abc import Iterator

from jobs.errors import Fault, UnsafeName, WebhookRefused
from jobs.pictures.store import PictureStore
from jobs.validation.validation_faults import safe_value
from jobs.webhooks.rules import WebhookRules


def outdir_faults(outdir: str, store: PictureStore) -> Iterator[Fault]:
    """A fault if the folder leaves the output root, through a symbolic link as well."""
    try:
        store.check(posixpath.join(outdir, "picture"))
    except UnsafeName:
        yield Fault(
            field="outdir",
            code="outside_output_root",
            value=outdir,
            problem="leaves the output folder",
            expected="a folder below the output folder",
        )


def webhook_faults(webhook: str | None, rules: WebhookRules) -> Iterator[Fault]:
    """A fault if the webhook's host resolves to an address of the internal network."""
    if webhook is None:
        return
    try:
        rules.check(webhook)
    except WebhookRefused as error:
        yield Fault(
            field="webhook",
            code="webhook_refused",
            value=safe_value("webhook", webhook),
            problem=error.problem,
            expected=error.expected,
        )
