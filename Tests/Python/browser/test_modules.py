"""Unit tests of the page's modules, run in the browser."""

import json

import pytest

from browser.chromium import Person
from support.confab_process import confab
from support.rich_client import check


@pytest.fixture(scope="module")
def run(chromium):
    """Runs a script that may import the page's modules."""
    profile = chromium.profile()
    with confab() as server:
        person = Person(chromium, profile)
        person.browser.get(server.http)
        yield person.run_async
    chromium.forget(profile)


@pytest.mark.parametrize("text, links", [
    ("no link", []),
    ("see https://example.org.", ["https://example.org"]),
    ("(https://example.org/a_(b)), ok", ["https://example.org/a_(b)"]),
    ("http://example.org/a?b=c&d=e#f!", ["http://example.org/a?b=c&d=e#f"]),
    ("www.example.org/x, and HTTPS://EXAMPLE.ORG/Y", ["www.example.org/x", "HTTPS://EXAMPLE.ORG/Y"]),
    ("看https://example.org/茶。再见", ["https://example.org/"]),
    ("看这里:https://example.org/a,还有https://example.org/b", ["https://example.org/a", "https://example.org/b"]),
    ("\"https://example.org/\" <https://example.net>", ["https://example.org/", "https://example.net"]),
    ("https://пример.испытание/путь", ["https://пример.испытание/путь"]),
    # Not links, or deceptive ones.
    ("javascript:alert(1) data:text/html,x file:///etc/passwd ftp://example.org", []),
    ("https://bank.example@evil.example/ user@www.example.org", []),
    ("https:// http://[ www.", []),
    ("https://example.org/\u202egpj.exe", ["https://example.org/"]),
    ("xhttps://example.org", []),
    # Characters that look like a slash end the host.
    *((f"https://bank.example{slash}evil.example/", ["https://bank.example"]) for slash in "\u2044\u2215\u29f8\u2571\u29f6\\"),
    ("https://example.org:8080/a\u2044b?c#d", ["https://example.org:8080/a\u2044b?c#d"]),
    ("https://[::1]:8080/", ["https://[::1]:8080/"]), ("www.example.org?a", ["www.example.org?a"]),
])
def test_links_are_found_in_text(run, text, links):
    parts = run("const { split } = await import('/links.js'); return split(arguments[0])", text)
    assert "".join(part["text"] for part in parts) == text
    assert [part["text"] for part in parts if "url" in part] == links
    assert all(part["url"].startswith(("http://", "https://")) for part in parts if "url" in part)


@pytest.mark.parametrize("hash, path, name", [
    ("", "/", "Lobby"), ("#", "/", "Lobby"), ("#tea", "/tea", "#tea"), ("#/tea/", "/tea", "#tea"),
    ("#%E8%8C%B6", "/%E8%8C%B6", "#茶"), ("#茶", "/%E8%8C%B6", "#茶"), ("#a b%20%20c", "/a%20b%20c", "#a b c"),
    ("#a/b", "/a/b", "#a/b"), ("#../../x", "/x", "#x"), ("#//evil.example/x", "/evil.example/x", "#evil.example/x"),
    ("#?a=b&c", "/%3Fa%3Db%26c", "#?a=b&c"), ("#%", "/", "Lobby"), ("#e\u0301", "/%C3%A9", "#é"),
    ("#" + "茶" * 200, "/" + "%E8%8C%B6" * 80, "#" + "茶" * 80),
])
def test_room_of_the_address_fragment(run, hash, path, name):
    told = run("""
      const { roomOf, nameOf, hashOf } = await import("/room.js");
      const room = roomOf(arguments[0]);
      return [room, nameOf(room), roomOf(hashOf(room)), new URL(room, location.origin).pathname];
    """, hash)
    assert told == [path, name, path, path]


@pytest.mark.parametrize("name, initials", [
    ("ann", "A"), ("Ann Lee", "AL"), ("ann maria lee", "AL"), ("李雷", "李"), ("🦊 fox", "🦊"), ("é", "É"), ("42 x", "4"),
])
def test_initials_of_names(run, name, initials):
    assert run("return (await import('/names.js')).initials(arguments[0])", name) == initials


