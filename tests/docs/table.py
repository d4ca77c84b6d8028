"""The shell commands of the documents: which are run and what they must say, and which cannot be.

Each block of `sh` is in one of these, by its page and its first line. Those of `RUN` are run in
this order against one real supervisor. `READ` has a reason for each that is only read: its syntax
is checked all the same, and so are the arguments of every `blue-green` in it.
"""

from collections.abc import Mapping

from attrs import frozen

CADDY, KAMAL, UNIT, HEROKU = (
    f"docs/moving/{name}.md" for name in ("caddy", "kamal-proxy", "systemd", "heroku")
)
INSTALL, HTTP2 = "docs/install.md", "docs/http2.md"
CERTIFICATES, SWAPS, HARDENING, FLEET, PUSHES, SITES = (
    f"docs/{name}.md" for name in ("certificates", "swaps", "hardening", "fleet", "pushes", "sites")
)
MAINTENANCE = "docs/maintenance.md"


@frozen
class Run:
    """How a block is run."""

    says: tuple[str, ...] = ()
    """What is in its output, each after the one before."""
    may_fail: bool = False
    """A command of it fails, which is what it shows. Otherwise the first that does is the end."""
    needs: str = ""
    """A program that is not everywhere."""


RUN: Mapping[tuple[str, str], Run] = {
    (CADDY, "sudo mkdir /etc/blue-green"): Run(),
    (HARDENING, "sudo chown root:app /etc/blue-green/supervisor.toml"): Run(),
    (CADDY, "sudo find /srv/app ! -user app"): Run(),
    (HARDENING, "systemd-analyze security --offline=true /etc/systemd/system/blue-green.service"): (
        Run(("Overall exposure level",), needs="systemd-analyze")
    ),
    (CADDY, "sudo systemctl daemon-reload"): Run(
        (
            "systemctl start blue-green",
            "is serving",
            "live",
            ", port ",
            ", pid ",
            "requests",
            " per second, ",
            "supervisor",
            "last swaps",
            "promoted",
            "triggered by a new commit; held 0, longest",
        )
    ),
    (CADDY, "sudo -u app blue-green check /etc/blue-green/supervisor.toml"): Run(("0 failed",)),
    (CADDY, "# The app answers, under its own name."): Run(
        ("HTTP/1.1 200", "promoted", "failed", "\n1\n"), may_fail=True
    ),
    (UNIT, "curl -si http://127.0.0.1:8000/ | head -n 1"): Run(("HTTP/1.1 200", "promoted")),
    (SWAPS, "blue-green rollback"): Run(("promoted",)),
    (SWAPS, 'blue-green swap "$(git rev-parse HEAD)"'): Run(("promoted",)),
    (SWAPS, "blue-green restart"): Run(("promoted",)),
    (SWAPS, "blue-green swap --rebuild"): Run(("promoted",)),
    (SWAPS, "blue-green pause --for 20s"): Run(("paused for 20 s", "resumed")),
    (
        MAINTENANCE,
        'blue-green maintenance on --message "We are moving to a new database." '
        "--until 21:00 --secret",
    ): Run(
        (
            "in maintenance until 2",
            "message: We are",
            "/maintenance-access/",
            "in maintenance",
            "/maintenance-access/",
            "maintenance has ended",
        )
    ),
    (CADDY, "sudo -u app env GIT_SSH_COMMAND='ssh -o BatchMode=yes' git -C /srv/app fetch"): Run(),
    (CADDY, "sudo systemctl disable --now app-update.timer"): Run(("nothing has changed",)),
    (CADDY, "sudo blue-green rollback --config /etc/blue-green/supervisor.toml"): Run(
        ("promoted",)
    ),
    ("README.md", "source <(blue-green completion bash)"): Run(),
    (PUSHES, "sudo sh -c 'umask 027; openssl rand -hex 32 > /etc/blue-green/webhook.secret'"): Run(
        needs="openssl"
    ),
    (FLEET, "set -eu"): Run(("app@web1: deploy ", "app@web2: deploy ")),
}

