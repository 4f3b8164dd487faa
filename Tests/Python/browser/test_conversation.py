"""Unit tests of the page's conversation, with a socket that the test drives."""

import json

from browser.fake_socket import FAKE
from support.rich_client import check


def test_numbering_gaps_are_accepted_and_duplicates_dropped(run):
    told, asked = run(FAKE + """
      socket.hear(welcome(10, range(8, 10)));
      for (const id of [11, 14, 14, 12, 100]) socket.hear(message(id));
      // A sign of life, with what has been heard already.
      client.check();
      socket.hear({ type: "history", after: 100, messages: [message(100), message(105)], more: false, oldest: 1 });
      socket.hear(message(105));
      return [told, socket.sent.filter(({ type }) => type === "history")];
    """)
    assert told == ["appended 8,9,10", "edge", "appended 11", "appended 14", "appended 100", "appended 105"]
    assert asked == [{"type": "history", "after": 100, "count": 100}]


def test_messages_wait_while_the_server_cannot_deliver(run):
    told, states, sent = run(FAKE + """
      const timeouts = [];
      const original = window.setTimeout;
      window.setTimeout = (action, pause) => { timeouts.push(pause); return 0; };
      socket.hear(welcome(0, []));
      socket.hear({ type: "availability", available: false });
      timeouts.length = 0;
      conversation.say("hello");
      const held = [...timeouts];
      socket.hear({ type: "availability", available: true });
      window.setTimeout = original;
      return [told, held, socket.sent.slice(1).map(({ type }) => type)];
    """)
    # The page does not wait for a reply, because the reply timeout would close the connection.
    assert "held true" in told and told[-1] == "held false" and states == [] and sent == ["say"]


def test_resume_loads_pages_while_others_publish(run):
    told, sent = run(FAKE + """
      socket.hear(welcome(10, range(8, 10)));
      socket.onclose({ code: 1006 });
      client.connection.open();
      socket = connect();
      const hello = socket.last;
      socket.hear(welcome(230, range(11, 110), { more: true }));
      socket.hear(message(231));
      socket.hear({ type: "history", after: 110, messages: range(111, 210), more: true, oldest: 1 });
      // Cut once more, in the middle.
      socket.onclose({ code: 1006 });
      client.connection.open();
      socket = connect();
      socket.hear(welcome(231, range(211, 231)));
      return [told.slice(2), [hello, ...socket.sent]];
    """)
    for event in sent:
        check("client", json.dumps(event))
    assert [line for line in told if line.startswith("appended")] == [
        f"appended {','.join(map(str, range(*pages)))}" for pages in ((11, 111), (111, 211), (211, 232))]
    assert [(event["epoch"], event["after"]) for event in sent if event["type"] == "hello"] == [("e", 10), ("e", 210)]
    assert not any(line == "gap" for line in told)


def test_missing_messages_show_a_gap(run):
    told = run(FAKE + """
      socket.hear(welcome(10, range(8, 10)));
      for (const more of [{ gap: true }, { epoch: "other" }]) {
        socket.onclose({ code: 1006 });
        client.connection.open();
        socket = connect();
        socket.hear(welcome(500, range(451, 500), more));
      }
      return told.filter((line) => !line.startsWith("appended"));
    """)
    assert told == ["edge", "gap", "edge", "gap", "edge"]


def test_history_deleted_during_request_shows_a_gap(run):
    told = run(FAKE + """
      socket.hear(welcome(10, range(8, 10)));
      socket.onclose({ code: 1006 });
      client.connection.open();
      socket = connect();
      socket.hear(welcome(14, range(11, 12), { more: true }));
      socket.hear(message(15));
      socket.hear({ type: "error", code: "historyGone", message: "…" });
      client.connection.open();
      socket = connect();
      const { after } = socket.last;
      socket.hear(welcome(15, range(14, 15)));
      return [after ?? "none", ...told];
    """)
    assert told == ["none", "appended 8,9,10", "edge", "appended 11,12", "edge", "gap", "appended 14,15", "edge"]


def test_resent_message_is_shown_once(run):
    told = run(FAKE + """
      socket.hear(welcome(0, [], { oldest: 1 }));
      socket.hear(message(1, { from: "Bob", member: bob, tag: "t" }));
      socket.onclose({ code: 1006 });
      client.connection.open();
      socket = connect();
      socket.hear(welcome(2, [message(1, { from: "Bob", member: bob, tag: "t" }), message(2, { from: "Bob", member: eve, tag: "t" })], { epoch: "f" }));
      return told;
    """)
    assert told == ["edge", "appended 1", "gap", "appended 2", "edge"]


def test_messages_are_sent_one_at_a_time(run):
    sent = run(FAKE + """
      conversation.say("one");
      conversation.say("two");
      socket.hear(welcome(0, []));
      const says = () => socket.sent.filter(({ type }) => type === "say");
      const first = says()[0].tag;
      const before = says().length;
      socket.hear({ type: "error", code: "rateLimited", tag: first, message: "…", retryAfter: 20 });
      const { limited } = conversation.sender;
      await new Promise((resolve) => setTimeout(resolve, 60));
      // Another member may have the same tag, and the same name before.
      socket.hear(message(1, { from: "Ann", member: eve, tag: first }));
      const between = says().length;
      socket.hear(message(2, { from: "Ann", member: ann, tag: first }));
      socket.hear({ type: "error", code: "textTooLong", tag: says().at(-1).tag, message: "…" });
      return [before, between, says().map(({ text }) => text), limited === first, conversation.outbox.entries.map(({ failed }) => failed)];
    """)
    assert sent == [1, 2, ["one", "one", "two"], True, ["textTooLong"]]


def test_messages_from_before_joining_are_not_news(run):
    told = run(FAKE + """
      const news = [];
      const { messages } = conversation;
      messages.listener = { appended: (those, isNews) => news.push(isNews), changed() {}, edge() {}, gap() {} };
      socket.hear(welcome(10, range(8, 10)));
      socket.hear(message(11));
      return news;
    """)
    assert told == [False, True]
