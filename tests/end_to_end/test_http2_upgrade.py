"""The upgrade in place, and the stop, with HTTP/2 under load: no request is lost."""

from collections.abc import Callable

import pytest

from tests.support.http2_load import Http2Load
from tests.support.http2_user_agent import http2_client
from tests.support.site import RealSite
from tests.support.tls_site import with_tls
from tests.support.upgrade import upgraded

MakeSite = Callable[..., RealSite]


@pytest.mark.long
async def test_upgrades_under_load_lose_no_stream(
    make_site: MakeSite, capsys: pytest.CaptureFixture[str]
) -> None:
    """Busy clients connect once for each upgrade, or twice if they were idle in a bad moment."""
    site = with_tls(make_site())
    site.commit("one")
    async with (
        site.running(),
        http2_client(site.port) as client,
        http2_client(site.port) as other,
        Http2Load(client, streams=40).going_on() as busy,
        Http2Load(other, streams=4, pause=1.5).going_on() as calm,
    ):
        for _ in range(2):
            await upgraded(site)
            await busy.more()
            await calm.more()
        with capsys.disabled():
            print(f"\nthe longest wait in two upgrades: {busy.longest:.3f}, {calm.longest:.3f} s")
        assert client.connections <= 5
        assert other.connections <= 5
