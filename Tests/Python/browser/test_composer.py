"""Writing messages in the page."""

from selenium.webdriver.common.keys import Keys

from browser.guest import Guest
from support.confab_process import confab


def test_enter_sends_and_shift_enter_breaks_the_line(server, person):
    ann = person().open(server, name="Ann")
    ann.find("#chat-input").send_keys("one", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two")
    assert ann.draft == "one\ntwo"
    ann.press(Keys.ENTER)
    ann.wait_for("messages", ["one\ntwo"])
    ann.press("   ", Keys.ENTER)
    assert ann.draft == "   " and ann.find("#send-btn").get_property("disabled")
    ann.write("by the button")
    ann.find("#send-btn").click()
    ann.wait_for("messages", ["one\ntwo", "by the button"])
    assert ann.draft == ""


def test_enter_during_input_method_composition_does_not_send(server, person):
    ann = person(language="zh-CN").open(server, name="小明")
    ann.find("#chat-input").click()
    command = ann.browser.execute_cdp_cmd
    command("Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5})
    ann.run("document.getElementById('chat-input').dispatchEvent(new KeyboardEvent('keydown',"
            "{ key: 'Enter', isComposing: true, bubbles: true, cancelable: true }))")
    ann.run("document.getElementById('chat-input').dispatchEvent(new KeyboardEvent('keydown',"
            "{ key: 'Enter', keyCode: 229, bubbles: true, cancelable: true }))")
    assert ann.unsent == [] and ann.messages == []
    command("Input.insertText", {"text": "你好"})
    assert ann.draft == "你好"
    ann.press(Keys.ENTER)
    ann.wait_for("messages", ["你好"])


def test_draft_survives_reload(server, person):
    ann = person().open(server, name="Ann")
    ann.write("half a thou")
    ann.browser.refresh()
    ann.wait_for("draft", "half a thou")
    # A new tab gets the draft of a closed one.
    ann.wait(lambda one: one.has_entered)
    heir = person(beside=ann)
    ann.browser.close()
    heir.open(server)
    heir.wait_for("draft", "half a thou")


def test_length_limit_is_shown_while_typing(server, person):
    ann = person().open(server, name="Ann")
    counter = "return document.getElementById('counter').value"
    ann.write("x" * 3000)
    assert ann.run(counter) == ""
    ann.write("👩‍👩‍👧‍👦" * 3900)
    assert ann.run(counter) == "100 characters left"
    ann.write("é" * 4001)
    assert ann.run(counter) == "1 character too many"
    assert ann.find("#send-btn").get_property("disabled")
    ann.press(Keys.ENTER)
    assert ann.draft == "é" * 4001
    ann.press(Keys.BACKSPACE)
    assert ann.run(counter) == "0 characters left"
    ann.press(Keys.ENTER)
    ann.wait_for("messages", ["é" * 4000])


def test_typing_notice_is_shown_until_typing_ends(server, person):
    ann, bob = person().open(server, name="Ann"), person().open(server, name="Bob")
    bob.press("a")
    ann.wait_for("typing", "Bob is typing…")
    bob.press(Keys.ENTER)
    ann.wait_for("messages", ["a"])
    assert ann.typing == ""
    bob.press("b")
    ann.wait_for("typing", "Bob is typing…")
    # The notice expires.
    ann.wait_for("typing", "")


def test_message_over_rate_limit_is_announced_and_sent_later(person):
    with confab("--max-event-rate", 4, "--max-event-burst", 4) as server:
        ann, bob = person().open(server, name="Ann"), Guest(server, "Bob")
        texts = [f"message {number}" for number in range(12)]
        ann.run("""
          window.troubles = new Set();
          new MutationObserver(() => document.querySelectorAll(".trouble").forEach((each) => troubles.add(each.innerText)))
            .observe(document.getElementById("unsent"), { childList: true, subtree: true });
          const field = document.getElementById("chat-input");
          for (const text of arguments[0]) {
            field.value = text;
            field.dispatchEvent(new Event("input"));
            field.form.requestSubmit();
          }
        """, texts)
        assert bob.messages(12) == texts
        assert ann.run("return [...troubles]") == ["A little too fast: your message will be sent in a moment."]
        ann.wait_for("own", texts)
        assert ann.unsent == []
