"""The access line: one for each request, in a form that a person and a program can read."""

import json
from datetime import UTC, datetime

from blue_green.proxy.client import Client
from blue_green.proxy.errors import ErrorAnswer
from blue_green.proxy.exchange import Exchange

GONE = 499
"""The status of a request whose client did not wait for an answer, as nginx has it."""


def status_of(client: Client, exchange: Exchange | None, error: ErrorAnswer | None) -> int:
    """What the client was answered, or `GONE`."""
    if exchange is not None and exchange.status:
        return exchange.status
    error = error or client.overdue
    return error.status if error else GONE


def line(client: Client, exchange: Exchange | None, status: int, seconds: float, form: str) -> str:
    """What became of a request, in `logfmt` or as `json`. Without an exchange it was no request."""
    write = _json if form == "json" else _logfmt
    return write(client.address or "unix", exchange, status, seconds)


def _logfmt(client: str, exchange: Exchange | None, status: int, seconds: float) -> str:
    """Written out, since putting it together from its fields costs thrice as much."""
    if exchange is None:
        return f"request status={status} seconds={seconds:.4f} client={client}"
    request, lease = exchange.request, exchange.lease
    target = lease and lease.target
    where = f" slot={target.slot} revision={target.revision[:7]}" if target else ""
    return (
        f"request status={status} seconds={seconds:.4f} method={request.method.decode()}"
        f" path={_quoted(request.target.decode())} bytes={exchange.sent}"
        f" held={exchange.held:.4f} id={_quoted(exchange.request_id.decode())}{where}"
        f" client={client}"
    )


def _json(client: str, exchange: Exchange | None, status: int, seconds: float) -> str:
    fields: dict[str, object] = {"status": status, "seconds": round(seconds, 4)}
    if exchange is not None:
        fields["method"] = exchange.request.method.decode()
        fields["path"] = exchange.request.target.decode()
        fields["bytes"] = exchange.sent
        fields["held"] = round(exchange.held, 4)
        fields["id"] = exchange.request_id.decode()
        if exchange.lease is not None:
            fields["slot"] = exchange.lease.target.slot
            fields["revision"] = exchange.lease.target.revision[:7]
    fields["client"] = client
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"request": fields, "at": at})


def _quoted(value: str) -> str:
    """Quoted where a program would otherwise read something else."""
    if '"' in value or "\\" in value:
        return json.dumps(value)
    return f'"{value}"' if "=" in value else value
