"""Accessibility: keyboard only, screen readers, high contrast, reduced motion."""

import contextlib
import pathlib

import axe_core_python
import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.keys import Keys

from browser.guest import Guest

AXE = (pathlib.Path(axe_core_python.__file__).parent / "axe.min.js").read_text()


def violations(person):
    """Runs axe-core on the page and returns its findings. WebDriver injects it, because the page's policy
    forbids other scripts."""
    person.run(AXE)
    found = person.run_async("return (await axe.run(document, { resultTypes: ['violations'] })).violations")
    return [(rule["id"], [node["html"][:200] + " " + node["failureSummary"] for node in rule["nodes"]]) for rule in found]


def still(person):
    """Stops animations: colours in transition have another contrast."""
    person.media("prefers-reduced-motion", "reduce")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violations(server, person, dark, language):
    names = ["Bob", "Ann Lee", "李雷", "نور", "Eve", "Zoë", "Mallory", "Oscar"]
    guests = [Guest(server, name) for name in names]
    for guest in guests:
        guest.say(f"Hello from {guest.name}, see https://example.org/.")
    ann = person(dark=dark, language=language).open(server)
    ann.run("const sheet = new CSSStyleSheet(); sheet.replaceSync('* { animation: none !important; transition: none !important }');"
            "document.adoptedStyleSheets = [sheet]")
    ann.wait(lambda one: one.find("#entry").is_displayed())
    assert violations(ann) == []
    ann.enter("Bob")
    ann.wait(lambda one: one.problem)
    assert violations(ann) == []
    ann.enter("Ann")
    ann.wait(lambda one: one.has_entered and len(one.messages) == len(guests))
    ann.say("Mine")
    ann.wait_for("own", ["Mine"])
    ann.write("👩‍👩‍👧‍👦" * 3900)
    ann.press(Keys.ENTER)
    ann.wait(lambda one: one.texts("#unsent button"))
    ann.write("x" * 4100)
    guests[0].send("typing")
    ann.wait(lambda one: one.typing)
    assert violations(ann) == []
    ann.resize(390, 844)
    ann.find("#open-side").click()
    assert violations(ann) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violations_in_the_list_of_rooms(server, person, dark):
    ann = person(dark=dark).open(server, name="Ann")
    still(ann)
    with Guest(server, "Bob", "tea") as bob:
        ann.run("localStorage.setItem('confab/rooms', '[\"/tea\", \"/milk\"]');"
                "localStorage.setItem(`confab/unsent/${JSON.parse(sessionStorage.getItem('confab/tab'))}/milk`,"
                "                     JSON.stringify([{ tag: 't', text: 'x', at: 1, failed: 'stale' }]))")
        ann.browser.refresh()
        while "Ann" not in bob.hear("presence")["joined"]:
            pass
        ann.find("#rooms li:nth-child(2) a").send_keys("")
        bob.say("Hello")
        ann.wait(lambda one: one.texts("#rooms .mark") == ["1", "1"])
        assert violations(ann) == []
        # The focus stays while the marks change.
        assert ann.run("return document.activeElement.textContent") == "#tea1, 1 new message"
        ann.press(Keys.TAB)
        assert ann.run("return document.activeElement.ariaLabel") == "Take #tea off the list"
        assert violations(ann) == []


def focused(person):
    return person.run("const { id, className, localName, ariaLabel } = document.activeElement; return id || className || localName")


def focus_comes_to(person, what):
    with contextlib.suppress(TimeoutException):
        person.wait(lambda one: focused(one) == what)
    assert focused(person) == what


