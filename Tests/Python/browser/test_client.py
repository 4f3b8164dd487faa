"""Unit tests of the page's client: several rooms over one socket, which the test drives."""

import json

from browser.fake_socket import FAKE
from support.rich_client import check

# `client` shows `room` and follows two others. `until` waits for what the client does after a pause.
ROOMS = FAKE + """
  const limits = { text: 4000, rooms: 64, rate: 1000 };
  const [tea, milk] = ["/tea", "/milk"].map((name) => name + Math.random());
  const entered = (room, last, messages, more = {}) => ({ ...welcome(last, messages, { limits, ...more }), room, member: bob });
  const events = (type, of = socket) => of.sent.filter((event) => event.type === type);
  const enters = () => events("enter").map(({ room }) => room);
  const until = async (condition) => { while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1)); };
  const show = (path) => {
    const shown = client.conversation(path);
    client.show(shown, listener);
    shown.join("Ann");
    return shown;
  };
  const reconnect = (code = 1006) => {
    socket.onclose({ code });
    if (client.connection.state !== "connecting") client.connection.open();
    socket = connect();
  };
  let marks = 0;
  client.marked = () => { marks += 1; };
  client.follow([room, tea, milk]);
"""


def test_rooms_in_the_background_are_entered_after_the_welcome(run):
    sent, rooms, made = run(ROOMS + """
      const early = socket.sent.length;
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      return [socket.sent, [early, tea, milk], Fake.made.length];
    """)
    for event in sent:
        check("client", json.dumps(event))
    assert made == 1 and rooms[0] == 1 and [event["type"] for event in sent] == ["hello", "enter", "enter"]
    assert [event.get("room") for event in sent] == [None, *rooms[1:]]
    assert len({event["session"] for event in sent}) == 3 and "name" not in sent[1] and sent[1]["history"] == 1


def test_rooms_are_entered_at_half_of_the_rate(run):
    pauses = run(ROOMS + """
      const pauses = [];
      const original = window.setTimeout;
      window.setTimeout = (action, pause) => { pauses.push(pause); return 0; };
      for (const rate of [10, 0, 50]) {
        pauses.length = 0;
        socket.hear(welcome(0, [], { limits: { ...limits, rate } }));
        told.push(pauses.at(-1));
      }
      window.setTimeout = original;
      return told.filter(Number.isFinite);
    """)
    assert pauses == [200, 0, 40]


def test_rooms_with_unsent_messages_are_entered_first(run):
    rooms, said = run(ROOMS + """
      client.conversation(milk).say("later");
      client.conversation(milk).say("and more");
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      const early = events("say").length;
      socket.hear(entered(milk, 0, []));
      const { tag } = events("say")[0];
      socket.hear(message(1, { room: milk, from: "Ann", member: bob, tag }));
      return [[enters()[0] === milk, early, client.unread(milk)], events("say").map(({ text, room }) => [text, room === milk])];
    """)
    assert rooms == [True, 0, 0] and said == [["later", True], ["and more", True]]


def test_events_go_to_the_conversation_of_their_room(run):
    told, unread, last, people = run(ROOMS + """
      socket.hear(welcome(3, range(1, 3), { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 7, []));
      for (const about of [{}, { room: tea }, { room: "/elsewhere" }, { room: milk }]) {
        socket.hear(message(8, about));
        socket.hear({ type: "presence", joined: ["Eve"], left: [], renamed: [], count: 2, ...about });
      }
      const of = (name) => client.conversation(name);
      return [told, [room, tea, milk].map((name) => client.unread(name)), [of(room), of(tea), of(milk)].map(({ messages }) => messages.last ?? 0),
              [of(room), of(tea), of(milk)].map(({ members }) => members.count)];
    """)
    # The events before the welcome of a room, and those of unknown rooms, are ignored.
    assert told == ["appended 1,2,3", "edge", "appended 8"] and unread == [0, 1, 0] and last == [8, 8, 0]
    assert people == [2, 2, 0]


