"""A real ACME server on loopback: pebble, with pebble-challtestsrv as its DNS.

Every host has the address 127.0.0.1, unless a test changes that. Pebble's README explains its
settings, and its manual page those of pebble-challtestsrv.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from attrs import Factory, define

from tests.support.site import free_ports
from tests.waiting import PATIENCE

PROGRAMS = ("pebble", "pebble-challtestsrv")
LOOPBACK = "127.0.0.1"
needs_pebble = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS),
    reason="pebble is not installed (Debian package pebble)",
)
"""Skips a test where there is no pebble."""


@define
class Pebble:
    """A running pebble and its DNS server."""

    directory: Path
    http_port: int
    tls_port: int
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    port: int = Factory(lambda: free_ports(1)[0])
    management_port: int = Factory(lambda: free_ports(1)[0])
    dns_port: int = Factory(lambda: free_ports(1)[0])
    dns_management_port: int = Factory(lambda: free_ports(1)[0])
    _processes: dict[str, subprocess.Popen[bytes]] = Factory(dict)

    @property
    def url(self) -> str:
        """Of the ACME directory, for `directory`."""
        return f"https://{LOOPBACK}:{self.port}/dir"

    @property
    def server_root(self) -> Path:
        """The authority of pebble's own HTTPS address, for `directory_root`."""
        return self.directory / "server-root.pem"

    @property
    def output(self) -> str:
        """What both programs have printed."""
        files = [self.directory / f"{name}.out" for name in PROGRAMS]
        return "\n".join(path.read_text(errors="replace") for path in files if path.exists())

    def root(self) -> str:
        """The root of the certificates that are issued, in PEM; a new one at each start."""
        return self._get(f"https://{LOOPBACK}:{self.management_port}/roots/0")

    def client_context(self) -> ssl.SSLContext:
        """A context for a client that trusts the certificates that are issued."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.root())
        return context

    # --- the DNS of the authority ---

    def set_addresses(self, host: str, *, ipv4: str = LOOPBACK, ipv6: str = "") -> None:
        """Let this host have these addresses and no others."""
        for kind, address in (("a", ipv4), ("aaaa", ipv6)):
            self._dns(f"clear-{kind}", host=host)
            if address:
                self._dns(f"add-{kind}", host=host, addresses=[address])

    def fail_lookups(self, host: str) -> None:
        """Answer SERVFAIL for this host from now on."""
        self._dns("set-servfail", host=host)

    def heal_lookups(self, host: str) -> None:
        self._dns("clear-servfail", host=host)

    def allow_only(self, host: str, issuer: str) -> None:
        """Let this host have a CAA record."""
        self._dns("add-caa", host=host, policies=[{"tag": "issue", "value": issuer}])

    def _dns(self, command: str, **body: Any) -> None:
        url = f"http://{LOOPBACK}:{self.dns_management_port}/{command}"
        self._get(url, json.dumps(body).encode())

    # --- the processes ---

    def start(self) -> None:
        """Start what does not run; returns when it serves. Pebble has forgotten everything."""
        self._start(
            "pebble-challtestsrv",
            *("-management", f"{LOOPBACK}:{self.dns_management_port}"),
            *("-dns01", f"{LOOPBACK}:{self.dns_port}"),
            *("-defaultIPv4", LOOPBACK, "-defaultIPv6", ""),
            *("-http01", "", "-https01", "", "-tlsalpn01", ""),
        )
        self._until_listening("pebble-challtestsrv", self.dns_port)
        self._until_listening("pebble-challtestsrv", self.dns_management_port)
        config = self.directory / "pebble.json"
        config.write_text(json.dumps({"pebble": self._configuration()}))
        dns = f"{LOOPBACK}:{self.dns_port}"
        self._start("pebble", "-config", str(config), "-dnsserver", dns, "-strict")
        self._until_listening("pebble", self.port)
        self._until_listening("pebble", self.management_port)

    def stop(self) -> None:
        """End pebble, as if the authority were down; its DNS goes on."""
        self._stop("pebble")

    def stop_all(self) -> None:
        for name in list(self._processes):
            self._stop(name)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Within the block, pebble accepts connections and does not answer."""
        self._processes["pebble"].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes["pebble"].send_signal(signal.SIGCONT)

    def _configuration(self) -> dict[str, Any]:
        return {
            "listenAddress": f"{LOOPBACK}:{self.port}",
            "managementListenAddress": f"{LOOPBACK}:{self.management_port}",
            "certificate": str(self.directory / "server.pem"),
            "privateKey": str(self.directory / "server-key.pem"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            **self.settings,
        }

    def _start(self, name: str, *arguments: str) -> None:
        if name in self._processes:
            return
        with (self.directory / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env={**os.environ, **self.environment},
            )

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()  # There is nothing that it could lose.
        process.wait(PATIENCE)

    def _until_listening(self, name: str, port: int) -> None:
        gives_up = time.monotonic() + PATIENCE
        while (code := self._processes[name].poll()) is None and time.monotonic() < gives_up:
            try:
                socket.create_connection((LOOPBACK, port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        state = "runs, and does not listen" if code is None else f"exited with {code}"
        raise AssertionError(f"{name} {state} on port {port}:\n{self.output}")

    def _get(self, url: str, body: bytes | None = None) -> str:
        context = ssl.create_default_context(cafile=str(self.server_root))
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(url, body, PATIENCE) as response:
                return str(response.read().decode())
        except OSError as error:
            raise AssertionError(f"{url}: {error}\n{self.output}") from error


@contextmanager
def running_pebble(
    directory: Path,
    *,
    http_port: int,
    tls_port: int,
    validity: int | None = None,
    accounts: Mapping[str, str] | None = None,
    nonces_refused: int = 0,
    authorizations_reused: int = 0,
    is_credulous: bool = False,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Pebble]:
    """Pebble until the block ends, with a directory of its own, which it creates.

    It validates http-01 at `http_port`, and tls-alpn-01 at `tls_port`. Certificates are valid for
    `validity` seconds, by default five years. With `accounts` (key by identifier), it requires
    external account binding. `nonces_refused` and `authorizations_reused` are percentages.
    `is_credulous`: it does not validate at all. More of its environment and of its settings may
    follow.
    """
    directory.mkdir(parents=True)
    if validity is not None:
        settings["certificateValidityPeriod"] = validity
    if accounts is not None:
        settings["externalAccountBindingRequired"] = True
        settings["externalAccountMACKeys"] = dict(accounts)
    variables = {
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": str(nonces_refused),
        "PEBBLE_AUTHZREUSE": str(authorizations_reused),
        "PEBBLE_VA_ALWAYS_VALID": "1" if is_credulous else "0",
        **(environment or {}),
    }
    authority = trustme.CA()
    own = authority.issue_cert("localhost", LOOPBACK)
    authority.cert_pem.write_to_path(directory / "server-root.pem")
    (directory / "server.pem").write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))
    own.private_key_pem.write_to_path(directory / "server-key.pem")
    pebble = Pebble(directory, http_port, tls_port, variables, settings)
    with ExitStack() as stack:
        stack.callback(pebble.stop_all)
        pebble.start()
        yield pebble
