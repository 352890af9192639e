"""The media type and the headers of Server-Sent Events."""

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # else nginx collects events until its buffer is full
}
