"""The access line: one for each request, in a form that a person and a program can read."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from blue_green.http.errors import ErrorAnswer, Pages
from blue_green.proxy.client import Client
from blue_green.proxy.exchange import Exchange
from blue_green.routing.lease import Outcome

GONE = 499
"""The status of a request whose client did not wait for an answer, as nginx has it."""

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^\r\n]*)")
LONGEST_PATH = 200
"""Characters of the path of a request that was refused."""
LONGEST_WHY = 300
TO_BE_QUOTED = re.compile(r"[^!#-<>-\[\]-~]")
"""What is not visible ASCII, and what means something in logfmt: `"`, `=`, and the backslash."""


@frozen
class End:
    """How a request ended that was refused, failed or cut: not with all of a backend's answer."""

    status: int
    why: str
    """Empty where it is no fault, as for a redirect."""
    sent: int
    """Bytes of the body of what the client got."""
    is_cut: bool = False
    """The answer broke off: its head promised more."""


def end_of(
    client: Client,
    exchange: Exchange | None,
    error: ErrorAnswer | None,
    broken: str,
    pages: Pages,
) -> End:
    """How it ended. Without an exchange it was refused; `broken` says what broke off, if known."""
    error = error or client.overdue
    why = error.in_full if error else broken or _silent_end(client)
    if exchange is not None and exchange.status:
        return End(exchange.status, why, max(exchange.sent - client.unsent, 0), is_cut=True)
    if error is None:
        return End(GONE, why, 0)
    page = error.page(pages, html=client.wants_html, head_only=client.wants_head_only)
    return End(error.status, why if error.status >= 400 else "", len(page))


def _silent_end(client: Client) -> str:
    """Why a connection was ended without an answer that says so."""
    if client.gone:
        return "The client hung up."
    if client.gave_way:
        return "The client was slow, and all connections were taken."
    if client.outcome is Outcome.CUT:
        return "The backend had to stop."
    if client.is_ended:
        return "The client sent nothing, or took nothing, for too long."
    return "The proxy stopped."


def line(client: Client, exchange: Exchange, seconds: float, form: str) -> str:
    """A request that a backend answered, in `logfmt` or as `json`."""
    if form == "json":
        return _in_json(_answered(client, exchange, exchange.status, seconds, exchange.sent))
    # Written out, since putting it together from its fields costs thrice as much.
    request, lease = exchange.request, exchange.lease
    target = lease and lease.target
    where = f" slot={target.slot} revision={target.revision[:7]}" if target else ""
    return (
        f"request status={exchange.status} seconds={seconds:.4f} method={request.method.decode()}"
        f" path={_quoted(request.target.decode())} bytes={exchange.sent}"
        f" held={exchange.held:.4f} id={_quoted(exchange.request_id.decode())}{where}"
        f" client={client.address or 'unix'}"
    )


def line_of_end(
    client: Client, exchange: Exchange | None, end: End, seconds: float, form: str
) -> str:
    """A request that ended in another way."""
    if exchange is None:
        fields = _refused(client, end.status, seconds, end.sent)
    else:
        fields = _answered(client, exchange, end.status, seconds, end.sent)
    if end.is_cut:
        fields["cut"] = True
    if end.why:
        fields["why"] = _printable(end.why, LONGEST_WHY)
    return _in_json(fields) if form == "json" else _in_logfmt(fields)


def _answered(
    client: Client, exchange: Exchange, status: int, seconds: float, sent: int
) -> dict[str, Any]:
    fields = {
        "status": status,
        "seconds": round(seconds, 4),
        "method": exchange.request.method.decode(),
        "path": exchange.request.target.decode(),
        "bytes": sent,
        "held": round(exchange.held, 4),
        "id": exchange.request_id.decode(),
    }
    if exchange.lease is not None:
        fields["slot"] = exchange.lease.target.slot
        fields["revision"] = exchange.lease.target.revision[:7]
    fields["client"] = client.address or "unix"
    return fields


def _refused(client: Client, status: int, seconds: float, sent: int) -> dict[str, Any]:
    """With method and path as far as the head, or what has come of it, seems to have them."""
    fields: dict[str, Any] = {"status": status, "seconds": round(seconds, 4)}
    if asked := REQUEST_LINE.match(client.head.lstrip(b"\r\n")):
        path = asked[2].rpartition(b" HTTP/")[0] or asked[2]
        fields["method"] = asked[1].decode()
        fields["path"] = _printable(path[: LONGEST_PATH + 1].decode("latin-1"), LONGEST_PATH)
    return {**fields, "bytes": sent, "client": client.address or "unix"}


def _printable(text: str, most: int) -> str:
    """Without what a terminal might take for a command, and not too long."""
    if len(text) > most:
        text = f"{text[: most - 3]}..."
    return "".join(char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in text)


def _in_json(fields: Mapping[str, Any]) -> str:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"request": fields, "at": at})


def _in_logfmt(fields: Mapping[str, Any]) -> str:
    return "request " + " ".join(f"{name}={_word(value)}" for name, value in fields.items())


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4f}" if isinstance(value, float) else _quoted(str(value))


def _quoted(value: str) -> str:
    """Quoted where a program would otherwise read something else."""
    return json.dumps(value) if TO_BE_QUOTED.search(value) else value
