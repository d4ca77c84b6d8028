"""`check` finds paths that HEAD does not have, and an app that they leave out."""

from tests.support.check_context import CheckedSite, only, troubles


def test_a_path_that_head_does_not_have_is_a_warning(subject: CheckedSite) -> None:
    found = only(subject.check(git={"paths": ["app.py", "ap*", "text.txt/"]}))
    assert (found.verdict, found.about) == ("warned", "[git] paths")
    assert found.text == "HEAD has no ap*, so no commit changes it"
    assert "without patterns" in found.advice


def test_paths_without_the_app_are_a_warning(subject: CheckedSite) -> None:
    (subject.checkout.path / "shop").mkdir()
    (subject.checkout.path / "shop" / "app.py").write_text("pass")
    subject.checkout.commit()
    found = subject.check(app={"directory": "shop"}, git={"paths": ["app.py"]})
    [warning] = [one for one in troubles(found) if one.about == "[git] paths"]
    assert "in or above shop, the app's directory" in warning.text
    assert warning.advice == 'add "shop"'
    for paths in (["shop"], ["app.py", "shop/app.py"], ["."]):
        found = subject.check(git={"paths": paths})
        [one] = [one for one in found if one.about == "[git] paths"]
        assert (one.verdict, one.text) == (
            "passed",
            f"only commits that change {', '.join(paths)} are deployed",
        )


def test_an_app_in_a_directory_is_told_about_paths(subject: CheckedSite) -> None:
    (subject.checkout.path / "shop").mkdir()
    (subject.checkout.path / "shop" / "app.py").write_text("pass")
    subject.checkout.commit()
    found = subject.check(app={"directory": "shop"})
    [one] = [one for one in found if one.about == "[git] paths"]
    assert (one.verdict, 'paths = ["shop"]' in one.text) == ("passed", True)
