"""An open stream, and what is left to come on it."""

from attrs import define
from h2.stream import H2Stream, StreamInputs, StreamState

from blue_green.http2.windows import ReceiveWindow

RECEIVING = (StreamState.OPEN, StreamState.HALF_CLOSED_LOCAL)
SENDING = (StreamState.OPEN, StreamState.HALF_CLOSED_REMOTE)


@define(eq=False)
class OpenStream:
    """A stream that is not closed on both sides."""

    stream_id: int
    judged: H2Stream
    """The stream as h2 knows it: its state, and the window for what we send."""
    head: bytes = b""
    """The head of the same request in HTTP/1.1."""
    left: int = -1
    """Bytes that its Content-Length still announces; negative without one."""
    is_refused: bool = False
    """It gets the response of an error, and the rest of the request is dropped."""
    window: ReceiveWindow | None = None
    """Of its body; made when the first byte of it arrives."""

    @property
    def is_receiving(self) -> bool:
        return self.judged.state_machine.state in RECEIVING

    @property
    def is_sending(self) -> bool:
        return self.judged.state_machine.state in SENDING

    @property
    def is_closed(self) -> bool:
        return self.judged.state_machine.state is StreamState.CLOSED

    def pass_on(self, input_: StreamInputs, end: StreamInputs | None = None) -> None:
        """Change the state by what was sent or received, and by the end that came with it."""
        machine = self.judged.state_machine
        machine.process_input(input_)
        if end is not None:
            machine.process_input(end)
