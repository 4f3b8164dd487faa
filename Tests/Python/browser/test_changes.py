"""Editing and deleting own messages in the page."""

from selenium.webdriver.common.keys import Keys

from support.confab_process import confab


def choose(person, text, item):
    """Chooses an item in the menu of the person's message with this text."""
    row = next(row for row in person.browser.find_elements("css selector", "#rows .own") if text in row.text)
    person.run("arguments[0].scrollIntoView()", row)
    row.find_element("css selector", ".more").click()
    person.wait(lambda one: one.is_shown("#menu"))
    next(button for button in person.browser.find_elements("css selector", "#menu button") if button.text == item).click()


def test_own_message_can_be_edited(server, person):
    ann = person().open(server, name="Ann")
    bob = person(size=(390, 844), touch=True).open(server, name="Bob")
    ann.say("helo")
    ann.say("second")
    ann.write("a draft")
    bob.wait_for("messages", ["helo", "second"])
    assert not bob.is_shown(".more")
    choose(ann, "helo", "Edit")
    assert ann.draft == "helo" and ann.is_shown("#editing")
    ann.press(Keys.ESCAPE)
    assert ann.draft == "a draft" and not ann.is_shown("#editing")
    choose(ann, "helo", "Edit")
    ann.press(Keys.BACKSPACE, "lo", Keys.ENTER)
    for one in (ann, bob):
        one.wait_for("messages", ["hello", "second"])
        assert "edited" in one.texts("#rows .message")[0] and "edited" not in one.texts("#rows .message")[1]
    assert ann.draft == "a draft"
    # A client that joins has the newest text, too.
    eve = person().open(server, name="Eve")
    eve.wait_for("messages", ["hello", "second"])
    assert ann.complaints() == [] and bob.complaints() == []


def test_own_message_can_be_removed(server, person):
    ann = person().open(server, "removal", name="Ann")
    bob = person().open(server, "removal", name="Bob")
    ann.say("secret")
    bob.say("what?")
    ann.wait_for("messages", ["secret", "what?"])
    choose(ann, "secret", "Delete for everyone")
    ann.browser.switch_to.alert.dismiss()
    choose(ann, "secret", "Delete for everyone")
    ann.browser.switch_to.alert.accept()
    for one in (ann, bob):
        one.wait_for("messages", ["This message was deleted.", "what?"])
    assert ann.texts("#rows .own .more") == []
    bob.browser.refresh()
    bob.wait_for("messages", ["This message was deleted.", "what?"])
    assert ann.complaints() == [] and bob.complaints() == []


def test_change_that_is_not_made_is_told(server, person):
    ann = person().open(server, "late", name="Ann")
    ann.say("text")
    ann.wait_for("messages", ["text"])
    with confab("--max-change-age", "0") as strict:
        eve = person().open(strict, name="Eve")
        eve.say("text")
        eve.wait_for("messages", ["text"])
        assert not eve.is_shown(".more")
    choose(ann, "text", "Edit")
    ann.run("document.querySelector('#rows .own').message.id = 999")
    ann.press("s", Keys.ENTER)
    ann.wait(lambda one: one.texts("#note") == ["The message could not be changed."])
    assert ann.messages == ["text"]
