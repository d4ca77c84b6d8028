"""A site over HTTP/2: its streams share nothing but the connection, whatever is deployed."""

from collections.abc import Callable

import pytest

from tests.support.http2_load import Http2Load
from tests.support.http2_user_agent import http2_client
from tests.support.site import RealSite
from tests.support.tls_site import with_tls

MakeSite = Callable[..., RealSite]


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_hundred_streams_on_one_connection_survive_three_swaps(
    make_site: MakeSite, strategy: str
) -> None:
    site = with_tls(make_site(swap={"strategy": strategy}))
    site.commit("one")
    async with site.running(), http2_client(site.port) as client:
        async with Http2Load(client).going_on() as load:
            for text in ("two", "three", "four"):
                await site.until_live(site.commit(text))
                await load.more()
        assert list(dict.fromkeys(load.texts)) == ["one", "two", "three", "four"]
        assert client.connections == 1
        assert client.repeated == 0
