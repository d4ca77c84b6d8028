"""`blue-green init` for a second app: it becomes one of several sites, and none is added twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from blue_green.config.settings import Settings
from blue_green.supervisor import settings_file
from tests.support.command import cli
from tests.support.launch import Done
from tests.support.repository import Repository

MakeCheckout = Callable[[str], Path]


@pytest.fixture
def checkout(tmp_path: Path) -> MakeCheckout:
    """Makes a checkout of static files with this name."""

    def make(name: str) -> Path:
        repository = Repository(tmp_path / "srv" / name)
        (repository.path / "index.html").write_text(name)
        repository.commit()
        return repository.path

    return make


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The directory of the settings."""
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


def init(directory: Path, *words: str | Path) -> Done:
    return cli(directory, "init", "--yes", *map(str, words))


def loaded(etc: Path) -> Settings:
    return settings_file.load(etc / "supervisor.toml")


def test_a_new_settings_file_can_be_for_several_sites(etc: Path, checkout: MakeCheckout) -> None:
    done = init(etc, "--several", checkout("blog"))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith("wrote sites/blog.toml for static files")
    assert done.out.splitlines()[-3:] == [
        "the site blog gets the requests for blog.localhost",
        "next: blue-green check --start --site blog supervisor.toml",
        "then: blue-green reload, if the supervisor is running",
    ]
    how_to_check = f"#     blue-green check --start --site blog {etc}/supervisor.toml\n"
    assert how_to_check in (etc / "sites" / "blog.toml").read_text()
    [site] = loaded(etc).sites
    assert (site.name, site.file, site.serving.hosts) == (
        "blog",
        etc / "sites" / "blog.toml",
        ("blog.localhost",),
    )
    assert cli(etc, "check").code == 0


def test_a_further_app_becomes_a_file_of_its_own(etc: Path, checkout: MakeCheckout) -> None:
    init(etc, "--several", checkout("blog"))
    before = (etc / "supervisor.toml").read_text()
    hosts = ["--host", "shop.example.com", "--host", "*.shop.example.com"]
    done = init(etc, *hosts, checkout("My Shop"))
    assert done.out.splitlines()[0].startswith("wrote sites/My-Shop.toml")
    assert (etc / "supervisor.toml").read_text() == before
    shop = loaded(etc).sites[0]
    assert (shop.name, shop.serving.hosts) == (
        "My-Shop",
        ("shop.example.com", "*.shop.example.com"),
    )
    assert "[proxy]" not in shop.file.read_text()
    assert shop.app.ports is None, "two are found when it starts"
    assert cli(etc, "check").code == 0


def test_the_settings_file_of_the_sites_may_be_elsewhere(etc: Path, checkout: MakeCheckout) -> None:
    init(etc, "--several", checkout("blog"))
    shop = checkout("shop")
    done = init(shop, "--file", etc / "supervisor.toml")
    assert done.code == 0, done.err
    assert [site.name for site in loaded(etc).sites] == ["blog", "shop"]
    assert not (shop / "supervisor.toml").exists()
    assert f"next: blue-green check --start --site shop {etc}/supervisor.toml" in done.out


def test_the_file_of_the_site_may_be_named(etc: Path, checkout: MakeCheckout) -> None:
    init(etc, "--several", checkout("blog"))
    assert init(etc, "--file", "sites/store.toml", checkout("shop")).code == 0
    assert [site.name for site in loaded(etc).sites] == ["blog", "store"]
    assert init(etc / "sites", "--file", "third.toml", checkout("third")).code == 0
    assert [site.name for site in loaded(etc).sites] == ["blog", "store", "third"]


def test_a_checkout_is_not_added_twice(etc: Path, checkout: MakeCheckout) -> None:
    blog = checkout("blog")
    init(etc, "--several", blog)
    file = etc / "sites" / "blog.toml"
    file.write_text(file.read_text().replace("blog.localhost", "mine.example.com"))
    for words in ([], ["--file", "sites/another.toml"], ["--several"]):
        done = init(etc, *words, blog)
        assert done == Done(
            1,
            "",
            f"blue-green: {blog} is already the site blog in sites/blog.toml: use --force to "
            "overwrite that file\n",
        )
    assert "mine.example.com" in file.read_text()
    assert init(etc, "--force", blog).code == 0
    assert loaded(etc).sites[0].serving.hosts == ("blog.localhost",)


def test_another_checkout_of_the_same_name_needs_another_file(
    etc: Path, checkout: MakeCheckout
) -> None:
    init(etc, "--several", checkout("blog"))
    done = init(etc, checkout("other/blog"))
    assert (done.code, done.err) == (
        1,
        "blue-green: sites/blog.toml already exists: name another file with --file\n",
    )
    done = init(etc, "--file", "sites/Blog.toml", checkout("third/blog"))
    assert "there is already a site blog in " in done.err


def test_a_site_in_the_main_file_is_edited_there(etc: Path, checkout: MakeCheckout) -> None:
    blog, shop = checkout("blog"), checkout("shop")
    (etc / "supervisor.toml").write_text(f'[sites.blog.git]\ncheckout = "{blog}"\n')
    assert (
        f"{blog} is already [sites.blog] in supervisor.toml: edit it there" in init(etc, blog).err
    )
    assert 'add include = ["sites/*.toml"] before its first section' in init(etc, shop).err


def test_a_host_that_another_site_has_is_refused_and_nothing_is_left(
    etc: Path, checkout: MakeCheckout
) -> None:
    init(etc, "--several", checkout("blog"))
    done = init(etc, "--host", "blog.localhost", checkout("shop"))
    assert done.code == 2
    assert done.err.startswith("blue-green: sites/shop.toml: hosts: blog.localhost is also in ")
    assert [path.name for path in (etc / "sites").iterdir()] == ["blog.toml"]


def test_the_file_of_one_site_comes_with_the_steps_to_several(
    etc: Path, checkout: MakeCheckout
) -> None:
    blog, shop = checkout("blog"), checkout("shop")
    init(etc, blog)
    assert "already exists: use --force to overwrite it" in init(etc, blog).err
    done = init(etc, shop)
    assert (done.code, done.out) == (1, "")
    assert f"supervisor.toml is for one site, {blog}. To serve {shop} as well:" in done.err
    assert "1. mkdir sites && mv supervisor.toml sites/blog.toml" in done.err
    # As the steps say.
    (etc / "sites").mkdir()
    text = (etc / "supervisor.toml").read_text()
    site, process = text.split("[proxy]")
    (etc / "sites" / "blog.toml").write_text(f'hosts = ["blog.localhost"]\n{site}')
    (etc / "supervisor.toml").write_text(f'include = ["sites/*.toml"]\n[proxy]{process}')
    assert init(etc, shop).code == 0
    assert [site.name for site in loaded(etc).sites] == ["blog", "shop"]
    assert cli(etc, "check").code == 0


def test_the_only_site_gets_the_hosts_that_are_named(etc: Path, checkout: MakeCheckout) -> None:
    assert init(etc, "--host", "blog.example.com", checkout("blog")).code == 0
    assert loaded(etc).is_single
    assert loaded(etc).sites[0].serving.hosts == ("blog.example.com",)