def test_own_and_hidden_messages_are_not_unread(run):
    unread = run(ROOMS + """
      const { hide } = await import("/hidden.js");
      const { local } = await import("/storage.js");
      hide("Mallory", true);
      local.set("said", ["of-another-tab"]);
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 0, []));
      socket.hear(message(1, { room: tea, from: "Ann2", member: eve, tag: "of-another-tab" }));
      socket.hear(message(2, { room: tea, from: "Mallory", member: eve, tag: "t" }));
      socket.hear(message(3, { room: tea, from: "Bob", member: eve, tag: "u" }));
      socket.hear({ type: "edited", room: tea, id: 4, at: 4, message: 3, by: "Bob", text: "x" });
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


def test_switching_rooms_does_not_reconnect(run):
    made, sent, addresses = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 5, []));
      const count = socket.sent.length;
      const shown = show(tea);
      shown.say("hello");
      const fresh = `/fresh${Math.random()}`;
      show(fresh);
      const { length } = Fake.made;
      // After a reconnect the path is the shown room, and the others resume.
      reconnect();
      const hello = socket.last;
      socket.hear({ ...welcome(0, [], { limits }), room: fresh });
      await until(() => enters().length === 3);
      const resumed = events("enter").find((event) => event.room === tea);
      return [length, [...Fake.made[0].sent.slice(count), hello, resumed].map(({ type, room: name, text, history, after }) =>
        [type, name === tea ? "tea" : name === fresh ? "fresh" : name ?? null, text ?? null, history ?? null, after ?? null]),
        Fake.made.map(({ address }) => address.replace(/^.*\\/([a-z]*).*$/, "$1"))];
    """)
    assert made == 1 and addresses == ["test", "fresh"]
    assert sent == [["say", "tea", "hello", None, None], ["enter", "fresh", None, 50, None],
                    ["hello", None, None, 50, None], ["enter", "tea", None, 50, 5]]


def test_server_without_rooms_has_one_socket_for_the_shown_room(run):
    for rooms in ("undefined", "1"):
        sent, addresses = run(ROOMS + f"const limits1 = {{ ...limits, rooms: {rooms} }};" + """
          socket.hear(welcome(0, [], { limits: limits1 }));
          await new Promise((resolve) => setTimeout(resolve, 20));
          show(tea);
          socket = connect();
          socket.hear({ ...welcome(0, [], { limits: limits1 }), room: tea });
          await new Promise((resolve) => setTimeout(resolve, 20));
          return [Fake.made.map(({ sent }) => sent.map(({ type }) => type)), Fake.made.length];
        """)
        assert sent == [["hello"], ["hello"]] and addresses == 2


