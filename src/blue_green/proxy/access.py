"""The access line: one for each request, in a form that a person and a program can read."""

import json
from datetime import UTC, datetime

from blue_green.proxy.client import Client
from blue_green.proxy.errors import ErrorAnswer
from blue_green.proxy.exchange import Exchange

GONE = 499
"""The status of a request whose client did not wait for an answer, as nginx has it."""


def line(
    client: Client, exchange: Exchange | None, error: ErrorAnswer | None, seconds: float, form: str
) -> str:
    """What became of a request, in `logfmt` or as `json`. Without an exchange it was no request."""
    error = error or client.late
    status = (exchange and exchange.status) or (error.status if error else GONE)
    fields: dict[str, object] = {"status": status, "seconds": round(seconds, 4)}
    if exchange is not None:
        fields["method"] = exchange.request.method.decode()
        fields["path"] = exchange.request.target.decode("latin-1")
        fields["bytes"] = exchange.sent
        fields["held"] = round(exchange.held, 4)
        fields["id"] = exchange.request_id.decode()
        if exchange.lease is not None:
            fields["slot"] = exchange.lease.target.slot
            fields["revision"] = exchange.lease.target.revision[:7]
    fields["client"] = client.address or "unix"
    if form == "json":
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return json.dumps({"request": fields, "at": at})
    return "request " + " ".join([f"{name}={_quoted(value)}" for name, value in fields.items()])


def _quoted(value: object) -> object:
    """Quoted where a program would otherwise read something else."""
    if isinstance(value, str) and ('"' in value or "=" in value or "\\" in value):
        return json.dumps(value)
    return value
