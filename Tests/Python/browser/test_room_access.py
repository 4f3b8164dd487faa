"""Rooms of the list that the user may not enter, or has to leave."""

import pytest
from selenium.webdriver.common.keys import Keys

from browser.guest import Guest
from browser.room_list import is_gone, is_here, marked, marks, rooms, show, visitor
from support.confab_process import confab
from support.tokens import SECRET, token


@pytest.fixture
def guarded(tmp_path):
    """A server with tokens."""
    (tmp_path / "secret").write_text(SECRET)
    with confab("--auth-key", tmp_path / "secret", "--allow-guests", "read,say,history", "--max-guest-restriction", 0) as server:
        yield server


def test_token_for_some_rooms(guarded, person):
    ann = person().open(guarded, f"tea&token={token('u1', name='Ann', rooms=['/tea', '/milk'])}")
    ann.wait(lambda one: one.is_in)
    ann.open(guarded, "milk")
    ann.wait(lambda one: one.has_entered)
    ann.open(guarded, "coffee")
    ann.wait(lambda one: one.banner.startswith("You may not enter this room."))
    assert not ann.is_in
    # The other rooms go on.
    with Guest(guarded, "Bob", "tea") as bob:
        is_here(bob, "Ann")
        bob.say("hello")
        marked(ann, {"#tea": "1"})
        show(ann, "#tea")
        assert ann.banner == ""
        ann.say("hi")
        ann.wait_for("messages", ["hello", "hi"])
        # A reload follows the rooms that are allowed, without a word about the others.
        ann.browser.refresh()
        ann.wait(lambda one: one.has_entered)
        with Guest(guarded, "Bob", "milk") as other:
            is_here(other, "Ann")
            other.say("milk")
        marked(ann, {"#milk": "1"})
        assert ann.banner == "" and rooms(ann) == ["Lobby", "#coffee", "#milk", "#tea"]
    show(ann, "#milk")
    ann.run("location.hash = 'coffee'")
    ann.wait(lambda one: one.banner.startswith("You may not enter this room."))
    assert ann.complaints() == []


def test_member_is_kicked_from_a_room_in_the_background(guarded, person):
    moderator = token("m1", name="Host", rights=["read", "say", "history", "moderate"])
    ann = visitor(person, guarded, "", "tea", "")
    with Guest(guarded, None, "tea", token=moderator) as host:
        is_here(host, "Ann")
        host.send("kick", name="Ann", reason="loud")
        is_gone(host, "Ann")
        host.say("unheard")
        with Guest(guarded, "Eve") as eve:
            eve.say("heard")
        ann.wait_for("messages", ["heard"])
        assert ann.banner == "" and marks(ann) == {}
        # A kicked member may come back, by opening the room.
        show(ann, "#tea")
        ann.wait_for("messages", ["unheard"])
        is_here(host, "Ann")
        # The shown room is refused, and the others go on.
        host.send("ban", name="Ann", reason="too loud")
        ann.wait(lambda one: one.banner.startswith("You are banned from this room. Reason: too loud"))
        assert ann.status == "Offline"
        with Guest(guarded, "Eve") as eve:
            is_here(eve, "Ann")
            eve.say("still heard")
        marked(ann, {"Lobby": "1"})
        ann.find("#banner button").click()
        ann.wait(lambda one: one.banner.startswith("You are banned from this room."))
        show(ann, "Lobby")
        assert ann.banner == "" and ann.messages == ["heard", "still heard"]
    assert ann.complaints() == []


def test_member_is_banned_from_the_room_of_the_path(guarded, person):
    moderator = token("m1", name="Host", rights=["read", "say", "history", "moderate"])
    ann = visitor(person, guarded, "tea", "milk")
    with Guest(guarded, None, "tea", token=moderator) as host, Guest(guarded, "Bob", "milk") as bob:
        is_here(host, "Ann")
        host.send("ban", name="Ann")
        is_gone(host, "Ann")
        # The page connects again with the path of the shown room.
        bob.say("hello")
        ann.wait_for("messages", ["hello"])
        ann.wait(lambda one: one.is_in)
        assert ann.banner == ""
        ann.say("hi")
        ann.wait_for("own", ["hi"])
        ann.run("location.hash = 'tea'")
        ann.wait(lambda one: one.banner.startswith("You are banned from this room."))


def test_taken_name_in_the_background_is_asked_for_later(server, person):
    with Guest(server, "Ann", "tea"):
        ann = person().open(server, name="Ann")
        ann.run("localStorage.setItem('confab/rooms', '[\"/tea\", \"/milk\"]')")
        ann.browser.refresh()
        ann.wait(lambda one: one.has_entered)
        with Guest(server, "Bob", "milk") as bob:
            is_here(bob, "Ann")
            assert not ann.run("return document.getElementById('entry').open") and ann.banner == ""
            ann.run("location.hash = 'tea'")
            ann.wait(lambda one: "already taken" in one.problem)
            ann.press(Keys.ENTER)
            ann.wait(lambda one: one.has_entered)
            assert sorted(ann.people) == ["Ann", "Ann2"]
            # The name follows the reader.
            show(ann, "#milk")
            ann.wait(lambda one: sorted(one.people) == ["Ann2", "Bob"])