def test_page_works_with_keyboard_only(server, person):
    with Guest(server, "Ann") as guest:
        ann = person().open(server)
        focus_comes_to(ann, "name")
        # Joins with a free name after a taken one; Escape does not close the card.
        ann.press("Ann", Keys.ENTER)
        ann.wait(lambda one: "already taken" in one.problem)
        ann.press(Keys.ESCAPE, Keys.ESCAPE)
        assert ann.run("return document.getElementById('entry').open")
        focus_comes_to(ann, "name")
        ann.press("Anna", Keys.ENTER)
        ann.wait(lambda one: one.has_entered)
        # Sends messages.
        focus_comes_to(ann, "chat-input")
        ann.press("Hello", Keys.ENTER, "again", Keys.ENTER)
        ann.wait_for("own", ["Hello", "again"])
        # The up arrow opens the menu of the last message.
        ann.press(Keys.ARROW_UP)
        ann.wait(lambda one: one.is_shown("#menu"))
        ann.press(Keys.ESCAPE)
        focus_comes_to(ann, "chat-input")
        ann.press(Keys.ARROW_UP, Keys.ENTER)
        ann.wait(lambda one: one.draft == "again")
        ann.press("!", Keys.ENTER)
        ann.wait_for("own", ["Hello", "again!"])
        focus_comes_to(ann, "chat-input")
        guest.say("many\n" * 60)
        ann.wait(lambda one: len(one.messages) == 3)
        # The log can be reached from the field with Shift+Tab, and scrolled.
        ann.press(Keys.HOME)
        ann.chord(Keys.SHIFT, Keys.TAB)
        focus_comes_to(ann, "log")
        ann.press(Keys.HOME)
        ann.wait(lambda one: one.is_shown("#jump"))
        ann.press(Keys.TAB)
        focus_comes_to(ann, "jump")
        ann.press(Keys.ENTER)
        ann.wait(lambda one: not one.is_shown("#jump"))
        focus_comes_to(ann, "chat-input")
        # Tab visits the other elements in visual order.
        order = []
        while not order or order[-1] != "chat-input":
            before = focused(ann)
            ann.chord(Keys.SHIFT, Keys.TAB)
            ann.wait(lambda one: focused(one) != before)
            order.append(focused(ann))
        assert [each for each in order if each != "body"] == [
            "log", "copy-link", "language", "rename", "button", "icon", "input", "a", "chat-input"]
        # Another room and another name.
        ann.find("#room-form input").send_keys("")
        ann.press("tea", Keys.ENTER)
        ann.wait_for("title", "#tea · Confab")
        ann.wait(lambda one: one.has_entered)
        ann.run("document.getElementById('rename').focus()")
        ann.press(Keys.ENTER)
        focus_comes_to(ann, "name")
        ann.press(Keys.ESCAPE)
        focus_comes_to(ann, "rename")
        ann.press(Keys.ENTER)
        focus_comes_to(ann, "name")
        ann.press("Annette", Keys.ENTER)
        ann.wait_for("people", ["Annette"])


def test_panel_on_narrow_screen_works_with_keyboard(server, person):
    ann = person(size=(390, 844)).open(server, name="Ann")
    ann.run("document.getElementById('open-side').focus()")
    ann.press(Keys.ENTER)
    ann.wait(lambda one: one.is_shown("#side"))
    ann.press(Keys.TAB)
    focus_comes_to(ann, "close-side")
    ann.press(Keys.ESCAPE)
    ann.wait(lambda one: not one.is_shown("#side"))
    focus_comes_to(ann, "open-side")


def test_screen_reader_announces_messages_and_presence(server, person):
    ann = person().open(server, name="Ann")
    with Guest(server, "Bob") as bob:
        bob.say("Hello")
        ann.say("Hi")
        ann.wait_for("messages", ["Hello", "Hi"])
    tree = ann.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node.get("ignored")]
    for expected in [("log", "Messages"), ("textbox", "Write a message"), ("button", "Send"), ("heading", "Lobby"),
                     ("complementary", "Rooms and people"), ("navigation", "Rooms"), ("textbox", "Name of a room"),
                     ("button", "Copy the link to this room"), ("image", "Sent"), ("link", "Lobby")]:
        assert expected in nodes, (expected, nodes)
    # Messages have their author in the text and are not announced by the log. Avatars are not read.
    log = ann.run("return document.getElementById('log').ariaLive")
    assert log is None
    rows = ann.run("return [...document.querySelectorAll('#rows .message')].map((row) => row.textContent)")
    assert "Bob" in rows[0] and "Hello" in rows[0] and "You" in rows[1]
    assert ann.run("return [...document.querySelectorAll('.avatar')].every((each) => each.ariaHidden === 'true')")


def test_reduced_motion_disables_animations(server, person):
    ann = person().open(server)
    still(ann)
    ann.enter("Ann")
    ann.wait(lambda one: one.has_entered)
    moving = ann.run("""return [...document.querySelectorAll("*")].filter((each) =>
      parseFloat(getComputedStyle(each).animationDuration) > 0 || parseFloat(getComputedStyle(each).transitionDuration) > 0).length""")
    assert moving == 0


def test_page_fits_with_large_type_and_zoom(server, person):
    ann = person(size=(640, 400)).open(server, name="Ann")
    ann.run("const sheet = new CSSStyleSheet(); sheet.replaceSync('html { font-size: 200% }'); document.adoptedStyleSheets = [sheet]")
    ann.say("large")
    ann.wait_for("own", ["large"])
    assert ann.run("return document.documentElement.scrollWidth <= innerWidth")
    bottom = ann.run("return document.getElementById('composer').getBoundingClientRect().bottom")
    assert bottom <= 400
