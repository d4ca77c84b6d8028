"""A Procfile, as Heroku, Dokku, Piku and foreman read it: `name: command line` on each line."""

import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve, frozen

from blue_green.config.release_kinds import PROCESS_NAME
from blue_green.preflight.init import python_servers
from blue_green.preflight.init.app import MUST_LISTEN, App, DetectedProcess
from blue_green.preflight.init.checkout import SAMPLES, Checkout
from blue_green.preflight.init.python_environment import python_of
from blue_green.preflight.init.shell_line import ShellLine, translate

NAME = "Procfile"
LINE = re.compile(r"([A-Za-z0-9_-]+):[ \t]*(\S[^\n]*)")
MOST_PROCESSES = 50
PORT = re.compile(r"\$PORT\b|\$\{PORT(?::?-[0-9]*)?\}")
EVERYWHERE = re.compile(r"0\.0\.0\.0|\[::\]")
OF_HEROKU = re.compile(r"(?:bin/start-(?:nginx|pgbouncer)[\w-]*|bin/proxy)[ \t]+")
DAEMON = re.compile(r"(?<!\S)(?:--daemon|--daemonize|-D|nohup)(?!\S)")
RUNNERS = ("uv run", "poetry run", "pipenv run", "pdm run", "rye run")
"""They start a program of the environment, and stay between it and its signals."""
SYSTEM = {
    "sh", "bash", "env", "nice", "node", "npm", "npx", "yarn", "pnpm", "bundle", "ruby",
    "rake", "java", "php", "perl", "go", "make", "uv", "timeout", "ionice", "chronic",
}  # fmt: skip
"""Programs that are not in an environment of the app."""
SCHEDULER = re.compile(r"\bbeat\b|(?<!\S)(?:-B|--beat|--with-scheduler)(?!\S)|\bclock")
QUEUE = re.compile(
    r"\bcelery\b|\brq worker\b|\brqworker\b|\bsidekiq\b|\bdramatiq\b|\bbin/jobs\b|\bjobs:work\b"
    r"|\bgood_job\b|\bresque:work\b|\bhuey_consumer\b|\barq\b|\bqueue:work\b|\bprocrastinate\b"
)
"""Programs whose queue gives each job to one worker only, however many there are."""
OVERLAPS = "its queue gives each job to one worker, so old and new ones may run side by side"
EXCLUSIVE = "two may not run at once; for the worker of a queue that allows it: overlap"


@frozen
class _Context:
    """What a line may use."""

    checkout: Checkout
    directory: str
    """Where the programs of the app's own environment are."""


def procfile(checkout: Checkout, found: Sequence[App]) -> App | None:
    """The app of the Procfile: what was found, with its commands. None without a Procfile."""
    lines = _lines(checkout)
    if not lines:
        return None
    base = found[0] if found else _base(checkout)
    context = _Context(checkout, _directory(checkout, base))
    advice: list[str] = []
    app = evolve(base, kind=_kind(base), because=f"detected from Procfile: {', '.join(lines)}")
    for name, line in lines.items():
        try:
            app = _with_line(app, context, name, line, advice)
        except ValueError as error:
            advice.append(f"{name} in the Procfile cannot be read ({error}): {line}")
    if checkout.has(".env"):
        links = tuple(name for name in app.link if name != ".env")
        app = evolve(app, env_file=".env", link=links)
    elif any(name in checkout.tracked for name in SAMPLES):
        advice.append("put its variables into .env, and set env_file as in the comment")
    return evolve(app, advice=(*app.advice, *advice))


def _lines(checkout: Checkout) -> Mapping[str, str]:
    """The command lines by the names of their processes."""
    if NAME not in checkout.tracked:
        return {}
    matches = map(LINE.match, checkout.text(NAME).splitlines()[: 4 * MOST_PROCESSES])
    pairs = [(match[1], match[2].strip()) for match in matches if match]
    return dict(pairs[:MOST_PROCESSES])


def _kind(base: App) -> str:
    return f"{base.kind} with a Procfile" if base.kind else "an app with a Procfile"


def _base(checkout: Checkout) -> App:
    """An app of which nothing but the Procfile is known, and perhaps its environment."""
    python = python_of(checkout)
    if python.directory:
        link = (*python.link, *checkout.links)
        return App("Python", "", build=python.build_and(), link=link, advice=python.advice)
    return App("", "", link=tuple(checkout.links))


def _directory(checkout: Checkout, base: App) -> str:
    """Where the app's packages put their programs."""
    if base.kind.startswith("Node"):
        return "node_modules/.bin"
    if base.kind.startswith(("Rails", "Rack", "Go")):
        return ""
    return python_of(checkout).directory


def _with_line(app: App, context: _Context, name: str, line: str, advice: list[str]) -> App:
    translated = _translated(context, line, is_web=name == "web")
    notes = [*translated.notes, *_notes(line)]
    advice += [f"{name} in the Procfile: {note}" for note in notes]
    if name == "web":
        command, why = _with_options(translated, context.checkout)
        if not any("{port}" in word for word in command):
            advice.append(MUST_LISTEN)
        return evolve(app, command=command, why_command=why)
    if name == "release":
        return evolve(app, migrate=translated.command)
    if not PROCESS_NAME.fullmatch(name):
        raise ValueError("its name is too long")
    overlaps = QUEUE.search(line) and not SCHEDULER.search(line)
    process = DetectedProcess(
        name,
        translated.command,
        "overlap" if overlaps else "exclusive",
        OVERLAPS if overlaps else EXCLUSIVE,
    )
    return evolve(app, processes=(*app.processes, process))


def _translated(context: _Context, line: str, *, is_web: bool) -> ShellLine:
    """The command of a line, which finds the programs of the app's environment."""
    line = OF_HEROKU.sub("", line, count=1)
    if is_web:
        line = EVERYWHERE.sub("127.0.0.1", PORT.sub("{port}", line))
    for runner in RUNNERS:
        if context.directory and line.startswith(f"{runner} "):
            line = line.removeprefix(runner).strip()
    translated = translate(line, context.directory)
    if translated.is_shell or not context.directory:
        return translated
    words = list(translated.command)
    place = next(
        (i for i, word in enumerate(words) if word != "env" and "=" not in word), len(words) - 1
    )
    if "/" not in words[place] and words[place] not in SYSTEM:
        words[place] = f"{context.directory}/{words[place]}"
    return evolve(translated, command=tuple(words))


def _with_options(line: ShellLine, checkout: Checkout) -> tuple[tuple[str, ...], str]:
    """The web command; gunicorn, which Heroku configures by variables, also gets its options."""
    words = line.command
    place = next((i for i, word in enumerate(words) if word.endswith("gunicorn")), None)
    if line.is_shell or place is None:
        return words, ""
    given = [f"127.0.0.1{word}" if word == ":{port}" else word for word in words[place + 1 :]]
    options = python_servers.gunicorn_options(given, checkout)
    return (*words[: place + 1], *options, *given), python_servers.why(options)


def _notes(line: str) -> Iterator[str]:
    if match := OF_HEROKU.match(line):
        yield f"{match[0].strip()} belongs to a buildpack of Heroku, and is left out"
    if match := DAEMON.search(line):
        yield f"{match[0]} puts it into the background, where it is not supervised: leave it out"
    if "vendor/bin/heroku-" in line:
        yield "vendor/bin/heroku-... starts Heroku's own web server: use one of this machine"
