"""The environment of an app in Python: its interpreter, and how its packages are installed."""

import re
import shutil
import tomllib
from collections.abc import Sequence

from attrs import evolve, frozen

from blue_green.preflight.init.app import steps
from blue_green.preflight.init.checkout import Checkout

ENVIRONMENTS = (".venv", "venv", "env")
REQUIREMENTS = ("requirements.txt", "pyproject.toml", "Pipfile", "setup.cfg")
OWN = ".venv"
"""The environment that is built in each release."""
SHARED = "{} is linked: all releases share it, even when its requirements change"
ADDED = "{} is not among the requirements, so build installs it: add it there, with a version"
UV_ADD = ("uv", "pip", "install", "-q", "--python", OWN)
SERVICES_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemd looks for the programs of a service (systemd.exec(5))."""
UV_ELSEWHERE = (
    "a service does not find uv in {}: install it where all users can run it, such as "
    "/usr/local/bin"
)


@frozen
class Python:
    """The interpreter of an app, and where it comes from."""

    program: str
    build: Sequence[Sequence[str]] = ()
    """The commands that make the environment, in a release."""
    add: Sequence[str] = ()
    """The command that installs further packages into it."""
    link: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    """The names in the app's requirements, in lower case."""
    installed: frozenset[str] = frozenset()
    advice: tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        """Where the programs of the environment are; empty if it has none of its own."""
        return self.program.rpartition("/")[0]

    def run(self, *words: str) -> tuple[str, ...]:
        """The command that runs a module."""
        return (self.program, "-m", *words)

    def first(self, *names: str) -> str | None:
        """The first of these packages that is required or installed."""
        return next((name for name in names if name in self.required | self.installed), None)

    def having(self, package: str) -> "Python":
        """The same, with this package, as far as it is built in each release."""
        if not self.add or self.first(package):
            return self
        return evolve(
            self,
            build=(*self.build, (*self.add, package)),
            required=self.required | {package},
            advice=(*self.advice, ADDED.format(package)),
        )

    def build_and(self, *further: Sequence[str]) -> tuple[str, ...]:
        """The build of a release: the environment, and then these commands."""
        return steps(*self.build, *further)


def python_of(checkout: Checkout) -> Python:
    """Prefer an environment that is built for each release to one that all releases share.

    With uv that takes a second, since it links the files of its cache; with pip it takes longer
    than many want to wait, so an environment in the checkout is then used as it is.
    """
    required = _required(checkout)
    uv = find_uv()
    if uv and (by_uv := _by_uv(checkout)):
        place = uv.rpartition("/")[0]
        advice = () if place in SERVICES_PATH.split(":") else (UV_ELSEWHERE.format(place),)
        return Python(f"{OWN}/bin/python", by_uv, UV_ADD, required=required, advice=advice)
    for name in ENVIRONMENTS:
        if checkout.has(f"{name}/bin/python") and name not in checkout.tracked:
            return Python(
                f"{name}/bin/python",
                link=(name,),
                required=required,
                installed=_installed(checkout, name),
                advice=(SHARED.format(name),),
            )
    if wanted := _by_pip(checkout):
        add = (f"{OWN}/bin/pip", "install", "-q")
        by_pip = (("python3", "-m", "venv", OWN), (*add, *wanted))
        return Python(f"{OWN}/bin/python", by_pip, add, required=required)
    return Python("python3", required=required)


def find_uv() -> str | None:
    """The path of uv, if it is installed."""
    return shutil.which("uv")


def _by_uv(checkout: Checkout) -> Sequence[Sequence[str]]:
    """The commands of uv that make the environment, if there is something to install."""
    project = _project(checkout)
    if "uv.lock" in checkout.tracked:
        return (("uv", "sync", "--frozen", "--no-dev"),)
    if "requirements.txt" in checkout.tracked:
        wanted: Sequence[str] = ("-r", "requirements.txt")
    elif "build-system" in project:
        wanted = (".",)
    elif "project" in project:
        wanted = ("-r", "pyproject.toml")
    else:
        return ()
    return (("uv", "venv", "-q", "--allow-existing", OWN), (*UV_ADD, *wanted))


def _by_pip(checkout: Checkout) -> Sequence[str]:
    """What pip installs."""
    if "requirements.txt" in checkout.tracked:
        return ("-r", "requirements.txt")
    project = _project(checkout)
    return (".",) if "project" in project or "build-system" in project else ()


def _project(checkout: Checkout) -> dict[str, object]:
    """What is in pyproject.toml."""
    if "pyproject.toml" not in checkout.tracked:
        return {}
    try:
        return tomllib.loads(checkout.text("pyproject.toml"))
    except tomllib.TOMLDecodeError:
        return {}


def _required(checkout: Checkout) -> frozenset[str]:
    """The words in files that list requirements: some are not packages, which does no harm."""
    text = "\n".join(map(checkout.text, REQUIREMENTS))
    return frozenset(word.lower() for word in re.findall(r"[A-Za-z][\w-]*", text))


def _installed(checkout: Checkout, environment: str) -> frozenset[str]:
    places = (checkout.path / environment).glob("lib/python3*/site-packages/*")
    return frozenset(place.name.lower() for place in places if place.is_dir())
