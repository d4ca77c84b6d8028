"""Health probes of a backend, and the warm-up of a candidate.

The warm-up requests paths that are slow the first time, before any visitor does.
"""

import errno
import logging
from collections.abc import Awaitable, Callable
from enum import Enum

import trio
from attrs import frozen

from blue_green.config.site_settings import HealthSettings
from blue_green.http.heads import Framing, lines_of
from blue_green.http.request import Request, write_request
from blue_green.http.response import Response
from blue_green.http.response_reader import ResponseReader, UpstreamError
from blue_green.http.transport import Transport, dial
from blue_green.proxy.relay import BadBody, body_of
from blue_green.routing.lease import Target
from blue_green.site.probe_log_filter import USER_AGENT, Probe, ProbeLogFilter
from blue_green.source.failure import StepFailed

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.01
"""Seconds between the first probes of a candidate that does not listen yet."""
LONGEST_PAUSE = 0.25
PAUSE_DIVISOR = 600.0
"""A pause is the square of a candidate's age divided by so many seconds: a refused connection costs
little, but a slow start has many. A candidate that listens within 2 s is found within 10 ms, and
any other within a fiftieth of its start time."""
UNHEALTHY_PAUSE = 0.1
"""Seconds between probes of a candidate that listens but is not healthy."""

REDIRECTS = (301, 302, 303, 307, 308)
HOST_REFUSED = (400, 403, 421)
"""Statuses with which apps refuse a Host header: Django and others 400, Rails 403."""
LONGEST_LOCATION = 200
"""Characters of a redirect's target that messages show."""
OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
"""Errors that are caused by us, not by the backend."""


class Symptom(Enum):
    """How a probe failed."""

    REFUSED = "refused"
    """No program listens on the address."""
    SILENT = "silent"
    """No connection or no response in time."""
    WRONG = "wrong"
    """A response, but not that of a healthy backend."""


class NotListening(StepFailed):
    """No program listened on the candidate's address until the end."""


@frozen
class ProbeFailed:
    """The failure of a probe."""

    why: str
    symptom: Symptom = Symptom.WRONG
    status: int = 0
    """Of the response, if there was one."""
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.why}: {self.advice}" if self.advice else self.why


async def probe(
    target: Target, settings: HealthSettings, lines: ProbeLogFilter | None = None
) -> ProbeFailed | None:
    """Probe once, for at most `timeout` seconds; the failure, or None if the backend is healthy.

    `lines` learns of the probe, to filter the line that the app logs about it.
    """
    asked = f"GET {settings.path}"
    where = target.address.short
    missing = f"no connection to {where}"
    expected: Probe | None = None
    try:
        with trio.fail_after(settings.timeout):
            transport = await dial(target.address, target.owner)
            missing = f"no answer to {asked}"
            try:
                if lines is not None:
                    expected = Probe(settings.path, _port_of(transport), settings.status)
                    lines.expect(expected)
                response = await _ask(transport, target, settings.path, settings)
            finally:
                transport.close()
    except trio.TooSlowError:
        failed = ProbeFailed(f"{missing} within {settings.timeout:g} s", Symptom.SILENT)
    except (ConnectionRefusedError, FileNotFoundError):
        failed = ProbeFailed(f"nothing listens on {where}", Symptom.REFUSED)
    except OSError as error:
        if error.errno in OURS:
            return None
        failed = ProbeFailed(f"{asked} failed: {error.strerror}")
    except UpstreamError as error:
        failed = ProbeFailed(f"{asked} failed: {error}")
    else:
        status = response.status
        if status in settings.status if settings.status else 200 <= status < 300:
            return None
        failed = _wrong_status(response, settings)
    if lines is not None and expected is not None:
        lines.failed(expected)
    return failed


async def any_program() -> str:
    """Accept a port that any program may have opened."""
    return ""


async def until_healthy(
    target: Target,
    settings: HealthSettings,
    check_port: Callable[[], Awaitable[str]] = any_program,
    lines: ProbeLogFilter | None = None,
) -> None:
    """Wait until `rise` probes in a row have succeeded; raise `StepFailed` if it takes too long.

    `check_port` returns why responses from the port do not count, or raises `StepFailed`.
    """
    last: ProbeFailed | None = ProbeFailed(f"GET {settings.path} was not answered")
    good, began = 0, trio.current_time()
    with trio.move_on_after(settings.start_timeout):
        while True:
            last, pause = await probe(target, settings, lines), UNHEALTHY_PAUSE
            if last is not None and last.symptom is Symptom.REFUSED:
                pause = pause_at(trio.current_time() - began)
            elif doubt := await check_port():
                last = ProbeFailed(doubt)
            good = good + 1 if last is None else 0
            if good >= settings.rise:
                return
            await trio.sleep(pause)
    why = str(last) if last else f"fewer than {settings.rise} good probes in a row"
    is_closed = last is not None and last.symptom is Symptom.REFUSED
    failure = NotListening if is_closed else StepFailed
    raise failure(f"not healthy within {settings.start_timeout:g} s: {why}")