def test_connection_without_a_place_is_replaced_for_the_shown_room(run):
    made, told = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      show(tea);
      const { ref } = socket.last;
      socket.hear({ type: "error", code: "unknownType", message: "…", ref });
      return [Fake.made.map(({ address }) => address.includes("tea")), told];
    """)
    assert made == [False, True] and not any(line.startswith("refused") for line in told)


def test_rejected_rooms_in_the_background_are_not_followed(run):
    counts, told = run(ROOMS + """
      const counts = [];
      for (const code of ["nameTaken", "forbidden", "banned", "tooManyRooms", "unavailable", "roomInvalid"]) {
        told.length = 0;
        client.connection.open();
        socket = connect();
        client.conversation(tea).refusal = undefined;
        socket.hear(welcome(0, [], { limits }));
        await until(() => enters().includes(tea));
        const { ref } = events("enter").find((event) => event.room === tea);
        // An invalid room is not repeated in the error.
        socket.hear({ type: "error", code, message: "…", ref, ...(code !== "roomInvalid" && { room: tea }) });
        client.follow(client.rooms);
        await new Promise((resolve) => setTimeout(resolve, 20));
        counts.push([code, enters().filter((name) => name === tea).length, told.filter((line) => line.startsWith("re")).length]);
      }
      // The reason is shown when the reader opens the room.
      show(tea);
      socket.hear({ type: "error", code: "nameTaken", message: "…", room: tea, ref: socket.last.ref, proposal: "Ann2" });
      client.shown.join("Ann2");
      socket.hear({ type: "error", code: "banned", message: "…", room: tea, ref: socket.last.ref, reason: "why" });
      return [counts, [...told.filter((line) => line.startsWith("re")), client.shown.state]];
    """)
    assert [count[1:] for count in counts] == [[1, 0]] * 6, counts
    assert told == ["rejected nameTaken Ann2", "refused banned why", "refused"]


def test_kicked_readers_come_back_only_on_request(run):
    states = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 0, []));
      socket.hear(entered(milk, 0, []));
      socket.hear({ type: "kicked", room: tea, reason: "loud" });
      socket.hear({ type: "left", room: tea });
      show(milk);
      socket.hear({ type: "left", room: milk });
      const states = [client.conversation(tea).state, client.shown.state, told.filter((line) => line.startsWith("refused"))];
      // The path stays, because the shown room has refused the reader.
      reconnect();
      socket.hear(welcome(0, [], { limits }));
      await new Promise((resolve) => setTimeout(resolve, 20));
      states.push(enters().length, Fake.made.map(({ address }) => address.includes("test")));
      show(tea);
      return [...states, enters().length];
    """)
    assert states == ["refused", "refused", ["refused forbidden"], 0, [True, True], 1]


def test_reader_refused_by_the_path_keeps_the_shown_room(run):
    made, states = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 0, []));
      show(tea);
      socket.hear({ type: "kicked" });
      await until(() => Fake.made.length === 2);
      socket = connect();
      socket.hear({ ...welcome(0, [], { limits }), room: tea });
      await until(() => enters().length === 1);
      return [Fake.made.map(({ address }) => address.includes("tea")), [client.shown.state, client.conversation(room).state, enters()[0] === milk]];
    """)
    assert made == [False, True] and states == ["open", "refused", True]


def test_room_taken_off_the_list_is_left(run):
    told = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      client.follow([milk]);
      const left = events("leave").map(({ room: name }) => name === tea);
      // It is opened again before the server has confirmed that.
      show(tea);
      const [first, , second] = events("enter");
      socket.hear(entered(tea, 1, range(1, 1)));
      socket.hear(message(2, { room: tea }));
      socket.hear({ type: "left", room: tea });
      const early = client.shown.isIn;
      socket.hear(entered(tea, 2, range(1, 2)));
      return [left, first.room === second.room, early, client.shown.isIn, told.filter((line) => line.startsWith("appended"))];
    """)
    # The room of the path is not left.
    assert told == [[True], True, False, True, ["appended 1,2"]]


def test_limited_enter_is_sent_again(run):
    count = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      for (const { room: name, ref } of events("enter")) socket.hear({ type: "error", code: "rateLimited", message: "…", room: name, ref, retryAfter: 30 });
      await new Promise((resolve) => setTimeout(resolve, 10));
      const early = enters().length;
      await until(() => enters().length === 4);
      const fresh = `/fresh${Math.random()}`;
      show(fresh);
      socket.hear({ type: "error", code: "rateLimited", message: "…", room: fresh, ref: socket.last.ref, retryAfter: 5 });
      await until(() => enters().filter((name) => name === fresh).length === 2);
      return early;
    """)
    assert count == 2


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


def test_name_of_another_room_is_taken_where_it_is_free(run):
    sent = run(ROOMS + """
      socket.hear(welcome(0, [], { limits }));
      await until(() => enters().length === 2);
      socket.hear(entered(tea, 0, []));
      show(tea).follow("Anna");
      const { ref } = socket.last;
      socket.hear({ type: "error", code: "nameTaken", message: "…", room: tea, ref, proposal: "Anna2" });
      client.shown.follow("Ann");
      return [events("rename").map(({ name, room: where }) => [name, where === tea]), told.filter((line) => line.startsWith("rejected"))];
    """)
    assert sent == [[["Anna", True]], []]


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
