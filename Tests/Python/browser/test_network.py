"""Network and server failures: no message is lost or duplicated."""

import os
import time

import pytest

from browser.guest import Guest, say_plainly
from support.confab_process import confab
from support.network import Network

# Duration of the network outage in seconds. CUT=30 is long enough for the server to time out the client.
CUT = float(os.environ.get("CUT", 4))


@pytest.fixture
def network(server):
    with Network(server) as network:
        yield network


@pytest.mark.parametrize("trouble", ["cut", "silence"])
def test_network_failures_neither_lose_nor_repeat_messages(server, network, person, trouble):
    ann = person().open(network, name="Ann")
    with Guest(server, "Bob") as bob:
        bob.say("before")
        ann.say("mine, before")
        ann.wait_for("messages", ["before", "mine, before"])
        # Both continue to send during the outage.
        getattr(network, trouble)()
        start = time.monotonic()
        theirs, mine = [], []
        while time.monotonic() - start < CUT:
            number = len(mine)
            theirs.append(f"theirs {number}")
            mine.append(f"mine {number}")
            bob.say(theirs[-1])
            ann.say(mine[-1])
            time.sleep(CUT / 10)
        assert ann.unsent == mine
        if trouble == "cut":
            ann.wait(lambda one: "Connection lost" in one.banner)
        network.restore()
        ann.wait_for("unsent", [])
        ann.wait(lambda one: one.is_in and one.banner == "")
        said = [message for message in ann.messages if message not in ("before", "mine, before")]
        assert sorted(said) == sorted(theirs + mine)
        assert ann.own == ["mine, before", *mine]
        assert [message for message in said if message in theirs] == theirs
        assert bob.messages(2 + len(theirs + mine)) == ann.messages
        assert sorted(ann.people) == ["Ann", "Bob"]


def test_message_with_lost_reply_is_published_once(server, network, person):
    ann = person().open(network, name="Ann")
    with Guest(server, "Bob") as bob:
        # Data from the browser arrives, but the server's replies don't.
        network.deafen()
        ann.say("once")
        assert bob.messages(1) == ["once"]
        assert ann.unsent == ["once"] and ann.messages == []
        network.cut()
        network.restore()
        ann.wait_for("messages", ["once"])
        assert ann.own == ["once"] and ann.unsent == []
        bob.say("and no more")
        assert bob.messages(2) == ["once", "and no more"]


def test_draft_survives_server_restart(person):
    with confab() as server:
        ann, bob = person().open(server, "tea", "Ann"), person().open(server, "tea", "Bob")
        bob.say("before")
        ann.wait_for("messages", ["before"])
        ann.write("half a thought")
        server.stop(signal=9)
        ann.wait(lambda one: not one.is_in)
        ann.write("half a thought, and the rest")
        ann.say("half a thought, and the rest")
        ann.say("one more")
        assert ann.unsent == ["half a thought, and the rest", "one more"]
        ann.write("and a draft")
    with confab("--port", server.port):
        for each in (ann, bob):
            each.wait_for("messages", ["before", "half a thought, and the rest", "one more"])
            assert each.texts(".edge")[-1:] == ["Some messages may be missing here."]
            assert len(each.texts(".day")) == 1
            each.wait(lambda one: sorted(one.people) == ["Ann", "Bob"])
        assert ann.unsent == [] and ann.draft == "and a draft"
        assert ann.own == ["half a thought, and the rest", "one more"] and bob.own == ["before"]


def test_gap_is_shown(server, network, person):
    ann = person().open(network, name="Ann")
    say_plainly(server, ["before"])
    ann.wait_for("messages", ["before"])
    network.cut()
    texts = [f"number {number}" for number in range(1300)]
    say_plainly(server, texts)
    network.restore()
    ann.wait(lambda one: one.messages and one.messages[-1] == texts[-1])
    assert "before" in ann.messages and ann.texts(".edge")[-1] != ""
    # Scrolling up loads what the server still has, up to the gap.
    def is_all_there(one):
        one.run("document.getElementById('log').scrollTop -= 5000")
        return one.texts(".edge")[-1] == "Some messages may be missing here."
    ann.wait(is_all_there)
    shown = ann.messages
    assert shown[0] == "before" and shown[1:] == texts[-len(shown) + 1:] and len(shown) >= 900


def test_long_absence_is_loaded_page_by_page(server, network, person):
    ann = person().open(network, name="Ann")
    say_plainly(server, ["before"])
    ann.wait_for("messages", ["before"])
    network.cut()
    texts = [f"number {number}" for number in range(450)]
    say_plainly(server, texts)
    network.restore()
    ann.wait_for("messages", ["before", *texts])
    assert "missing" not in "".join(ann.texts(".edge"))


def test_unsent_messages_survive_closed_tab(server, network, person):
    ann = person().open(network, name="Ann")
    other = person(beside=ann).open(network, name="Annette")
    network.cut()
    for each in (ann, other):
        each.wait(lambda one: not one.is_in)
    ann.say("from the first tab")
    other.say("from the second tab")
    other.browser.close()
    network.restore()
    with Guest(server, "Bob") as bob:
        # The first tab sends its own messages, not the other tab's.
        assert bob.hear("message")["text"] == "from the first tab"
        ann.wait_for("unsent", [])
        third = person(beside=ann).open(network)
        assert bob.hear("message")["text"] == "from the second tab"
        third.wait_for("messages", ["from the first tab", "from the second tab"])
        assert third.own == ["from the second tab"]


def test_rejected_message_can_be_resent_or_deleted(server, person):
    ann = person().open(server, name="Ann")
    # More bytes than the server accepts, but fewer characters.
    large = "👩‍👩‍👧‍👦" * 3900
    for _ in range(2):
        ann.say(large)
    ann.wait(lambda one: one.texts("#unsent .trouble button") == ["Send it", "Delete"] * 2)
    ann.say("but this")
    ann.wait_for("messages", ["but this"])
    ann.browser.refresh()
    ann.wait(lambda one: len(one.unsent) == 2)
    ann.find("#unsent button:last-child").click()
    ann.wait(lambda one: len(one.unsent) == 1)
    ann.find("#unsent button").click()
    ann.wait(lambda one: one.texts("#unsent .trouble button") == ["Send it", "Delete"])


def test_navigating_back_joins_again(server, person):
    ann = person().open(server, name="Ann")
    with Guest(server, "Bob") as bob:
        ann.browser.get(server.http + "icon.svg")
        while "Ann" not in bob.hear("presence")["left"]:
            pass
        bob.say("meanwhile")
        ann.browser.back()
        ann.wait_for("messages", ["meanwhile"])


def test_handover_connects_to_new_server_before_old_one_exits(person):
    with confab("--reuse-port", "--drain", 8, "--loops", 1) as old:
        ann, bob = person().open(old, name="Ann"), person().open(old, name="Bob")
        bob.say("before")
        ann.wait_for("messages", ["before"])
        with confab("--reuse-port", "--port", old.port):
            old.process.terminate()
            # The server closes Ann's connection now and Bob's some seconds later. Until then Bob is served.
            ann.wait(lambda one: one.texts(".edge")[-1:] == ["Some messages may be missing here."])
            bob.say("to nobody any more")
            bob.wait_for("unsent", [])
            ann.say("to those who come")
            bob.wait_for("messages", ["before", "to nobody any more", "to those who come"])
            for each in (ann, bob):
                each.wait(lambda one: one.is_in and one.banner == "")
                each.wait(lambda one: sorted(one.people) == ["Ann", "Bob"])
            assert old.end() == 0
