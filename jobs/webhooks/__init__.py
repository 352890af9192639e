"""Webhook messages: where they may go, how they are signed, which wait."""
