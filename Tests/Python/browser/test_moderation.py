"""The menu of a name, for everybody and for moderators, and the notices for those whom it is about."""

import pytest
from selenium.webdriver.common.keys import Keys

from support.confab_process import confab
from support.tokens import SECRET, token


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    key = tmp_path_factory.mktemp("keys") / "secret"
    key.write_text(SECRET)
    with confab("--auth-key", key, "--allow-guests", "read,say,history", "--max-guest-restriction", 0) as server:
        yield server


def host(person, server, room):
    text = token("u1", name="Host", rights=["read", "say", "history", "moderate"])
    host = person().open(server, f"{room}&token={text}")
    host.wait(lambda one: one.is_in)
    return host


def menu(one, name):
    """Opens the menu of a name in the list of people. Returns its items."""
    one.wait(lambda one: name in one.people)
    # The list may be drawn again meanwhile: the wait tries once more.
    one.wait(lambda one: next(
        button for button in one.browser.find_elements("css selector", "#people button") if name in button.text).click() is None)
    one.wait(lambda one: one.is_shown("#person-menu"))
    return one.texts("#person-menu button:not([hidden])")


def choose(one, name, item):
    menu(one, name)
    next(button for button in one.browser.find_elements("css selector", "#person-menu button") if button.text == item).click()


def note(one, text):
    one.wait(lambda one: one.texts("#note") == [text])


def test_everybody_mentions_and_hides(server, person):
    ann, bob = person().open(server, "hide", name="Ann"), person().open(server, "hide", name="Bob")
    bob.say("first")
    ann.say("hello")
    ann.wait_for("messages", ["first", "hello"])
    assert menu(ann, "Bob") == ["Mention", "Mute for me"]
    # With the keyboard: the arrows move, Escape closes, and the focus returns.
    focused = "return document.activeElement.textContent"
    assert ann.run(focused) == "Mention"
    ann.press(Keys.ARROW_DOWN)
    assert ann.run(focused) == "Mute for me"
    ann.press(Keys.ARROW_DOWN)
    assert ann.run(focused) == "Mention"
    ann.press(Keys.ESCAPE)
    assert not ann.is_shown("#person-menu") and ann.run("return document.activeElement.name") == "Bob"
    choose(ann, "Bob", "Mention")
    assert ann.draft == "@Bob "
    choose(ann, "Bob", "Mute for me")
    note(ann, "Messages of \u2068Bob\u2069 are hidden on this page.")
    shown = "#rows .message:not([hidden]) .text"
    assert ann.texts(shown) == ["hello"]
    bob.say("second")
    ann.say("third")
    ann.wait(lambda one: one.texts(shown) == ["hello", "third"])
    # It outlives the page, and the others see the messages.
    bob.wait_for("messages", ["first", "hello", "second", "third"])
    ann.browser.refresh()
    ann.wait(lambda one: one.texts(shown) == ["hello", "third"])
    assert menu(ann, "Bob") == ["Mention", "Unmute for me"]
    ann.press(Keys.ESCAPE)
    choose(ann, "Bob", "Unmute for me")
    ann.wait(lambda one: one.texts(shown) == ["first", "hello", "second", "third"])
    # The author of a message has the same menu, with a click or a long press.
    for event in "click", "contextmenu":
        ann.run("document.querySelector('#rows .author button')"
                f".dispatchEvent(new MouseEvent('{event}', {{ bubbles: true, cancelable: true }}))")
        assert ann.texts("#person-menu button:not([hidden])") == ["Mention", "Mute for me"]
        ann.press(Keys.ESCAPE)
    assert ann.complaints() == [] and bob.complaints() == []


def test_moderator_mutes_kicks_and_bans(server, person):
    mod, bob = host(person, server, "mod"), person().open(server, "mod", name="Bob")
    bob.say("hello")
    mod.wait_for("messages", ["hello"])
    assert menu(mod, "Bob") == ["Mention", "Mute for me", "Mute for 10 minutes", "Unmute", "Kick out", "Ban"]
    mod.press(Keys.ESCAPE)
    choose(mod, "Bob", "Mute for 10 minutes")
    mod.browser.switch_to.alert.dismiss()
    assert not bob.is_shown("#muted")
    choose(mod, "Bob", "Mute for 10 minutes")
    mod.browser.switch_to.alert.send_keys("too loud")
    mod.browser.switch_to.alert.accept()
    note(mod, "\u2068Bob\u2069 is muted.")
    bob.wait(lambda one: one.is_shown("#muted"))
    text = bob.texts("#muted")[0]
    assert text.startswith("You are muted until ") and text.endswith("Reason: too loud")
    assert bob.run("return document.getElementById('composer').inert") is True
    bob.find("#rename").click()
    bob.enter("Loud")
    bob.wait(lambda one: one.problem == "You are muted, and cannot change your name now.")
    bob.press(Keys.ESCAPE)
    # In the other language, and after a reload.
    bob.browser.refresh()
    bob.wait(lambda one: one.is_shown("#muted"))
    choose(mod, "Bob", "Unmute")
    note(mod, "\u2068Bob\u2069 is not muted any more.")
    bob.wait(lambda one: not one.is_shown("#muted"))
    bob.say("again")
    mod.wait_for("messages", ["hello", "again"])
    choose(mod, "Bob", "Unmute")
    note(mod, "This person has left, or there was nothing to lift.")
    choose(mod, "Bob", "Kick out")
    mod.browser.switch_to.alert.send_keys("out")
    mod.browser.switch_to.alert.accept()
    bob.wait(lambda one: one.banner.startswith("A moderator has kicked you out of this room. Reason: out"))
    # A kicked client may come back.
    bob.find("#banner button").click()
    bob.wait(lambda one: one.is_in)
    choose(mod, "Bob", "Ban")
    mod.browser.switch_to.alert.accept()
    bob.wait(lambda one: one.banner.startswith("You are banned from this room."))
    bob.browser.refresh()
    bob.wait(lambda one: one.banner.startswith("You are banned from this room."))
    assert mod.complaints() == [] and bob.complaints() == []
