"""Respond with a file of a release, without the app."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from blue_green.files import conditions, encodings
from blue_green.files.conditions import Evaluation
from blue_green.files.lookup import Found, FoundDirectory, FoundFile
from blue_green.files.open_file import OpenFile
from blue_green.files.paths import with_slash
from blue_green.files.representation import Changing, Representation
from blue_green.files.roots import FileRoots
from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import joined
from blue_green.http.response import Response
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.handler import ResponseAborted
from blue_green.proxy.path_prefix import strip
from blue_green.proxy.relay import NO_FIELDS, BadBody
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.router import Route

TOO_SLOW = ErrorResponse(504, "The disk with the file did not respond in time.")
CHANGING = ErrorResponse(503, "The file is being changed.", 1)
NONE_YET = ErrorResponse(503, "There is no release yet.", 1)
ALLOWED = "GET, HEAD, OPTIONS"
METHODS = (b"GET", b"HEAD")
ATTEMPTS = 3
"""How often a file may have changed between finding and opening it."""


def respond_now(
    stream: ClientStream, files: FileRoots, route: Route[ServedSite]
) -> Awaitable[None] | None:
    """Send a file that is in memory, or open; None if there is more to do than that.

    The usual case, without the rest of this file.
    """
    request = stream.request
    if request.method != b"GET" or route.stripped or request.is_conditional:
        return None
    known = files.known(request.target.partition(b"?")[0])
    if known is None or not isinstance(known.found, FoundFile) or request.upgrade:
        return None
    file = known.found.only
    if file is None:
        return None
    if file.body is not None:
        stream.file_revision = known.found.revision
        return stream.respond(file.whole, file.body)
    if (opened := files.opened(file)) is None:
        return None
    stream.file_revision = known.found.revision
    return _send_opened(stream, opened, file.whole, range(file.size))


async def _send_opened(
    stream: ClientStream, file: OpenFile, response: Response, part: range
) -> None:
    if rest := stream.start_now(response, more=True):
        await stream.finish(rest)
    try:
        await stream.send_file(file, part.start, len(part))
    except BadBody as bad:
        raise ResponseAborted(f"The file was not sent to its end: {bad}.") from None
    await stream.end(NO_FIELDS)


class FileResponder:
    """One request for a path where there may be a file."""

    def __init__(self, stream: ClientStream, files: FileRoots, route: Route[ServedSite]) -> None:
        self._stream = stream
        self._request = stream.request
        self._files = files
        self._limits = route.site.limits
        self._url, _, self._query = stream.request.target.partition(b"?")
        self._path = strip(self._url, route.stripped) if route.stripped else self._url

    async def run(self) -> bool:
        """Send a response; False if it is the app's to respond. Raises as `Handler.handle` does."""
        files, request = self._files, self._request
        if files.has_app and (request.method not in METHODS or request.upgrade):
            return False
        if request.method not in METHODS:
            if request.method == b"OPTIONS":
                raise ErrorResponse(200, "These are the methods.", allow=ALLOWED)
            raise ErrorResponse(405, "This site has only files.", allow=ALLOWED)
        for _ in range(ATTEMPTS):
            found = await self._find()
            if isinstance(found, FoundDirectory) or (found and self._lacks_slash):
                raise self._redirect()
            if found is None and files.has_app:
                return False
            if await (self._respond_without(files) if found is None else self._respond(found)):
                return True
            files.forget()
        raise CHANGING.copy()

    async def _find(self) -> Found | None:
        if known := self._files.known(self._path):
            return known.found
        with self._waiting_for_disk():
            return await self._files.find(self._path)

    @contextmanager
    def _waiting_for_disk(self) -> Iterator[None]:
        client = self._stream.client
        client.await_backend(self._limits.response_timeout, TOO_SLOW)
        try:
            yield
        except OSError as error:
            raise ErrorResponse(500, "The file cannot be read.", fault=str(error)) from None
        except Changing:
            raise CHANGING.copy() from None
        client.clear_timeout()

    @property
    def _lacks_slash(self) -> bool:
        """It is the path of the site, such as `/blog`, to which the pages' links are relative."""
        return self._path == b"/" and not self._url.endswith(b"/")

    def _redirect(self) -> ErrorResponse:
        query = f"?{self._query.decode('latin-1')}" if self._query else ""
        return ErrorResponse(308, "This is a directory.", location=with_slash(self._url) + query)

    async def _respond(self, found: FoundFile) -> bool:
        """Respond with the file, in the best encoding; False if it has changed meanwhile."""
        request = self._request
        chosen = found.itself
        if len(found.encodings) > 1:
            accepted = joined(request.fields, b"accept-encoding") or b""
            chosen = found.encodings[encodings.choose(accepted, found.encodings)]
        self._stream.file_revision = found.revision
        if not request.is_conditional:
            return await self._send(chosen, chosen.whole, range(chosen.size))
        is_get = request.method == b"GET"
        evaluation, part = conditions.evaluate(
            request.fields, chosen.validators, chosen.size, is_get=is_get
        )
        if evaluation is Evaluation.FAILED:
            raise ErrorResponse(412, "The file is not the one that the request is about.")
        if evaluation is Evaluation.NOT_MODIFIED:
            return await self._send(chosen, chosen.not_modified(), range(0))
        if evaluation is Evaluation.UNSATISFIABLE:
            return await self._send(chosen, chosen.unsatisfiable(), range(0))
        response = chosen.whole if evaluation is Evaluation.SEND else chosen.part(part)
        return await self._send(chosen, response, part)

    async def _respond_without(self, files: FileRoots) -> bool:
        """Respond for a path without a file, in a static site."""
        if not files.releases:
            raise NONE_YET.copy()
        last = self._path.rpartition(b"/")[2]
        if files.fallback is not None and (b"." not in last or self._request.wants_html):
            page = await self._find_named(files.fallback)
            if page is not None:
                return await self._respond(page)
        page = None if files.not_found is None else await self._find_named(files.not_found)
        if page is None:
            raise ErrorResponse(404, "There is nothing at this path.")
        self._stream.file_revision = page.revision
        itself = page.itself
        return await self._send(itself, itself.not_found(), range(itself.size))

    async def _find_named(self, names: tuple[bytes, ...]) -> FoundFile | None:
        with self._waiting_for_disk():
            found = await self._files.find_named(names)
        return found if isinstance(found, FoundFile) else None

    async def _send(self, file: Representation, response: Response, part: range) -> bool:
        """Send a response with this part of the file; False if the file has changed."""
        if not part or self._request.method == b"HEAD":
            await self._stream.respond(response, b"")
        elif file.body is not None:
            await self._stream.respond(response, file.body[part.start : part.stop])
        else:
            return await self._send_large(file, response, part)
        return True

    async def _send_large(self, file: Representation, response: Response, part: range) -> bool:
        opened = self._files.opened(file)
        if opened is None:
            with self._waiting_for_disk():
                opened = await self._files.open(file)
        if opened is None:
            return False
        await _send_opened(self._stream, opened, response, part)
        return True
