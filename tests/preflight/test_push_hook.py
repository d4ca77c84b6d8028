"""`accept-pushes` installs a hook, and never replaces one that is not its own."""

import os
import subprocess
from pathlib import Path

import pytest

from blue_green.supervisor import settings_file
from tests.support.check_context import CheckedSite
from tests.support.command import cli

HOOK = ".git/hooks/update"


def hook_of(subject: CheckedSite) -> Path:
    return subject.checkout.path / HOOK


def accept(subject: CheckedSite) -> tuple[int, str, str]:
    subject.configure()
    done = cli(subject.directory, "accept-pushes")
    return done.code, done.out, done.err


def test_the_hook_is_installed_and_written_again_when_asked(subject: CheckedSite) -> None:
    code, out, _ = accept(subject)
    assert code == 0
    assert f"wrote {hook_of(subject)}, and set receive.denyCurrentBranch = updateIns" in out
    assert f"git remote add live USER@HOST:{subject.checkout.path}" in out
    assert subject.checkout.git("config", "receive.denyCurrentBranch") == "updateInstead"
    assert subject.checkout.git("config", "receive.advertiseAtomic") == "false"
    text = hook_of(subject).read_text()
    command = f'receive --config {subject.file} {subject.checkout.path} "$@"\n'
    assert text.endswith(command)
    assert os.access(hook_of(subject), os.X_OK)
    hook_of(subject).write_text(text.replace("exec ", "exec /gone/"))
    assert accept(subject)[0] == 0
    assert hook_of(subject).read_text() == text


def test_a_hook_of_the_user_is_kept(subject: CheckedSite) -> None:
    hook_of(subject).write_text("#!/bin/sh\nexit 0\n")
    code, _, err = accept(subject)
    assert code == 1
    assert f"there is a hook already: {hook_of(subject)}. To deploy with it, let it run" in err
    assert "receive --config" in err
    assert hook_of(subject).read_text() == "#!/bin/sh\nexit 0\n"
    with pytest.raises(subprocess.CalledProcessError):
        subject.checkout.git("config", "receive.denyCurrentBranch")


def test_hooks_that_other_repositories_share_are_left_alone(
    subject: CheckedSite, tmp_path: Path
) -> None:
    subject.checkout.git("config", "core.hooksPath", str(tmp_path / "shared"))
    code, _, err = accept(subject)
    assert code == 1
    assert f"core.hooksPath is {tmp_path}/shared, which other repositories may share" in err
    assert not (tmp_path / "shared").exists()


def test_one_of_several_checkouts_has_to_be_named(tmp_path: Path) -> None:
    file = tmp_path / "supervisor.toml"
    for name in ("blog", "shop"):
        with file.open("a") as settings:
            settings.write(
                f'[sites.{name}]\nhosts = ["{name}.example.com"]\n[sites.{name}.app]\n'
                f'command = ["x"]\n[sites.{name}.git]\ncheckout = "{name}"\n'
            )
    assert len(settings_file.load(file).sites) == 2
    done = cli(tmp_path, "accept-pushes")
    assert (done.code, done.err) == (2, "blue-green: name the site with --site: blog, shop\n")
    done = cli(tmp_path, "accept-pushes", "--site", "wiki")
    assert (done.code, "there is no site wiki" in done.err) == (2, True)
    done = cli(tmp_path, "accept-pushes", "--site", "blog")
    assert (done.code, f"{tmp_path}/blog: No such file" in done.err) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, and a checkout of another user")
def test_root_does_not_write_into_the_checkout_of_another_user(subject: CheckedSite) -> None:
    subprocess.run(["chown", "-R", "nobody", str(subject.checkout.path)], check=True)
    code, _, err = accept(subject)
    assert code == 1
    assert "belongs to nobody: run this as nobody, who also has to push" in err
    assert not hook_of(subject).exists()
