"""Files with environment variables."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import process_time

import pytest

from blue_green.system import env_files
from blue_green.system.env_files import BadEnvFile
from tests.support.other_users import DAEMON, NOBODY, as_root

SECRET = "hunter2"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., dict[str, str]]:
    def read(*contents: str) -> dict[str, str]:
        files = [tmp_path / f"{number}.env" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_text(content)
        return env_files.read(files)

    return read


Read = Callable[..., dict[str, str]]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A = b # a comment", "b"),
        ("A=", ""),
        ("A=a=b#c", "a=b#c"),
        ('A="two\nlines"', "two\nlines"),
        (r'A="two\nlines, \"quoted\""', 'two\nlines, "quoted"'),
        (r"A='as it is: \n, ${B}, \"'", r'as it is: \n, ${B}, "'.replace('"', '\\"')),
        ("A=$B", "$B"),
        ("A=gr\u00fcn", "gr\u00fcn"),
        ("\ufeffA=after a byte-order mark", "after a byte-order mark"),
        ("\r\n\r\nA=b\r\n", "b"),
    ],
)
def test_a_line_is_read_as_python_dotenv_reads_it(read: Read, line: str, value: str) -> None:
    assert read(line) == {"A": value}


def test_later_lines_and_files_take_precedence(read: Read) -> None:
    assert read("A=1\nB=1\nA=2", "B=3") == {"A": "2", "B": "3"}


def test_a_value_can_refer_to_variables_above_it_and_in_earlier_files(read: Read) -> None:
    read_ = read("USER=shop", "URL=postgres://${USER}:${PORT:-5432}/${NONE:-}x")
    assert read_["URL"] == "postgres://shop:5432/x"


def test_nothing_comes_from_our_own_environment(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    assert read("A=${TOKEN:-none}") == {"A": "none"}
    with pytest.raises(BadEnvFile, match="line 1: refers to a variable that no line above it sets"):
        read("A=${TOKEN}")


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (f"A=1\n\n\n{SECRET}\n", 4, "is not NAME=value"),
        (f"# a comment\nA='{SECRET}", 2, "is not NAME=value"),
        (f"A=1\n2{SECRET}=1", 2, "the name may only have letters"),
        (f"A={SECRET}\0", 1, "the value has a NUL"),
        (f"A=${{{SECRET}}}", 1, "refers to a variable"),
        (f"A=${{{SECRET}?}}", 1, "has ${ without a name"),
        (f"\nA={SECRET * 20_000}", 2, "is longer than 131071 bytes"),
        (f"A={SECRET}{' ' * 201}#", 1, "more than 200 blanks"),
        (f"A={SECRET}\nB=\udc80", 2, "is not UTF-8"),
    ],
)
def test_an_error_names_the_file_and_the_line_but_not_its_content(
    tmp_path: Path, content: str, line: int, why: str
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(BadEnvFile) as caught:
        env_files.read([file])
    assert str(caught.value).startswith(f"{file}, line {line}: ")
    assert why in str(caught.value)
    assert SECRET not in str(caught.value)


def test_variables_that_refer_to_each_other_cannot_grow_without_limit(read: Read) -> None:
    lines = ["A0=" + "x" * 60_000, *(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}" for n in range(1, 20))]
    with pytest.raises(BadEnvFile, match="line 3: is longer than"):
        read("\n".join(lines))
    with pytest.raises(BadEnvFile, match="line 17: up to here, the variables have more than"):
        read("\n".join(["A0=" + "x" * 62_000, *(f"A{n}=${{A0}}" for n in range(1, 20))]))


@pytest.mark.parametrize(
    "line", ["A=" + " " * 199 + "b", "A=${", "A=" + "${A:-" * 26_000, 'A="', "A='", "#", "A=\\"]
)
def test_no_content_takes_the_parser_long(read: Read, line: str) -> None:
    count = min(env_files.MAX_LINES, env_files.MAX_SIZE // (len(line) + 1))
    began = process_time()
    with suppress(BadEnvFile):
        read("\n".join([line] * count))
    assert process_time() - began < 5


def test_a_file_with_too_many_lines_is_refused(read: Read) -> None:
    with pytest.raises(BadEnvFile, match="more than 10000 lines"):
        read("\n" * 10_001)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadEnvFile, match=r"gone.env: cannot be read: No such file"):
        env_files.read([tmp_path / "gone.env"])


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    fifo, large = tmp_path / "fifo", tmp_path / "large"
    os.mkfifo(fifo)
    large.write_bytes(b"\n" * (env_files.MAX_SIZE + 1))
    with pytest.raises(BadEnvFile, match="is not a regular file"):
        env_files.read([fifo])
    with pytest.raises(BadEnvFile, match="is larger than"):
        env_files.read([large])


@as_root
def test_root_reads_a_file_of_the_app_user_and_of_no_other_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = home / ".env"
    file.write_text("A=b")
    for path in (home, file):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert env_files.read([file], {NOBODY.pw_uid}) == {"A": "b"}
    with pytest.raises(BadEnvFile, match="it belongs neither to root nor to"):
        env_files.read([file], {DAEMON.pw_uid})


@as_root
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_root_reads_no_file_that_others_can_write(tmp_path: Path, mode: int) -> None:
    file = tmp_path / ".env"
    file.write_text("A=b")
    file.chmod(mode)
    with pytest.raises(BadEnvFile, match=rf"can write {file}: chmod go-w {file}"):
        env_files.read([file])


@as_root
def test_a_user_cannot_have_root_read_a_secret_through_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"A={SECRET}")
    secret.chmod(0o600)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    link = home / ".env"
    link.symlink_to(secret)
    hard = home / "hard.env"
    hard.hardlink_to(secret)
    for path in (link, hard):
        with pytest.raises(BadEnvFile, match=f"can write {home}"):
            env_files.read([path], {NOBODY.pw_uid})
    assert env_files.read([secret]) == {"A": SECRET}
