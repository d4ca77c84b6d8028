"""A real ssh server on loopback, with keys and settings of its own."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import frozen

from tests.support.site import free_ports
from tests.waiting import until

SSHD = "/usr/sbin/sshd"
A_RUN_OF_ITS_OWN = 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec "$@"'
"""What root's sshd needs: a directory in /run, which is not ours to make there for all to see."""
SETTINGS = """
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host-key
AuthorizedKeysFile {directory}/user-key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


def in_its_own_run() -> list[str]:
    """What to put before the server's command."""
    if os.geteuid() != 0:
        return []
    return ["unshare", "--mount", "sh", "-c", A_RUN_OF_ITS_OWN, "sh"]


def why_not() -> str:
    """Why there can be no server here; nothing if there can."""
    if not Path(SSHD).exists() or shutil.which("ssh") is None:
        return "needs OpenSSH's client and server"
    if os.geteuid() != 0:
        return ""
    done = subprocess.run([*in_its_own_run(), "true"], capture_output=True, text=True, check=False)
    return f"needs a mount namespace: {done.stderr.strip()}" if done.returncode else ""


@frozen
class SshServer:
    """A running server, and what a client needs to know of it."""

    directory: Path
    port: int

    def url(self, path: Path) -> str:
        return f"ssh://127.0.0.1:{self.port}{path}"

    def command(self, key: str = "user-key") -> str:
        """For core.sshCommand: nothing of this machine's configuration, and no keys but this."""
        return (
            f"ssh -F /dev/null -i '{self.directory / key}' -o IdentitiesOnly=yes "
            f"-o UserKnownHostsFile='{self.known_hosts}' -o GlobalKnownHostsFile=/dev/null"
        )

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    def make_known(self, key: str = "host-key") -> None:
        """From now on the client takes this for the server's key."""
        public = (self.directory / f"{key}.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}")


@asynccontextmanager
async def ssh_server(directory: Path) -> AsyncIterator[SshServer]:
    """A server until the block ends. It lets in who has `user-key`, and no `other-key`."""
    directory.mkdir()
    for name in ("host-key", "user-key", "other-key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(keygen, check=True)
    (port,) = free_ports(1)
    settings = directory / "sshd_config"
    settings.write_text(SETTINGS.format(port=port, directory=directory))
    log = directory / "log"
    command = [*in_its_own_run(), SSHD, "-D", "-E", str(log), "-f", str(settings)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def listens() -> bool:
        assert process.poll() is None, f"sshd has ended: {log.read_text() if log.exists() else ''}"
        return log.exists() and "listening on" in log.read_text()

    try:
        await until("sshd listens", listens)
        yield SshServer(directory, port)
    finally:
        process.terminate()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.wait, 10)