async def warm_up(target: Target, settings: HealthSettings) -> None:
    """Fetch each of the `warmup` paths completely, in order; raise `StepFailed` if one fails.

    A status below 500 is good: behind a login, a working app answers 401. A status of 400 or more
    is logged, since the path may be misspelt. A redirect fails, since the page itself was not
    requested.
    """
    path = ""
    try:
        with trio.fail_after(settings.start_timeout):
            for path in settings.warmup:
                response = await _fetch(target, path, settings)
                status = response.status
                if status >= 500:
                    raise StepFailed(f"warmup: GET {path} was answered {status}")
                redirect, advice = _redirect(response, settings)
                if redirect:
                    why = f"warmup: GET {path} was answered {status}{redirect}, so it is not warm"
                    raise StepFailed(f"{why}: {advice or 'set the path that it leads to'}")
                if status >= 400:
                    logger.warning("warmup: GET %s was answered %d", path, status)
    except trio.TooSlowError:
        took = f"took more than {settings.start_timeout:g} s"
        raise StepFailed(f"warmup {took}: GET {path} was not answered") from None
    except OSError as error:
        raise StepFailed(f"warmup: GET {path} failed: {error.strerror}") from None
    except (UpstreamError, BadBody) as error:
        raise StepFailed(f"warmup: GET {path} failed: {error}") from None


def pause_at(age: float) -> float:
    """Seconds until the next probe of a candidate that has been starting for `age` seconds."""
    return min(max(FIRST_PAUSE, age * age / PAUSE_DIVISOR), LONGEST_PAUSE)


async def _fetch(target: Target, path: str, settings: HealthSettings) -> Response:
    """The head of a response, after its body has been read and discarded."""
    transport = await dial(target.address, target.owner)
    try:
        response = await _ask(transport, target, path, settings)
        body = body_of(transport, response.framing, response.length)
        while await body.read():
            pass
    finally:
        transport.close()
    return response


async def _ask(
    transport: Transport, target: Target, path: str, settings: HealthSettings
) -> Response:
    """Send a GET; the head of the final response, whose body is still to come."""
    host = settings.host.encode() if settings.host else target.default_host
    request = _request(path, host)
    scheme = b"X-Forwarded-Proto: https\r\n" if settings.https else b""
    await transport.send(write_request(request, request.host or b"", scheme))
    reader = ResponseReader(transport)
    while (response := await reader.read(request)).status < 200:
        pass
    return response


def _port_of(transport: Transport) -> int:
    """Our port; 0 on a Unix socket."""
    name = transport.sock.getsockname()
    port: int = name[1] if isinstance(name, tuple) else 0
    return port


def _request(path: str, host: bytes) -> Request:
    fields = [(b"Host", host), (b"User-Agent", USER_AGENT.encode())]
    fields += [(b"Accept", b"*/*"), (b"Connection", b"close")]
    return Request(
        b"GET", path.encode(), b"1.1", host, lines_of(fields), {}, Framing.NONE, keep_alive=False
    )


def _wrong_status(response: Response, settings: HealthSettings) -> ProbeFailed:
    redirect, advice = _redirect(response, settings)
    advice = advice or _advice_on_host(response.status, settings)
    why = f"GET {settings.path} was answered {response.status}{redirect}"
    return ProbeFailed(why, status=response.status, advice=advice)


def _redirect(response: Response, settings: HealthSettings) -> tuple[str, str]:
    """The target of a redirect and what to do if that is https, both in words; or "" twice."""
    locations = [value for name, value in response.fields if name == b"location"]
    if response.status not in REDIRECTS or not locations:
        return "", ""
    location = locations[0].decode("ascii", "backslashreplace")[:LONGEST_LOCATION]
    advice = ""
    if location.lower().startswith("https:"):
        advice = "set https = true in [health]"
        if settings.https:
            advice = "the app must trust X-Forwarded-Proto, which was https"
    return f", a redirect to {location}", advice


def _advice_on_host(status: int, settings: HealthSettings) -> str:
    """What to do if the app refuses the Host header of the probe, as this status suggests."""
    if status not in HOST_REFUSED:
        return ""
    if settings.host is None:
        return "if the app accepts only the hosts of the site, set host in [health]"
    return f"if the app does not accept the host {settings.host}, let it do so"