def test_name_colors_are_spread_evenly(run):
    tints = run("const { tint } = await import('/names.js');"
                "return Array.from({ length: 1200 }, (_, index) => tint(`Person ${index}`))")
    assert all(50 < tints.count(tint) < 200 for tint in range(12)), [tints.count(tint) for tint in range(12)]


def test_characters_are_counted_as_graphemes(run):
    texts = ["", "abc", "é", "e\u0301", "👩‍👩‍👧‍👦", "🇨🇳🇩🇪", "你好", "a\nb"]
    counts = run("const { countGraphemes } = await import('/text.js'); return arguments[0].map(countGraphemes)", texts)
    assert counts == [0, 3, 1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("changes, sentences", [
    (["+Ann"], ["Ann joined"]),
    (["+Ann", "+Bob"], ["Ann and Bob joined"]),
    (["+Ann", "+Bob", "+Eve", "+Zoe"], ["4 people joined"]),
    (["+Ann", "-Ann"], ["Ann came and went"]),
    (["+Ann", "-Ann", "+Ann"], ["Ann joined"]),
    (["-Ann", "+Ann"], []),
    (["+Ann", "-Bob"], ["Ann joined", "Bob left"]),
    (["-Ann", "-Bob", "-Eve", "-Zoe", "+New"], ["New joined", "4 people left"]),
    (["Ann>Anna"], ["Ann is now Anna"]),
])
def test_joins_and_leaves_share_one_line(run, changes, sentences):
    told = run("""
      const { Presence } = await import("/presence.js");
      const presence = new Presence();
      for (const change of arguments[0]) {
        const name = change.slice(1);
        if (change.includes(">")) presence.add({ joined: [], left: [], renamed: [change.split(">")] });
        else presence.add({ joined: change[0] === "+" ? [name] : [], left: change[0] === "-" ? [name] : [], renamed: [] });
      }
      return presence.sentences().map(({ short }) => short);
    """, changes)
    assert [sentence.replace("\u2068", "").replace("\u2069", "") for sentence in told] == sentences


def test_both_languages_translate_all_texts(run):
    english, chinese = run("""
      const { english } = await import("/words-en.js");
      const { chinese } = await import("/words-zh.js");
      const kinds = (words) => Object.fromEntries(Object.entries(words).map(([name, word]) => [name, typeof word]));
      return [kinds(english), kinds(chinese)];
    """)
    assert english == chinese
    asked = run("""
      const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
      return [...page.querySelectorAll("[data-words], [data-label], [data-hint]")]
        .flatMap(({ dataset }) => [dataset.words, dataset.label, dataset.hint]).filter(Boolean);
    """)
    assert set(asked) <= set(english)


def test_browser_preference_selects_language(run):
    preferred = run("const { preferred } = await import('/words.js'); return arguments[0].map(preferred)",
                    [["zh-TW"], ["de", "zh-CN", "en"], ["en-GB", "zh"], ["fr"], []])
    assert preferred == ["zh", "zh", "en", "en", "en"]


def test_reconnect_delays_double_with_jitter(run):
    pauses = run("""
      const { Connection } = await import("/connection.js");
      const original = window.setTimeout;
      const pauses = [];
      window.setTimeout = (action, pause) => { pauses.push(pause); return 0; };
      for (let round = 0; round < 20; round++) {
        const connection = new Connection("ws://127.0.0.1:1/", { changed() {} });
        for (let attempt = 0; attempt < 8; attempt++) connection.retry();
        connection.leave();
      }
      window.setTimeout = original;
      return pauses;
    """)
    for attempt in range(8):
        these = pauses[attempt::8]
        most = min(500 * 2 ** attempt, 15000)
        assert all(most / 2 <= pause <= most for pause in these)
        assert max(these) - min(these) > most / 10


# A replacement for the browser's socket, driven by the test.
FAKE = """
  class Fake {
    static made = [];
    sent = [];
    constructor(address, protocol) { Object.assign(this, { address, protocol }); Fake.made.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() {}
    hear(event) { this.onmessage({ data: JSON.stringify(event) }); }
    get last() { return this.sent.at(-1); }
  }
  window.WebSocket = Fake;
  const { Conversation } = await import("/conversation.js");
  const { Outbox } = await import("/outbox.js");
  const told = [];
  const listener = new Proxy({}, { get: (_, name) => (...values) => {
    if (name === "appended" || name === "prepended") told.push(`${name} ${values[0].map(({ id }) => id)}`);
    else if (["gap", "edge", "rejected", "limited", "held"].includes(name)) told.push([name, ...values].join(" ").trim());
  } });
  const conversation = new Conversation("/test", new Outbox(`/test${Math.random()}`), listener);
  const message = (id, more = {}) => ({ type: "message", id, at: id, text: `${id}`, ...more });
  const [ann, bob, eve] = ["a", "b", "e"].map((digit) => digit.repeat(16));
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
  const welcome = (last, messages, more = {}) => ({ type: "welcome", room: "/test", name: "Ann", member: ann, session: "s".repeat(22), epoch: "e",
    last, oldest: 1, people: ["Ann"], count: 1, messages, more: false, gap: false, limits: { text: 4000 }, ...more });
  const connect = () => { const socket = Fake.made.at(-1); socket.onopen(); return socket; };
  conversation.join("Ann");
  let socket = connect();
"""


def test_numbering_gaps_are_accepted_and_duplicates_dropped(run):
    told, asked = run(FAKE + """
      socket.hear(welcome(10, range(8, 10)));
      for (const id of [11, 14, 14, 12, 100]) socket.hear(message(id));
      // A sign of life, with what has been heard already.
      conversation.catchUp();
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
      conversation.connection.open();
      socket = connect();
      const hello = socket.last;
      socket.hear(welcome(230, range(11, 110), { more: true }));
      socket.hear(message(231));
      socket.hear({ type: "history", after: 110, messages: range(111, 210), more: true, oldest: 1 });
      // Cut once more, in the middle.
      socket.onclose({ code: 1006 });
      conversation.connection.open();
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
        conversation.connection.open();
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
      conversation.connection.open();
      socket = connect();
      socket.hear(welcome(14, range(11, 12), { more: true }));
      socket.hear(message(15));
      socket.hear({ type: "error", code: "historyGone", message: "…" });
      conversation.connection.open();
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
      conversation.connection.open();
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
      await new Promise((resolve) => setTimeout(resolve, 60));
      // Another member may have the same tag, and the same name before.
      socket.hear(message(1, { from: "Ann", member: eve, tag: first }));
      const between = says().length;
      socket.hear(message(2, { from: "Ann", member: ann, tag: first }));
      socket.hear({ type: "error", code: "textTooLong", tag: says().at(-1).tag, message: "…" });
      return [before, between, says().map(({ text }) => text), told.includes(`limited ${first}`), conversation.outbox.entries.map(({ failed }) => failed)];
    """)
    assert sent == [1, 2, ["one", "one", "two"], True, ["textTooLong"]]


def test_another_tab_takes_over_unsent_messages_of_closed_tabs(run):
    told = run("""
      const { Outbox } = await import("/outbox.js");
      const { local } = await import("/storage.js");
      const now = Date.now();
      local.set("unsent/gone/inherited", [{ tag: "a", text: "new", at: now - 1000 }, { tag: "b", text: "old", at: now - 1e8 }]);
      local.set("unsent/gone/other", [{ tag: "c", text: "elsewhere", at: now }]);
      const alive = new Promise((resolve) => navigator.locks.request("confab/alive", () => new Promise(resolve)));
      local.set("unsent/alive/inherited", [{ tag: "d", text: "of another tab", at: now }]);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const outbox = new Outbox("/inherited");
      outbox.add("mine", now);
      await outbox.inherit(now);
      return [outbox.entries.map(({ text, failed }) => [text, failed ?? ""]), outbox.next.text, local.names("unsent/gone"),
              local.get("unsent/alive/inherited").length];
    """)
    assert told == [[["old", "stale"], ["new", ""], ["mine", ""]], "new", ["unsent/gone/other"], 1]
