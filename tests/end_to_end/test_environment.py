"""`[app] env_file` and `[app] directory`, from the settings to the app."""

from collections.abc import Callable

from tests.support.site import RealSite
from tests.waiting import until

RECORD = 'printf "%s %s %s\\n" $STEP $TOKEN "$PWD" >>$SHARED/record'


def record(site: RealSite) -> list[str]:
    return (site.directory / "record").read_text().splitlines()


async def test_a_restart_after_a_crash_reads_the_files_again_and_a_missing_one_is_no_quarantine(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site()
    command = ["sh", "-c", f'STEP=app; {RECORD}; cd ..; exec "$@"', "sh"]
    site.configure(
        app={
            "command": [*command, *site.sections["app"]["command"]],
            "directory": "api",
            "env_file": ["secrets.env"],
            "env": {"SHARED": str(site.directory)},
        },
        release={"build": ["sh", "-c", f"STEP=build; {RECORD}"]},
    )
    secrets = site.directory / "secrets.env"
    secrets.write_text("TOKEN=hunter1")
    (site.checkout / "api").mkdir()
    (site.checkout / "api" / "README").touch()
    one = site.commit("one")
    async with site.running():
        at = site.state / "releases" / one[:12] / "api"
        assert record(site) == [f"build hunter1 {at}", f"app hunter1 {at}"]
        secrets.write_text("TOKEN=hunter2")
        await site.post("/die", b"")
        await until("it was started again", lambda: len(record(site)) == 3)
        assert record(site)[2] == f"app hunter2 {at}"
        secrets.rename(site.directory / "away.env")
        two = site.commit("two")

        async def has_failed() -> bool:
            last = (await site.status())["last_swap"]
            return (last["revision"], last["outcome"]) == (two, "failed")

        await until("the swap fails", has_failed)
        status = await site.status()
        assert "[app] env_file" in status["last_swap"]["reason"]
        assert status["last_swap"]["retry_in"]
        assert status["quarantined"] == {}
        assert status["live"]["revision"] == one
        (site.directory / "away.env").rename(secrets)
        await site.until_live(two)
        assert "hunter" not in site.log() + str(await site.status())