AT_THE_END: tuple[str, str] = (CADDY, "sudo systemctl stop blue-green")
"""Run when the supervisor has stopped: nothing is left of it."""

VENV = "python3 -m venv .venv && .venv/bin/pip install -q -e"
UNIT_TEST = "run by tests/cli/test_unit.py, for another directory of units"
REPOSITORY = "git+https://git.example.com/blue-green"
PIPX = "sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install"
UV_TOOL = (
    "sudo env UV_TOOL_DIR=/opt/uv/tools UV_TOOL_BIN_DIR=/usr/local/bin "
    "UV_PYTHON_INSTALL_DIR=/opt/uv/python"
)
SYSTEMD = "only what systemd does, which does not run here"
READ: Mapping[tuple[str, str], str] = {
    (HTTP2, "curl -sS -o /dev/null -w '%{http_version}\\n' https://blog.example.com/    # 2"): (
        "it needs a public host; the end-to-end tests run curl and nghttp"
    ),
    ("README.md", f"{VENV} . && .venv/bin/blue-green run supervisor.toml.example"): (
        "fetches packages; the file that it runs is checked in test_config.py"
    ),
    ("README.md", f"{VENV} '.[dev]' && .venv/bin/pytest"): "is what runs these tests, in .ci/run",
    ("CONTRIBUTING.md", "python3 -m venv .venv"): "fetches packages",
    (PUSHES, "sudo -u app blue-green accept-pushes /etc/blue-green/supervisor.toml"): (
        "test_pushes.py and test_push_hook.py"
    ),
    (PUSHES, "git remote add live app@server.example.com:/srv/app"): "test_pushes.py",
    (
        "CONTRIBUTING.md",
        ".venv/bin/pytest tests/http                     # one room",
    ): "runs the tests, among them this one",
    ("CONTRIBUTING.md", ".venv/bin/pip wheel --no-deps --wheel-dir dist ."): "fetches packages",
    ("CONTRIBUTING.md", "git tag -a v1.2.3 -m 'Release 1.2.3'"): "would tag this repository",
    ("README.md", "blue-green init && blue-green check --start supervisor.toml"): (
        "run by test_init.py and test_trial_start.py, on free ports"
    ),
    ("README.md", "blue-green init --host blog.example.com --acme you@example.com"): (
        "run by tests/preflight/init/test_https.py"
    ),
    (CERTIFICATES, "blue-green init --acme internal"): "run by tests/preflight/init/test_https.py",
    (CADDY, "cd /srv/app"): "the old script, which is to go",
    (CADDY, "sudo blue-green unit /etc/blue-green/supervisor.toml --install"): UNIT_TEST,
    **dict.fromkeys(
        (
            ("README.md", f"{PIPX} {REPOSITORY}"),
            (INSTALL, "sudo apt-get install -y git pipx"),
            (INSTALL, f"{UV_TOOL} uv tool install --python 3.12 {REPOSITORY}"),
            (INSTALL, "sudo apt-get install -y git python3-venv"),
            (INSTALL, f"{PIPX} --force {REPOSITORY}"),
        ),
        "would install packages; tests/deploy/test_wheel.py installs the wheel",
    ),
    (
        INSTALL,
        "sudo useradd --system --user-group --home-dir /srv/app --shell /usr/sbin/nologin app",
    ): "would change this machine's users",
    (INSTALL, "sudo install -d /etc/blue-green"): "run by tests/preflight/init/test_https.py",
    (INSTALL, "sudo blue-green check --start /etc/blue-green/supervisor.toml"): (
        "run by tests/preflight/checks/test_trial_start.py"
    ),
    (INSTALL, "sudo blue-green unit /etc/blue-green/supervisor.toml --install"): UNIT_TEST,
    (INSTALL, "sudo systemctl disable --now blue-green"): SYSTEMD,
    (
        "docs/environment.md",
        "sudo install -m 640 -g app /dev/null /etc/shop/secrets.env && sudoedit "
        "/etc/shop/secrets.env",
    ): "opens an editor",
    (
        "docs/canary.md",
        "git fetch && blue-green swap origin/main --canary 10%    "
        "# for canary_for in [swap], or 10 minutes",
    ): "tests/end_to_end/test_canary.py",
    (
        "docs/canary.md",
        "git fetch && blue-green swap origin/main --preview   # for 4 hours, or --for 30m",
    ): "tests/end_to_end/test_preview.py",
    (
        "docs/canary.md",
        "curl -si https://example.com/ | grep -i canary=      "
        "# ... blue-green-canary=9f86d081884c.4711; ...",
    ): "it needs a public host; tests/proxy/test_served_trial.py chooses a release so",
    ("docs/exec.md", "sudo blue-green exec -- .venv/bin/python manage.py shell"): (
        "needs a terminal and Django; tests/end_to_end/test_exec.py runs other programs"
    ),
    (
        HEROKU,
        "heroku config --shell --app shop | sudo -u app sh -c 'umask 077; cat > /srv/app/.env'",
    ): ("needs an account"),
    (
        HEROKU,
        "cd /etc/blue-green && sudo blue-green init --host shop.example.com --acme you@example.com "
        "/srv/app",
    ): "run by tests/preflight/init/test_procfile.py and test_https.py",
    (
        HEROKU,
        "sudo blue-green unit /etc/blue-green/supervisor.toml --install && sudo systemctl enable "
        "--now blue-green",
    ): UNIT_TEST,
    (
        CADDY,
        "sudo systemctl reload caddy                         # or",
    ): "this machine's own load balancer",
    (CERTIFICATES, "sudo groupadd tls"): "would change this machine's users",
    (
        CADDY,
        "sudo systemctl stop caddy                           # or nginx: it has the port",
    ): SYSTEMD,
    (
        CADDY,
        "cd /srv/app && sudo blue-green init --host app.example.com --acme you@example.com "
        "--file /etc/blue-green/supervisor.toml",
    ): "run by tests/preflight/init/test_https.py",
    (CADDY, "sudo systemctl disable --now caddy app"): SYSTEMD,
    (CADDY, 'sudo cp "$(blue-green unit --files | grep socket)" /etc/systemd/system/'): SYSTEMD,
    (CADDY, "sudo systemctl disable --now app@3000 app@3001"): SYSTEMD,
    (KAMAL, "kamal-proxy deploy shop --target web-2:3000 --host shop.example.com \\"): (
        "kamal-proxy is not here; its flags are those of its internal/cmd/deploy.go"
    ),
    (KAMAL, "docker stop kamal-proxy"): "kamal-proxy is not here",
    (UNIT, "sudo systemctl disable --now app"): SYSTEMD,
    (FLEET, "#!/bin/sh"): "run by tests/docs/test_fleet.py, with HAProxy and etcd",
    **{
        (SITES, begin): "run by tests/docs/test_sites.py, with several sites"
        for begin in (
            "sudo mkdir -p /etc/blue-green && cd /etc/blue-green",
            "sudo blue-green check /etc/blue-green/supervisor.toml",
            "cd /etc/blue-green && sudo blue-green init --host wiki.example.com /srv/wiki",
            "sudo blue-green status",
            "blue-green check /etc/blue-green/supervisor.toml",
            "sudo systemctl disable --now blue-green-blog blue-green-shop",
            "sudo systemctl enable --now blue-green",
            "sudo rm -r /var/lib/blue-green-blog /var/lib/blue-green-shop",
        )
    },
    (FLEET, 'consul lock -child-exit-code deploy "blue-green swap $1"'): "Consul is not here",
}
