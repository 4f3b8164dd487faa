"""Unit tests of the page's modules, run in the browser."""

import pytest


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
        const connection = new Connection(() => "ws://127.0.0.1:1/", { changed() {} });
        for (let attempt = 0; attempt < 8; attempt++) connection.retry();
        connection.end();
      }
      window.setTimeout = original;
      return pauses;
    """)
    for attempt in range(8):
        these = pauses[attempt::8]
        most = min(500 * 2 ** attempt, 15000)
        assert all(most / 2 <= pause <= most for pause in these)
        assert max(these) - min(these) > most / 10


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
