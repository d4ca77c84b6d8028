"""A Procfile becomes the commands of the settings."""

import pytest

from tests.support.init_checkout import Fill, init

FLASK = {"shop.py": "app = Flask(__name__)", "requirements.txt": "flask\ngunicorn\ncelery"}
PROCFILE = """\
# What Heroku ran.
release: flask db upgrade
web: gunicorn shop:app --log-file -
worker: celery -A shop worker --concurrency 2
clock: celery -A shop beat
"""


def test_each_line_becomes_a_command(fill: Fill) -> None:
    written, site, text = init(fill({**FLASK, "Procfile": PROCFILE}))
    assert written.app.kind == "WSGI with a Procfile"
    assert site.app.command[:3] == (".venv/bin/gunicorn", "--bind", "127.0.0.1:{port}")
    assert site.app.command[3:] == (
        "--workers",
        "3",
        "--threads",
        "4",
        "shop:app",
        "--log-file",
        "-",
    )
    assert site.release.migrate == (".venv/bin/flask", "db", "upgrade")
    assert site.release.build is not None
    assert "pip install" in site.release.build[-1]
    assert list(site.processes) == ["worker", "clock"]
    worker, clock = site.processes.values()
    assert worker.command[0] == ".venv/bin/celery"
    assert (worker.handover, clock.handover) == ("overlap", "exclusive")
    assert "its queue gives each job to one worker" in text


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("gunicorn -b 0.0.0.0:$PORT -w 2 shop:app", "gunicorn -b 127.0.0.1:{port} -w 2 shop:app"),
        ("gunicorn -b :$PORT -w 2 shop:app", "gunicorn -b 127.0.0.1:{port} -w 2 shop:app"),
        (
            "gunicorn shop:app -k uvicorn_worker.UvicornWorker",
            "gunicorn --bind 127.0.0.1:{port} --workers 3 shop:app -k uvicorn_worker.UvicornWorker",
        ),
        (
            "uvicorn shop:app --host 0.0.0.0 --port ${PORT:-8000}",
            "uvicorn shop:app --host 127.0.0.1 --port {port}",
        ),
        (
            "uv run uvicorn shop:app --host=0.0.0.0 --port=$PORT",
            "uvicorn shop:app --host=127.0.0.1 --port={port}",
        ),
        (
            "bin/start-nginx gunicorn -w 1 shop:app",
            "gunicorn --bind 127.0.0.1:{port} -w 1 shop:app",
        ),
    ],
)
def test_the_web_command_listens_on_its_port_of_this_machine(
    fill: Fill, line: str, command: str
) -> None:
    _, site, _ = init(fill({**FLASK, "Procfile": f"web: {line}\n"}))
    assert " ".join(site.app.command) == f".venv/bin/{command}"


def test_a_line_that_needs_a_shell_gets_one_with_the_environment(fill: Fill) -> None:
    written, site, _ = init(fill({**FLASK, "Procfile": "web: gunicorn $OPTIONS shop:app"}))
    path = 'PATH="$PWD/.venv/bin:$PATH"; '
    assert site.app.command == ("sh", "-c", f"{path}exec gunicorn $OPTIONS shop:app")
    assert "web in the Procfile: $OPTIONS is a variable" in "\n".join(written.app.advice)


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("gunicorn --daemon shop:app", "--daemon puts it into the background"),
        ("bin/start-pgbouncer gunicorn shop:app", "belongs to a buildpack of Heroku"),
        ("vendor/bin/heroku-php-apache2 public/", "Heroku's own web server"),
        ("'gunicorn shop:app", "cannot be read (No closing quotation)"),
    ],
)
def test_what_does_not_work_here_is_noted(fill: Fill, line: str, note: str) -> None:
    written, _, text = init(fill({**FLASK, "Procfile": f"web: {line}"}), "./serve {port}")
    assert note in "\n".join(written.app.advice)
    assert note in text


@pytest.mark.parametrize(
    ("line", "handover"),
    [
        ("rq worker high default", "overlap"),
        ("rq worker --with-scheduler", "exclusive"),
        ("celery -A shop worker -B", "exclusive"),
        ("bundle exec sidekiq -c 5", "overlap"),
        ("bundle exec clockwork clock.rb", "exclusive"),
        ("python poll.py", "exclusive"),
        ("bin/jobs", "overlap"),
    ],
)
def test_only_workers_of_known_queues_overlap(fill: Fill, line: str, handover: str) -> None:
    _, site, _ = init(fill({**FLASK, "Procfile": f"web: gunicorn shop:app\nworker: {line}"}))
    assert site.processes["worker"].handover == handover


def test_programs_of_the_system_stay_as_they_are(fill: Fill) -> None:
    package = '{"dependencies": {"express": "4"}, "scripts": {"start": "node server.js"}}'
    lines = "web: npm start\nworker: node worker.js\nqueue: bullmq-worker\nown: ./run.sh\n"
    written, site, _ = init(fill({"package.json": package, "Procfile": lines}))
    assert written.app.kind == "Node with a Procfile"
    assert site.app.command == ("npm", "start")
    commands = [process.command for process in site.processes.values()]
    assert commands == [("node", "worker.js"), ("node_modules/.bin/bullmq-worker",), ("./run.sh",)]


def test_an_unknown_app_needs_no_more_than_its_procfile(fill: Fill) -> None:
    line = "web: java -jar app.jar --server.port=$PORT"
    written, site, _ = init(fill({"Procfile": line}))
    assert written.app.kind == "an app with a Procfile"
    assert site.app.command == ("java", "-jar", "app.jar", "--server.port={port}")
    assert site.release.build is None


def test_a_procfile_without_web_asks_for_the_command(fill: Fill) -> None:
    _, site, _ = init(fill({"Procfile": "worker: ./work"}), "./serve {port}")
    assert site.app.command == ("./serve", "{port}")
    assert site.processes["worker"].command == ("./work",)


def test_its_variables_come_from_a_file(fill: Fill) -> None:
    files = {**FLASK, "Procfile": PROCFILE}
    checkout = fill(files, {".env": "A=1"})
    _, site, _ = init(checkout)
    assert site.app.env_file == (checkout / ".env",)
    assert ".env" not in site.release.link


def test_a_procfile_of_nonsense_does_no_harm(fill: Fill) -> None:
    lines = f"web\n:\n{'x' * 100}: ./a\nweb : ./b\nweb: ./serve {{port}}\n" + "w: ./x\n" * 9999
    written, site, _ = init(fill({"Procfile": lines}))
    assert site.app.command == ("./serve", "{port}")
    assert "its name is too long" in "\n".join(written.app.advice)
