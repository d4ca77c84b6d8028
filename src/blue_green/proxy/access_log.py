"""The access log: one line per request, in a form that people and programs can read."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from blue_green.http.errors import ErrorPages, ErrorResponse
from blue_green.proxy.client import Client
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.end_reason import EndReason
from blue_green.proxy.remote import Remote
from blue_green.proxy.secret_link import without_token
from blue_green.system import log as output

GONE = 499
"""The status of a request whose client did not wait for a response, as in nginx."""

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^\r\n]*)")
LONGEST_PATH = 200
"""Characters of the path of a request that was refused."""
LONGEST_WHY = 300
TO_BE_QUOTED = re.compile(r"[^!#-<>-\[\]-~]")
"""Not visible ASCII, or special in logfmt: `"`, `=`, and the backslash."""


@frozen
class End:
    """How a request ended that was refused, failed or cut: no handler sent a whole response."""

    status: int
    why: str
    """Empty where it is no fault, as for a redirect."""
    sent: int
    """Bytes of the body that the client got."""
    is_cut: bool = False
    """The response broke off: its head promised more."""


def end_of(
    client: Client,
    stream: ClientStream | None,
    error: ErrorResponse | None,
    broken: str,
    pages: ErrorPages,
) -> End:
    """How it ended. Without a stream it was refused; `broken` says what broke off, if known."""
    error = error or client.final_error
    why = error.in_full if error else broken or (client.ended_by or EndReason.SHUTDOWN).value
    if stream is not None and stream.status:
        return End(stream.status, why, max(stream.sent - stream.unsent, 0), is_cut=True)
    if error is None:
        return End(400 if client.ended_by is EndReason.MALFORMED else GONE, why, 0)
    _, body = error.render(pages, html=client.wants_html)
    length = 0 if client.wants_head_only else len(body)
    return End(error.status, why if error.status >= 400 else "", length)


def log(stream: ClientStream, seconds: float, form: str) -> None:
    """Log a request that got a whole response, in `logfmt` or as `json`."""
    if form == "json":
        output.request(_in_json(_answered(stream, stream.status, seconds, stream.sent)), bare=True)
        return
    # Written out, since joining it from its fields costs three times as much.
    request, target = stream.request, stream.target
    where = f" slot={target.slot} revision={target.revision[:7]}" if target else ""
    if stream.file_revision:
        where = f" file_of={stream.file_revision[:7]}"
    if (site := stream.client.site) and site.name:
        where = f" site={site.name}{where}"
    remote = stream.client.remote
    http = " http=2" if remote.speaks_http2 else ""
    output.request(
        f"request status={stream.status} seconds={seconds:.4f} method={request.method.decode()}"
        f" path={_quoted(_path(request.target))} bytes={stream.sent}"
        f" held={stream.held:.4f} id={_quoted(stream.request_id.decode())}{where}"
        f" client={remote.address or 'unix'}{http}",
        bare=False,
    )


def log_end(
    client: Client, stream: ClientStream | None, end: End, seconds: float, form: str
) -> None:
    """Log a request that ended in another way."""
    if stream is None:
        fields = _refused(client, end.status, seconds, end.sent)
    else:
        fields = _answered(stream, end.status, seconds, end.sent)
    if end.is_cut:
        fields["cut"] = True
    if end.why:
        fields["why"] = _printable(end.why, LONGEST_WHY)
    is_json = form == "json"
    output.request(_in_json(fields) if is_json else _in_logfmt(fields), bare=is_json)


def _answered(stream: ClientStream, status: int, seconds: float, sent: int) -> dict[str, Any]:
    fields = {
        "status": status,
        "seconds": round(seconds, 4),
        "method": stream.request.method.decode(),
        "path": _path(stream.request.target),
        "bytes": sent,
        "held": round(stream.held, 4),
        "id": stream.request_id.decode(),
    }
    if (site := stream.client.site) and site.name:
        fields["site"] = site.name
    if stream.file_revision:
        fields["file_of"] = stream.file_revision[:7]
    elif stream.target is not None:
        fields["slot"] = stream.target.slot
        fields["revision"] = stream.target.revision[:7]
    return {**fields, **_of_connection(stream.client.remote)}


def _refused(client: Client, status: int, seconds: float, sent: int) -> dict[str, Any]:
    """The fields of a refused request, with method and path if the received bytes contain them."""
    fields: dict[str, Any] = {"status": status, "seconds": round(seconds, 4)}
    if asked := REQUEST_LINE.match(client.head.lstrip(b"\r\n")):
        path = asked[2].rpartition(b" HTTP/")[0] or asked[2]
        fields["method"] = asked[1].decode()
        path = without_token(path[: LONGEST_PATH + 1].decode("latin-1"))
        fields["path"] = _printable(path, LONGEST_PATH)
    return {**fields, "bytes": sent, **_of_connection(client.remote)}


def _path(target: bytes) -> str:
    path = target.decode()
    return without_token(path) if "-" in path or "%" in path else path


def _of_connection(remote: Remote) -> dict[str, Any]:
    """The fields that are the same for all requests of a connection."""
    fields: dict[str, Any] = {"client": remote.address or "unix"}
    if remote.speaks_http2:
        fields["http"] = 2
    return fields


def _printable(text: str, most: int) -> str:
    """Escape everything but printable ASCII, and truncate to `most` characters."""
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
    """Quoted where a program would otherwise misread it."""
    return json.dumps(value) if TO_BE_QUOTED.search(value) else value
