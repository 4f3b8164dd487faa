"""Several rooms over one connection: the list of rooms, what is unread in them, and what is shown."""

import time

import pytest
from selenium.webdriver.common.keys import Keys

from browser.guest import Guest
from browser.room_list import is_gone, is_here, marked, marks, rooms, show, visitor
from support.confab_process import confab, free_port
from support.metrics import metrics
from support.network import Network


def connected(admin, count):
    """Waits until the server has so many WebSocket connections. The metrics are up to 250 ms old."""
    end = time.monotonic() + 20
    while (now := metrics(admin)["confab_connections",]) != count:
        assert time.monotonic() < end, now
        time.sleep(.05)


@pytest.fixture
def ann(server, person):
    """Ann has opened the lobby, #tea and #milk, and the lobby is shown."""
    return visitor(person, server, "", "milk", "tea", "")


def test_rooms_share_one_connection(person):
    admin = f"127.0.0.1:{free_port()}"
    with confab("--admin", admin) as server:
        ann = visitor(person, server, "", "milk", "tea", "")
        with Guest(server, "Bob", "tea") as bob, Guest(server, "Bob", "milk") as other:
            for guest in (bob, other):
                is_here(guest, "Ann")
            show(ann, "#tea")
            ann.say("from the one connection")
            assert bob.messages(1) == ["from the one connection"]
            ann.wait_for("own", ["from the one connection"])
            show(ann, "#milk"), show(ann, "Lobby"), show(ann, "#tea")
            # A room that is not in the list yet is entered, too.
            ann.open(server, "coffee")
            ann.wait(lambda one: one.has_entered)
            ann.say("and here")
            ann.wait_for("own", ["and here"])
            connected(admin, 3)
            for guest in (bob, other):
                guest.say("last")
                assert not any("Ann" in event.get("left", []) for event in guest.events)
    assert rooms(ann) == ["Lobby", "#coffee", "#tea", "#milk"]
    assert ann.complaints() == []


def test_unread_messages_are_counted_until_the_room_is_shown(server, person, ann):
    with Guest(server, "Bob", "tea") as bob, Guest(server, "Bob", "milk") as other:
        is_here(bob, "Ann"), is_here(other, "Ann")
        bob.say("one"), bob.say("two"), other.say("three")
        marked(ann, {"#tea": "2", "#milk": "1"})
        assert ann.run("return document.querySelector('#rooms li:nth-child(2) a').textContent") == "#tea2, 2 new messages"
        assert ann.messages == [] and ann.title == "Lobby · Confab"
        # Messages of the reader in another tab do not count.
        tab = person(beside=ann).open(server, "tea")
        tab.wait(lambda one: "already taken" in one.problem)
        tab.press(Keys.ENTER)
        tab.wait(lambda one: one.has_entered)
        tab.say("from another tab")
        assert bob.messages(3)[-1] == "from another tab"
        bob.say("four")
        marked(ann, {"#tea": "3", "#milk": "1"})
        show(ann, "#tea")
        ann.wait_for("messages", ["one", "two", "from another tab", "four"])
        assert marks(ann) == {"#milk": "1"}
        show(ann, "Lobby")
        assert marks(ann) == {"#milk": "1"}


def test_many_unread_messages_are_not_counted_exactly(person):
    with confab("--max-event-rate", 0) as server:
        ann = visitor(person, server, "", "tea", "")
        with Guest(server, "Bob", "tea") as bob:
            is_here(bob, "Ann")
            texts = [f"number {number}" for number in range(130)]
            for text in texts:
                bob.say(text)
            marked(ann, {"#tea": "99+"})
            assert "more than 99 new messages" in ann.run("return document.querySelector('#rooms li:nth-child(2) a').textContent")
            show(ann, "#tea")
            ann.wait(lambda one: one.messages[-1:] == texts[-1:])
            ann.wait(lambda one: one.run("document.getElementById('log').scrollTop = 0") is None and len(one.messages) == 130)
            assert ann.messages == texts


def test_switching_rooms_while_another_member_writes(person):
    with confab("--max-event-rate", 0) as server:
        ann = visitor(person, server, "", "tea", "")
        with Guest(server, "Bob", "tea") as bob:
            is_here(bob, "Ann")
            texts = []
            for number in range(60):
                texts.append(f"number {number}")
                bob.say(texts[-1])
                if number % 10 == 4:
                    show(ann, "#tea")
                    ann.say(f"mine {number}")
                if number % 10 == 9:
                    show(ann, "Lobby")
            show(ann, "#tea")
            ann.wait(lambda one: "number 59" in one.messages and len(one.messages) == 66)
            assert [text for text in ann.messages if text.startswith("number")] == texts
            assert ann.messages == bob.messages(66)
            assert ann.texts(".edge") == ["This is where the room begins."]


def test_changes_in_the_background_are_shown(server, ann):
    with Guest(server, "Bob", "tea") as bob:
        is_here(bob, "Ann")
        first, second = bob.say("typo"), bob.say("mistake")
        bob.send("edit", id=first["id"], text="no typo")
        bob.send("remove", id=second["id"])
        bob.hear("removed")
        bob.say("after")
        marked(ann, {"#tea": "3"})
        show(ann, "#tea")
        ann.wait_for("messages", ["no typo", "This message was deleted.", "after"])
        assert sorted(ann.people) == ["Ann", "Bob"]


