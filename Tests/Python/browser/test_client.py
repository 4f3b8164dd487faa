"""Unit tests of the page's client: several rooms over one socket, which the test drives."""

import json

from browser.fake_socket import ROOMS
from support.rich_client import check


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
        sent = run(ROOMS + f"limits.rooms = {rooms};" + """
          socket.hear(welcome(0, [], { limits }));
          await new Promise((resolve) => setTimeout(resolve, 20));
          show(tea);
          socket = connect();
          socket.hear({ ...welcome(0, [], { limits }), room: tea });
          await new Promise((resolve) => setTimeout(resolve, 20));
          return Fake.made.map(({ sent }) => sent.map(({ type }) => type));
        """)
        assert sent == [["hello"], ["hello"]]


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
