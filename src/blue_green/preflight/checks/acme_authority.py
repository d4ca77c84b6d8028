"""Whether the ACME authority answers, and accepts the account in the settings."""

from contextlib import closing
from typing import Any

import trio

from blue_green.config.process_settings import TlsSettings
from blue_green.config.settings import Settings
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned
from blue_green.system import files

TIMEOUT = 15.0
"""Seconds for its answer, with DNS and the TLS handshake."""
ACME, KEY_FILE = "[proxy.tls] acme", "[proxy.tls] eab_key_file"


async def authority(settings: Settings) -> Findings:
    """Ask the authority for its directory, and compare that with the settings."""
    tls = settings.proxy.tls
    if tls is None or not tls.asks_for_certificates:
        return iter(())
    found = failed(ACME, f"{tls.directory} has not answered within {TIMEOUT:g} s", _FIREWALL)
    with trio.move_on_after(TIMEOUT):
        found = await trio.to_thread.run_sync(_ask, tls, abandon_on_cancel=True)
    return iter([found, *_account(tls)])


def _ask(tls: TlsSettings) -> Finding:
    # Slow to load, and only needed here.
    from blue_green.certificates import acme_failures  # noqa: PLC0415
    from blue_green.certificates.acme_budget import Budget  # noqa: PLC0415
    from blue_green.certificates.acme_network import AcmeNetwork  # noqa: PLC0415

    try:
        with closing(AcmeNetwork(tls.directory_root, Budget(TIMEOUT))) as network:
            network.fetch_directory(tls.directory)
            return _compare(tls, network.directory["meta"])
    except Exception as error:  # noqa: BLE001 - Garbage makes the libraries raise anything.
        topic = acme_failures.AcmeTopic("the hosts", tls.directory)
        return failed(ACME, acme_failures.in_words(error, topic))


def _compare(tls: TlsSettings, meta: Any) -> Finding:
    """`meta` is what the authority says about itself (RFC 8555 section 7.1.1)."""
    if meta.external_account_required and tls.eab_kid is None:
        return failed(
            ACME,
            f"{tls.directory} issues certificates only to those who have an account with it",
            "set eab_kid and eab_key_file in [proxy.tls] to what you got from the authority",
        )
    profiles = meta.profiles or {}
    if tls.profile is not None and tls.profile not in profiles:
        known = ", ".join(map(str, profiles)) or "none"
        return failed(
            "[proxy.tls] profile",
            f"{tls.directory} has no profile {tls.profile}; it has: {known}",
            "use one of these, or remove profile",
        )
    return passed(ACME, f"{tls.directory} answers")


def _account(tls: TlsSettings) -> Findings:
    """The key of the account that an authority may require."""
    file = tls.eab_key_file
    if file is None:
        return
    from blue_green.certificates.acme_account import (  # noqa: PLC0415 - as above
        BadBinding,
        binding_key,
    )

    try:
        binding_key(file)
    except BadBinding as error:
        yield failed(KEY_FILE, str(error).removeprefix("eab_key_file: "))
    else:
        if files.is_readable_by_all(file):
            yield warned(
                KEY_FILE, f"every user of this machine can read {file}", f"chmod o-r {file}"
            )
        else:
            yield passed(KEY_FILE, f"{file} has a key")


_FIREWALL = "check directory in [proxy.tls], and that this machine can reach it (firewall, DNS)"