def test_rooms_resume_after_a_restart(person, tmp_path):
    history = ("--history", tmp_path / "history")
    with confab(*history) as server:
        ann = visitor(person, server, "", "milk", "tea", "")
        with Guest(server, "Bob", "tea") as bob, Guest(server, "Bob", "milk") as other:
            is_here(bob, "Ann"), is_here(other, "Ann")
            bob.say("before")
            marked(ann, {"#tea": "1"})
        server.stop()
        ann.wait(lambda one: not one.is_in)
    with confab("--port", server.port, *history) as server:
        with Guest(server, "Bob", "tea") as bob, Guest(server, "Bob", "milk") as other:
            bob.say("after"), other.say("at once")
            marked(ann, {"#tea": "2", "#milk": "1"})
            is_here(bob, "Ann"), is_here(other, "Ann")
            ann.wait(lambda one: one.is_in)
            show(ann, "#tea")
            ann.wait_for("messages", ["before", "after"])
            assert "missing" not in "".join(ann.texts(".edge"))
            bob.say("live")
            ann.wait_for("messages", ["before", "after", "live"])


def test_unsent_messages_are_sent_in_the_background(server, person):
    with Network(server) as network, Guest(server, "Bob", "tea") as bob:
        ann = visitor(person, network, "", "tea")
        network.cut()
        ann.wait(lambda one: not one.is_in)
        ann.say("written in the tea room"), ann.say("and this")
        ann.run("location.hash = ''")
        ann.wait_for("title", "Lobby · Confab")
        marked(ann, {"#tea": "2"}, "unsent")
        network.restore()
        assert bob.messages(2) == ["written in the tea room", "and this"]
        marked(ann, {}, "unsent")
        assert marks(ann) == {}
        show(ann, "#tea")
        ann.wait_for("own", ["written in the tea room", "and this"])
        assert ann.unsent == []


def test_room_is_taken_off_the_list(server, ann):
    with Guest(server, "Bob", "tea") as bob, Guest(server, "Bob", "milk") as other:
        is_here(bob, "Ann"), is_here(other, "Ann")
        buttons = "#rooms li > button:not([hidden])"
        assert ann.run(f"return [...document.querySelectorAll('{buttons}')].map((each) => each.ariaLabel)") == [
            "Take #tea off the list", "Take #milk off the list"]
        ann.find("#rooms a").send_keys(Keys.TAB, Keys.TAB, Keys.ENTER)
        is_gone(bob, "Ann")
        assert rooms(ann) == ["Lobby", "#milk"]
        assert ann.run("return document.activeElement.textContent") == "#milk"
        bob.say("for the others"), other.say("for Ann")
        marked(ann, {"#milk": "1"})
        # The shown room stays in the list.
        show(ann, "#milk")
        assert ann.run(f"return document.querySelectorAll('{buttons}').length") == 0
        show(ann, "Lobby")
        ann.find(buttons).click()
        is_gone(other, "Ann")
        assert ann.run("return document.activeElement.name") == "room"
        ann.browser.refresh()
        ann.wait(lambda one: one.has_entered)
        assert rooms(ann) == ["Lobby"]
        # It can be opened again.
        ann.open(server, "tea")
        ann.wait_for("messages", ["for the others"])
    assert ann.complaints() == []


def test_server_with_one_room_for_each_connection(person):
    admin = f"127.0.0.1:{free_port()}"
    with confab("--max-rooms-per-connection", 1, "--admin", admin) as server:
        ann = visitor(person, server, "", "tea")
        with Guest(server, "Bob", "tea") as bob, Guest(server, "Eve") as eve:
            ann.say("tea")
            ann.wait_for("own", ["tea"])
            show(ann, "Lobby")
            is_gone(bob, "Ann")
            ann.say("lobby")
            assert eve.messages(1) == ["lobby"]
            bob.say("unseen")
            show(ann, "#tea")
            ann.wait_for("messages", ["tea", "unseen"])
            assert marks(ann) == {} and ann.banner == ""
            connected(admin, 3)
    assert ann.complaints() == []


def test_lobby_is_not_followed_before_it_was_visited(server, person):
    with Guest(server, "Bob", "milk") as bob, Guest(server, "Eve") as eve:
        ann = visitor(person, server, "milk", "tea")
        assert rooms(ann) == ["Lobby", "#tea", "#milk"]
        is_here(bob, "Ann")
        ann.browser.refresh()
        is_gone(bob, "Ann")
        while "Ann" not in bob.hear("presence")["joined"]:
            pass
        eve.say("last")
        assert not any("Ann" in event.get("joined", []) for event in eve.events)


def test_own_messages_are_not_delayed_by_many_rooms(person):
    with confab("--max-event-rate", 10, "--max-event-burst", 10) as server:
        ann = person().open(server, name="Ann")
        ann.run("localStorage.setItem('confab/rooms', JSON.stringify([...'abcdefghijk'].map((name) => `/${name}`)))")
        with Guest(server, "Bob") as bob, Guest(server, "Bob", "k") as last:
            ann.browser.refresh()
            ann.wait(lambda one: one.has_entered)
            ann.say("at once")
            assert bob.messages(1) == ["at once"]
            assert "Ann" not in last.welcome["people"] and not any("Ann" in event.get("joined", []) for event in last.events)
            is_here(last, "Ann")
            assert ann.texts("#unsent .trouble") == []
        assert len(rooms(ann)) == 12
