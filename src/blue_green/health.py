"""Ask a backend whether it works: one probe, and what to conclude from several."""

import errno
from collections.abc import Callable

import h11
import trio

from blue_green.failure import StepFailed
from blue_green.settings import Health
from blue_green.wire import Wire, dial

FIRST_PAUSE = 0.01
"""Seconds between the first probes of a candidate that does not listen yet."""
LONGEST_PAUSE = 0.05
SHARE_OF_AGE = 0.02
"""The pauses grow with a candidate's age: each refusal costs little, but slow starters meet many.
So a candidate that has just begun to listen is found after a hundredth of its own time or so."""
WHILE_UNWELL = 0.1
"""Seconds between probes of a candidate that answers, but not well."""
NOTICE = 1.0
"""Seconds in which a new `interval` is noticed, however long the old one is."""

OURS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors that say something of us, and nothing of the backend."""


class NotListening(Exception):
    """Nothing accepts connections there."""


async def probe(host: str, port: int, settings: Health) -> str | None:
    """Ask once. What is wrong, in words; None if it is healthy; raise `NotListening`."""
    try:
        wire = await dial(host, port)
    except ConnectionRefusedError:
        raise NotListening(f"nothing listens on port {port}") from None
    except OSError as error:
        return None if error.errno in OURS else f"cannot connect to port {port}: {error.strerror}"
    try:
        with trio.fail_after(settings.timeout):
            status = await _status(wire, f"{host}:{port}", settings)
    except trio.TooSlowError:
        return f"no answer to GET {settings.path} within {settings.timeout:g} s"
    except OSError as error:
        return f"GET {settings.path} failed: {error.strerror}"
    except h11.RemoteProtocolError as error:
        return f"the answer to GET {settings.path} is not HTTP: {error}"
    finally:
        wire.close()
    good = status in settings.status if settings.status else 200 <= status < 300
    return None if good else f"GET {settings.path} was answered {status}"


async def until_healthy(host: str, port: int, settings: Health) -> None:
    """Wait until `rise` probes in a row were good; raise `StepFailed` when it takes too long."""
    last: str | None = "it was not asked"
    good, began = 0, trio.current_time()
    with trio.move_on_after(settings.start_timeout):
        while True:
            try:
                last = await probe(host, port, settings)
                pause = WHILE_UNWELL
            except NotListening as error:
                last, pause = str(error), pause_at(trio.current_time() - began)
            good = good + 1 if last is None else 0
            if good >= settings.rise:
                return
            await trio.sleep(pause)
    raise StepFailed(f"not healthy within {settings.start_timeout:g} s: {last}")


def pause_at(age: float) -> float:
    """Seconds until a candidate that has been starting for so long is asked again."""
    return min(max(FIRST_PAUSE, age * SHARE_OF_AGE), LONGEST_PAUSE)


async def until_unwell(host: str, port: int, current: Callable[[], Health]) -> str:
    """Ask every `interval`, until `fall` probes in a row were bad; what was wrong with the last.

    `current` gives the settings, which a reload may change.
    """
    bad = 0
    while True:
        settings, began = current(), trio.current_time()
        try:
            wrong = await probe(host, port, settings)
        except NotListening as error:
            wrong = str(error)
        bad = bad + 1 if wrong else 0
        if wrong and bad >= settings.fall:
            return f"{bad} probes in a row failed: {wrong}"
        await trio.lowlevel.checkpoint()
        while (left := began + current().interval - trio.current_time()) > 0:
            await trio.sleep(min(left, NOTICE))


async def _status(wire: Wire, address: str, settings: Health) -> int:
    http = h11.Connection(h11.CLIENT)
    fields = [("Host", settings.host or address), ("User-Agent", "blue-green")]
    fields += [("Accept", "*/*"), ("Connection", "close")]
    asked = h11.Request(method="GET", target=settings.path, headers=fields)
    await wire.send((http.send(asked) or b"") + (http.send(h11.EndOfMessage()) or b""))
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await wire.receive())
        elif isinstance(event, h11.Response):
            return event.status_code
