"""Names of the page's users: chosen, taken, changed, and from a login."""

import pytest
from selenium.webdriver.common.keys import Keys

from browser.guest import Guest
from support.confab_process import confab
from support.tokens import SECRET, token


def test_taken_name_is_rejected_with_a_proposal(server, person):
    with Guest(server, "Ann"):
        ann = person().open(server)
        ann.enter("ann")
        ann.wait(lambda one: "“ann” is already taken" in one.problem)
        proposal = ann.find("#name").get_property("value")
        assert proposal.casefold() == "ann2"
        ann.find("#name").send_keys(Keys.ENTER)
        ann.wait(lambda one: one.has_entered)
        assert proposal in ann.people
        # The page proposes the name again next time.
        ann.browser.refresh()
        ann.wait(lambda one: one.has_entered)
        assert proposal in ann.people


@pytest.mark.parametrize("name", ["x" * 33, "Ann\u202etxt", "\u200b"])
def test_invalid_name_is_rejected(server, person, name):
    ann = person().open(server)
    ann.enter(name)
    ann.wait(lambda one: "does not work" in one.problem)
    ann.enter("Ann")
    ann.wait(lambda one: one.has_entered)


def test_name_is_asked_for_once(server, person):
    ann = person().open(server)
    ann.enter("   ")
    assert ann.problem == "Please enter a name."
    ann.enter("  Ann \t Lee ")
    ann.wait(lambda one: one.has_entered)
    assert ann.people == ["Ann Lee"]
    ann.browser.refresh()
    ann.wait(lambda one: one.has_entered)
    assert ann.people == ["Ann Lee"]
    # A second tab of the same browser is another user.
    other = person(beside=ann).open(server)
    other.wait(lambda one: "already taken" in one.problem)
    other.find("#name").send_keys(Keys.ENTER)
    other.wait(lambda one: one.has_entered)
    ann.say("from the first tab")
    other.wait_for("messages", ["from the first tab"])
    assert other.own == []
    # A reload keeps that name.
    second = other.run("return document.querySelector('#people bdi').textContent")
    other.browser.refresh()
    other.wait(lambda one: one.has_entered)
    assert other.people[0] == second != "Ann Lee"
    # The browser remembers the first name.
    ann.browser.close(), other.browser.close()
    again = person(beside=ann).open(server)
    again.wait(lambda one: one.people == ["Ann Lee"])


def test_user_can_rename(server, person):
    ann, bob = (person().open(server, name=name) for name in ("Ann", "Bob"))
    ann.say("before")
    ann.find("#rename").click()
    ann.enter("Bob")
    ann.wait(lambda one: "already taken" in one.problem)
    ann.enter("Anna")
    ann.wait(lambda one: one.has_entered)
    bob.wait(lambda one: "Anna" in one.people)
    assert bob.events[-1] == "Ann is now Anna"
    ann.say("after")
    ann.wait_for("own", ["before", "after"])
    ann.browser.refresh()
    ann.wait_for("people", ["Anna", "Bob"])
    ann.wait_for("own", ["before", "after"])


def test_user_with_a_token(person, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    with confab("--auth-key", tmp_path / "secret") as server:
        text = token("u1", name="Ann Lee", rooms=["/tea"])
        ann = person().open(server, f"tea&token={text}")
        ann.wait(lambda one: one.is_in)
        assert ann.people == ["Ann Lee"] and ann.run("return location.href") == f"{server.http}#tea"
        ann.say("hello")
        ann.wait_for("own", ["hello"])
        # A reload keeps the token; a link to the page does not contain it.
        ann.browser.refresh()
        ann.wait(lambda one: one.is_in)
        assert ann.people == ["Ann Lee"]
        ann.find("#rename").click()
        ann.enter("Bob")
        ann.wait_for("problem", "Your name comes from your login, and cannot be changed here.")
        other = person().open(server, "tea")
        other.wait(lambda one: one.banner.startswith("You need to log in, or a link with a token."))
        reader = person().open(server, f"tea&token={token('u2', rights=['read'])}")
        reader.enter("Cid")
        reader.wait(lambda one: one.is_in)
        assert reader.run("return document.getElementById('composer').inert") is True
        # A moderator has a menu on the messages of others, too.
        host = person().open(server, f"tea&token={token('u3', name='Host', rights=['read', 'moderate', 'history'])}")
        host.wait_for("messages", ["hello"])
        host.find("#rows .more").click()
        assert host.texts("#menu button:not([hidden])") == ["Delete for everyone"]
        host.find("#menu button:not([hidden])").click()
        host.browser.switch_to.alert.accept()
        ann.wait_for("messages", ["This message was deleted."])
        away = person().open(server, f"coffee&token={text}")
        away.wait(lambda one: one.banner.startswith("You may not enter this room."))
        assert [one.complaints() for one in (ann, other, reader, away)] == [[]] * 4


def test_user_with_a_cookie_is_not_asked_for_a_name(person, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    with confab("--auth-key", tmp_path / "secret", "--auth-cookie", "login", "--allow-guests", "read,say") as server:
        ann = person().open(server, "tea")
        ann.wait(lambda one: one.find("#entry").is_displayed())
        ann.run(f"document.cookie = 'login={token('u1', name='Ann Lee')}; path=/'")
        ann.browser.refresh()
        ann.wait(lambda one: one.is_in)
        assert ann.people == ["Ann Lee"] and not ann.find("#entry").is_displayed()
        ann.say("hello")
        ann.wait_for("own", ["hello"])
        assert ann.complaints() == []
