"""h2, which judges the frames of streams and knows their states.

Header blocks, data and windows of clients are judged elsewhere, and h2 is not shown them: what it
found wrong there would end the whole connection, and not only the stream. For a stream that is open
its state machine is enough; building and parsing a frame for it takes five times as long.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.events import Event
from h2.exceptions import (
    InvalidSettingsValueError,
    NoSuchStreamError,
    ProtocolError,
    StreamClosedError,
    StreamIDTooLowError,
)
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamInputs
from hpack import Decoder, Encoder

from blue_green.http2.frames import PREFACE
from blue_green.http2.session_over import SessionOver
from blue_green.http2.windows import INITIAL_WINDOW

CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
SETTING = Struct(">HL")
KNOWN_SETTINGS = frozenset(SettingCodes)
FEWEST_STREAMS = 16
"""Streams, open or closed, that are not worth a walk over all."""


class NoFields(Decoder):
    """The decoder of frames whose content h2 is not shown."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[Any]:
        return ()


NO_FIELDS = NoFields()
"""The same for all connections: it has no state."""


class SettingValues(list[int]):
    """The values of a setting, as `Settings` keeps them, but without a deque of 700 bytes for each.

    That would be a third of what an idle connection takes.
    """

    __slots__ = ()

    def popleft(self) -> int:
        return self.pop(0)


def compact(settings: Settings) -> None:
    known = settings._settings
    settings._settings = {
        code: SettingValues(values)  # type: ignore[misc]
        for code, values in known.items()
    }


class Judge(H2Connection):
    """An h2 connection that refuses no stream because of their number."""

    MAX_CLOSED_STREAMS = 256
    """Closed streams of which h2 remembers how they were closed (its name)."""

    def __init__(self, settings: dict[SettingCodes, int], encoder: Encoder) -> None:
        """`settings` are ours; the size that the client sets for our table goes to `encoder`."""
        super().__init__(CONFIG)
        self.decoder = NO_FIELDS
        self.encoder = encoder
        self.local_settings = Settings(client=False, initial_values=settings)
        compact(self.local_settings)
        compact(self.remote_settings)
        self._most_streams = FEWEST_STREAMS
        self.initiate_connection()
        self.receive_data(PREFACE)

    @property
    def open_inbound_streams(self) -> int:
        """None, whatever there are: h2 would end the connection for one too many.

        h2 asks for each new stream, and walks over all to answer. It then forgets closed streams,
        so that walk is made whenever their number has doubled.
        """
        if len(self.streams) >= self._most_streams:
            self.forget_closed_streams()
        return 0

    def open_stream(self, stream_id: int, *, ends: bool) -> H2Stream:
        """Open a stream as h2 does for a HEADERS frame.

        Only for an identifier that a client may use and that is higher than all before.
        """
        _ = self.open_inbound_streams
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        window = self.remote_settings.initial_window_size
        stream = H2Stream(stream_id, CONFIG, INITIAL_WINDOW, window)
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.streams[stream_id] = stream
        self.highest_inbound_stream_id = stream_id
        stream.state_machine.process_input(StreamInputs.RECV_HEADERS)
        if ends:
            stream.state_machine.process_input(StreamInputs.RECV_END_STREAM)
        return stream

    def close(self) -> None:
        """Break the reference cycle of h2, so that its memory is free without a collection."""
        self._frame_dispatch_table.clear()

    def forget_closed_streams(self) -> None:
        _ = super().open_inbound_streams
        self._most_streams = 2 * len(self.streams) + FEWEST_STREAMS

    def known_settings(self, payload: bytes) -> list[tuple[int, int]]:
        """The settings in a SETTINGS frame that mean something to us. Raises `SessionOver`.

        h2 would keep all others, and see only the last of several values.
        """
        known = [pair for pair in SETTING.iter_unpack(payload) if pair[0] in KNOWN_SETTINGS]
        try:
            for code, value in known:
                self.remote_settings.validate_received_setting(code, value)
        except InvalidSettingsValueError as error:
            raise SessionOver(error.error_code, _as_clause(error)) from None
        return known

    def show(self, frame: bytes) -> list[Event]:
        """What follows from a frame. Raises `SessionOver`."""
        try:
            return self.receive_data(frame)
        except ProtocolError as error:
            self.clear_outbound_data_buffer()  # A GOAWAY frame, which the session writes itself.
            raise SessionOver(error.error_code, _in_words(error)) from None


def _in_words(error: ProtocolError) -> str:
    if isinstance(error, StreamClosedError):
        return f"a frame is on stream {error.stream_id}, which is closed"
    if isinstance(error, NoSuchStreamError):
        return f"a frame is on stream {error.stream_id}, which was never opened"
    if isinstance(error, StreamIDTooLowError):
        return f"stream {error.stream_id} was opened after stream {error.max_stream_id}"
    return _as_clause(error)


def _as_clause(error: ProtocolError) -> str:
    """Its sentence as the text of a `SessionOver`."""
    text = str(error).rstrip(".")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
