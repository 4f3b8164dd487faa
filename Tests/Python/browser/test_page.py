"""Users of the page in a real Chromium."""

import json
import re
import urllib.request

from selenium.webdriver.common.keys import Keys

from browser.chromium import Chromium, Person, trusting
from browser.guest import Guest, say_plainly
from support.confab_process import confab, make_certificate


def test_two_users_chat(server, person):
    ann = person().open(server, name="Ann")
    bob = person(language="zh-CN", size=(390, 844), touch=True).open(server, name="小明")
    ann.wait_for("events", ["小明 joined"])
    ann.say("Hello, everyone")
    bob.wait_for("messages", ["Hello, everyone"])
    bob.say("大家好")
    for one, other in ((ann, "小明"), (bob, "Ann")):
        one.wait_for("messages", ["Hello, everyone", "大家好"])
        assert sorted(one.people) == sorted(["Ann", "小明"])
        assert one.texts("#rows .message:not(.own) .author") == [other]
        assert one.texts(".day") == ["Today" if one is ann else "今天"]
    assert ann.own == ["Hello, everyone"] and bob.own == ["大家好"]
    assert ann.status == "2 people here" and bob.status == "2 人在线"
    assert ann.title == "Lobby · Confab" and bob.title == "大厅 · Confab"
    time = ann.texts("#rows time")[0]
    assert re.fullmatch(r"\d?\d:\d\d\s[AP]M", time), time
    assert ann.run("return document.querySelector('#rows .own .state').ariaLabel") == "Sent"
    bob.browser.get("about:blank")
    ann.wait_for("status", "1 person here")
    assert ann.events[-1] == "小明 left"
    assert ann.complaints() == []


def test_ten_users_see_the_same_order(server, person):
    people = [person(size=(900, 600)).open(server, "ten", f"Person {number}") for number in range(10)]
    for each in people:
        each.wait_for("status", "10 people here")
    for number, each in enumerate(people):
        each.say(f"I am {number}")
    for each in people:
        each.wait(lambda one: len(one.messages) == 10)
    orders = {tuple(each.messages) for each in people}
    assert len(orders) == 1 and sorted(orders.pop()) == [f"I am {number}" for number in range(10)]
    for number, each in enumerate(people):
        assert each.own == [f"I am {number}"]
    # All joins after the first one are in one line.
    assert people[0].texts(".event summary") == ["9 people joined"]


NAMES = ["👩‍👩‍👧‍👦 Zoë", "نور", "שרה כהן", "🦊", "O’Brien-Ñandú", "王小明"]


def test_emoji_and_bidirectional_names_and_texts(server, person):
    ann = person().open(server, name="Ann")
    guests = [Guest(server, name) for name in NAMES]
    for guest in guests:
        guest.say(f"{guest.name}: שלום, 你好, hello! 👋🏽")
    ann.wait(lambda one: len(one.messages) == len(NAMES))
    ann.wait(lambda one: sorted(one.people) == sorted(["Ann", *NAMES]))
    assert ann.texts("#rows .author bdi") == NAMES
    assert ann.texts("#rows .avatar") == ["👩‍👩‍👧‍👦", "ن", "שכ", "🦊", "O", "王"]
    directions = ann.run("return [...document.querySelectorAll('#rows .bubble')].map((each) => getComputedStyle(each).direction)")
    assert directions == ["ltr", "rtl", "rtl", "rtl", "ltr", "ltr"]
    assert ann.run("return document.documentElement.scrollWidth <= innerWidth")


INJECTIONS = ['<img src=x onerror="window.hit=1">', "<script>window.hit=1</script>", "javascript:window.hit=1",
              "\"><svg onload=window.hit=1>", "&lt;b&gt;", "{{7*7}}${7*7}"]


def test_markup_in_messages_is_shown_as_text(server, person):
    ann = person().open(server, name="<b>Ann</b>")
    with Guest(server, "<img src=x onerror=hit=1>") as guest:
        for text in INJECTIONS:
            guest.say(text)
        guest.say("https://example.org/?q=<script>hit=1</script>")
        ann.wait_for("messages", [*INJECTIONS, "https://example.org/?q=<script>hit=1</script>"])
        guest.send("typing")
        ann.wait_for("typing", "<img src=x onerror=hit=1> is typing…")
        assert ann.texts("#people bdi") == ["<b>Ann</b>", "<img src=x onerror=hit=1>"]
        assert ann.run("return [...document.querySelectorAll('#rows a')].map((each) => each.href)") == ["https://example.org/?q="]
        assert ann.run("return window.hit") is None
        assert ann.run("return document.querySelectorAll('main img, main script, main b').length") == 0
    ann.open(server, "<svg onload=hit=1>")
    ann.wait(lambda one: one.has_entered)
    assert ann.find("#room").text == "#<svg onload=hit=1>"
    assert ann.complaints() == []


def test_links_can_be_clicked(server, person):
    ann = person().open(server, name="Ann")
    ann.say(f"See {server.http}icon.svg, please.")
    link = ann.wait(lambda one: one.find("#rows a"))
    assert link.text == f"{server.http}icon.svg"
    assert "noopener" in link.get_attribute("rel")
    before = set(ann.browser.window_handles)
    link.click()
    opened = ann.wait(lambda one: set(one.browser.window_handles) - before).pop()
    ann.chromium.driver.switch_to.window(opened)
    assert ann.chromium.driver.execute_script("return window.opener") is None
    ann.chromium.driver.close()


