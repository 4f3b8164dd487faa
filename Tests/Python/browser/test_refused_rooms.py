"""Unit tests of rooms that the page's client may not enter, with a socket that the test drives."""

from browser.fake_socket import ROOMS


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
