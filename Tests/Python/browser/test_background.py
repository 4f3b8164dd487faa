"""Unit tests of the page's rooms in the background, with a socket that the test drives."""

from browser.fake_socket import ROOMS


def test_own_and_hidden_messages_are_not_unread(run):
    unread = run(ROOMS + """
      const { hide } = await import("/hidden.js");
      const { local } = await import("/storage.js");
      hide("Mallory", true);
      local.set("said", ["of-another-tab"]);
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      // Neither do those from before the reader entered.
      socket.hear(entered(tea, 9, [message(9)]));
      socket.hear(message(10, { room: tea, from: "Ann2", member: eve, tag: "of-another-tab" }));
      socket.hear(message(11, { room: tea, from: "Mallory", member: eve, tag: "t" }));
      socket.hear(message(12, { room: tea, from: "Bob", member: eve, tag: "u" }));
      socket.hear({ type: "edited", room: tea, id: 13, at: 4, message: 12, by: "Bob", text: "x" });
      hide("Mallory", false);
      return [client.unread(tea), marks];
    """)
    assert unread[0] == 1 and unread[1] >= 1


def test_shown_room_has_its_kept_messages_once_and_in_order(run):
    told, asked, texts = run(ROOMS + """
      const texts = [];
      const { appended } = listener;
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 300, [], { oldest: 1 }));
      for (const one of range(301, 450)) socket.hear({ ...one, room: tea });
      socket.hear({ type: "edited", room: tea, id: 451, at: 1, message: 449, by: "Bob", text: "new" });
      socket.hear({ type: "removed", room: tea, id: 452, at: 1, message: 450, by: "Bob" });
      const kept = client.conversation(tea).messages.kept.messages.slice(-2);
      told.length = 0;
      const shown = show(tea);
      shown.loadOlder();
      socket.hear(message(453, { room: tea }));
      socket.hear({ type: "history", room: tea, before: 351, messages: range(301, 350), more: true, oldest: 1 });
      // Away and back: the log begins anew.
      show(room);
      socket.hear(message(454, { room: tea }));
      show(tea).loadOlder();
      return [told, events("history"), [kept.map(({ text, edited, removed }) => [text, edited, removed]), client.unread(tea)]];
    """)
    everything = [f"appended {','.join(map(str, range(351, 451)))}", "edge", "appended 453",
                  f"prepended {','.join(map(str, range(301, 351)))}", "edge"]
    again = [f"appended {','.join(map(str, [*range(353, 451), 453, 454]))}", "edge"]
    assert told == [*everything, "edge", *again]
    assert [event["before"] for event in asked] == [351, 353]
    assert texts == [[["new", True, None], ["", None, True]], 0]


def test_room_in_the_background_skips_a_long_absence(run):
    told, unread, asked = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 10, []));
      reconnect();
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 500, range(11, 60), { more: true }));
      socket.hear(message(501, { room: tea }));
      const asked = events("history").length;
      told.length = 0;
      const unread = client.unread(tea);
      show(tea).loadOlder();
      socket.hear({ type: "history", room: tea, before: 501, messages: range(451, 500), more: true, oldest: 1 });
      return [told, unread, asked];
    """)
    assert told == ["appended 501", "edge", f"prepended {','.join(map(str, range(451, 501)))}", "edge"]
    assert unread == 101 and asked == 0


def test_new_epoch_in_the_background_begins_anew(run):
    told, unread = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 10, []));
      socket.hear(message(11, { room: tea }));
      reconnect();
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      // The second message is later than the last known one.
      socket.hear(entered(tea, 2, [message(1), message(2, { at: 20 })], { epoch: "other" }));
      const unread = client.unread(tea);
      socket.hear(message(3, { room: tea }));
      told.length = 0;
      show(tea);
      return [told, unread];
    """)
    assert told == ["appended 1,2,3", "edge"] and unread == 2


def test_repeated_message_above_a_gap_is_kept(run):
    told = run(ROOMS + """
      const repeated = message(1, { from: "Bob", member: bob, tag: "t" });
      socket.hear(welcome(1, [repeated], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 0, []));
      reconnect();
      socket.hear(welcome(3, [message(1), { ...repeated, id: 2 }, message(3)], { limits, epoch: "other" }));
      await until(() => enters().length === 2);
      show(tea);
      show(room);
      return told.filter((line) => line.startsWith("appended") || line === "gap");
    """)
    assert told == ["appended 1", "gap", "appended 1,3", "appended 1,2,3"]