def test_rooms_are_entered_by_link(server, person):
    ann = person().open(server, "tea", "Ann")
    assert ann.find("#room").text == "#tea" and ann.title == "#tea · Confab"
    ann.say("in the tea room")
    ann.wait_for("own", ["in the tea room"])
    with Guest(server, "Bob", "tea") as bob:
        assert bob.welcome["people"] and bob.welcome["messages"][0]["text"] == "in the tea room"
    field = ann.find("#room-form input")
    field.send_keys("茶 & more/深い", Keys.ENTER)
    ann.wait_for("title", "#茶 & more/深い · Confab")
    ann.wait(lambda one: one.has_entered)
    assert ann.messages == []
    ann.write("a draft for this room")
    ann.find("#rooms li:nth-child(3) a").click()
    ann.wait_for("title", "#tea · Confab")
    ann.wait_for("own", ["in the tea room"])
    assert ann.draft == ""
    ann.browser.back()
    ann.wait_for("draft", "a draft for this room")
    ann.find("#rooms li:first-child a").click()
    ann.wait_for("title", "Lobby · Confab")
    assert ann.texts("#rooms bdi") == ["Lobby", "#茶 & more/深い", "#tea"]


def test_messages_of_plain_clients_are_shown(server, person):
    ann = person().open(server, name="Ann")
    say_plainly(server, ["At Tue Nov 24 2026\n来自用户417\nfirst line\nsecond line", "no form at all", b"\0\1\2"])
    ann.wait_for("messages", ["first line\nsecond line", "no form at all", "3 bytes of binary data"])
    assert ann.texts("#rows .author bdi") == ["User 417", "Guest", "Guest"]


def test_title_counts_unread_messages(server, person):
    ann, bob = person().open(server, name="Ann"), Guest(server, "Bob")
    ann.minimize(True)
    ann.wait(lambda one: one.run("return document.hidden"))
    for text in ("one", "two", "three"):
        bob.say(text)
    ann.wait_for("title", "(3) Lobby · Confab")
    ann.minimize(False)
    ann.wait_for("title", "Lobby · Confab")


def test_page_is_shown_in_both_languages(server, person):
    ann = person(language="fr-FR,zh-TW;q=0.9,en;q=0.8").open(server)
    ann.wait(lambda one: one.find("#enter").text == "进入群聊")
    ann.find("#entry .language").click()
    assert ann.find("#enter").text == "Join the chat"
    ann.enter("Ann")
    ann.wait(lambda one: one.has_entered)
    ann.say("Hello")
    ann.wait_for("messages", ["Hello"])
    ann.find("#side .language").click()
    assert ann.texts(".day") == ["今天"] and ann.status == "1 人在线" and ann.title == "大厅 · Confab"
    assert ann.run("return document.documentElement.lang") == "zh-CN"
    # The browser remembers the choice.
    ann.browser.refresh()
    ann.wait_for("status", "1 人在线")


def test_page_fits_a_narrow_screen(server, person):
    ann = person(size=(320, 568), touch=True).open(server, name="Ann")
    with Guest(server, "Bob") as bob:
        bob.say("Donaudampfschifffahrt" * 30)
        bob.say("https://example.org/" + "a" * 300)
        ann.say("mine")
        ann.wait_for("own", ["mine"])
        # Everything fits the screen's width, and the field is visible.
        assert ann.run("return [document.documentElement, document.getElementById('log')]"
                       ".every((each) => each.scrollWidth <= each.clientWidth)")
        box = ann.run("const { right, bottom, height } = document.getElementById('send-btn').getBoundingClientRect();"
                      "return [right, bottom, height]")
        assert box[0] <= 320 and box[1] <= 568 and box[2] >= 39
        assert not ann.is_shown("#side")
        ann.find("#open-side").click()
        ann.wait(lambda one: one.is_shown("#side"))
        assert sorted(ann.people) == ["Ann", "Bob"]
        ann.press(Keys.ESCAPE)
        ann.wait(lambda one: not one.is_shown("#side"))
        # The on-screen keyboard opens: the newest message stays visible.
        ann.resize(320, 300)
        ann.wait(lambda one: one.run("const last = document.querySelector('#rows').lastElementChild.getBoundingClientRect();"
                                     "return last.bottom <= document.getElementById('composer').getBoundingClientRect().top"))


def test_page_is_installable(server, person):
    ann = person().open(server)
    with urllib.request.urlopen(server.http + "confab.webmanifest") as answer:
        assert answer.headers["Content-Type"] == "application/manifest+json"
        manifest = json.load(answer)
    assert ann.find("link[rel=manifest]").get_property("href") == server.http + "confab.webmanifest"
    assert manifest["display"] == "standalone" and manifest["start_url"] == "/"
    # Only the browser's default profile can install pages.
    home = ann.chromium.driver
    home.switch_to.window(ann.chromium.home)
    home.get(server.http)
    assert home.execute_cdp_cmd("Page.getInstallabilityErrors", {}) == {"installabilityErrors": []}
    home.get("about:blank")
    for icon in manifest["icons"]:
        width = ann.run_async("const image = new Image(); image.src = arguments[0]; await image.decode(); return image.naturalWidth",
                              icon["src"])
        assert width > 0


def test_another_tab_takes_over_the_session(server, person):
    ann = person().open(server, name="Ann")
    seat = json.loads(ann.run("return sessionStorage.getItem('confab/seat/')"))
    with Guest(server, "Ann", session=seat):
        ann.wait(lambda one: "another tab" in one.banner)
        ann.find("#banner button").click()
        ann.wait(lambda one: one.is_in)
        assert ann.banner == "" and ann.people == ["Ann"]


def test_page_works_over_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    chromium = Chromium(*trusting(certificate))
    try:
        with confab("--tls-cert", certificate, "--tls-key", key) as server:
            ann = Person(chromium, chromium.profile()).open(server, name="Ann")
            text = "over TLS, " + "and compressed, " * 20 + "end"
            ann.say(text)
            ann.wait_for("messages", [text])
            assert ann.complaints() == []
    finally:
        chromium.quit()
