"""GET /webhook-secret: what the owner of a key verifies its webhook messages with."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.dialect import Services
from api.dialects.native.authentication import read_request
from api.dialects.native.capabilities_models import WebhookSecret
from api.errors import NoWebhookSecret
from api.operations import KEYS, ApiResponse, Operation


def webhook_secret_routes(services: Services) -> Blueprint:
    """The route that returns a key's own secrets. It needs the key, in a header."""
    routes = Blueprint("webhook-secret", __name__)
    secrets = services.settings.webhook_secrets

    @routes.get("/webhook-secret")
    @Operation(
        responses={200: ApiResponse(description="the key's secrets", body=WebhookSecret)},
        errors=(400, 401, 404, 408, 413, 415, 429, 503),
        keys=KEYS,
    )
    def webhook_secret() -> ResponseReturnValue:
        """The secrets that sign the webhook messages of this API key only.

        404 if the service has no WEBHOOK_MASTER_SECRET.
        """
        caller, _ = read_request(services, request)
        own = secrets.own(caller.submitter)
        if not own:
            raise NoWebhookSecret(
                "API keys have no webhook secrets of their own: WEBHOOK_MASTER_SECRET is not set"
            )
        return WebhookSecret(secrets=list(own)).model_dump(), {"Cache-Control": "no-store"}

    return routes
