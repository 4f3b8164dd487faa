"""Long histories, and a scroll position that stays."""

import pytest

from browser.guest import Guest, say_plainly
from support.confab_process import confab

MANY = 5000

# Scrolls up to the beginning like a mouse wheel, a bit each frame. Returns the duration of the frames, and the distance
# by which visible rows jumped.
SCROLL_UP = """
  const log = document.getElementById("log");
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const times = [];
  let worst = 0;
  for (let last = await frame(); ; ) {
    const { left, top, width, height } = log.getBoundingClientRect();
    const row = document.elementFromPoint(left + width / 2, top + height / 2).closest("li");
    const before = row?.getBoundingClientRect().top;
    const from = log.scrollTop;
    log.scrollTop -= 800;
    const moved = from - log.scrollTop;
    const now = await frame();
    times.push(now - last);
    last = now;
    if (row) worst = Math.max(worst, Math.abs(row.getBoundingClientRect().top - before - moved));
    if (log.scrollTop === 0 && document.querySelector(".edge").dataset.state === "beginning") break;
  }
  times.sort((one, other) => one - other);
  return { worst, frames: times.length, median: times[times.length >> 1], slow: times.filter((each) => each > 250).length };
"""


@pytest.fixture(scope="module")
def long_history():
    texts = [f"{number}:" + " words and words" * (number % 9) for number in range(MANY)]
    with confab("--max-history-messages", MANY, "--max-history-bytes", "64MiB") as server:
        say_plainly(server, texts)
        yield server, texts


@pytest.mark.alone
def test_five_thousand_messages_scroll_smoothly(long_history, person):
    server, texts = long_history
    ann = person().open(server, name="Ann")
    ann.wait(lambda one: one.messages and one.messages[-1] == texts[-1])
    told = ann.run_async(SCROLL_UP)
    shown = ann.run("return [...document.querySelectorAll('#rows .text')].map((each) => each.textContent)")
    assert shown == texts
    assert told["worst"] < 2, told
    assert told["median"] < 50 and told["slow"] < told["frames"] / 20, told
    assert ann.texts(".edge") == ["This is where the room begins."]
    # Down again, with a new message at the end.
    ann.say("at last")
    ann.wait(lambda one: one.run("return document.querySelector('#rows > :last-child').getBoundingClientRect().bottom"
                                 " <= document.getElementById('log').getBoundingClientRect().bottom"))
    assert ann.messages[-1] == "at last"


def is_at_end(person):
    return person.run("const log = document.getElementById('log');"
                      "return log.scrollHeight - log.scrollTop - log.clientHeight < 3")


def test_newest_message_is_in_view_unless_scrolled_up(server, person):
    say_plainly(server, [f"number {number}" for number in range(40)])
    ann = person(size=(900, 500)).open(server, name="Ann")
    with Guest(server, "Bob") as bob:
        ann.wait(is_at_end)
        bob.say("in view\n" * 9)
        ann.wait(lambda one: len(one.messages) == 41)
        ann.wait(lambda one: is_at_end(one) and not one.is_shown("#jump"))
        ann.run("document.getElementById('log').scrollTop -= 300")
        ann.wait(lambda one: one.is_shown("#jump"))
        place = ann.run("return document.getElementById('log').scrollTop")
        bob.say("one"), bob.say("two")
        ann.wait(lambda one: one.find("#jump").text.startswith("2 new"))
        assert ann.run("return document.getElementById('log').scrollTop") == place
        assert ann.title == "(2) Lobby · Confab"
        ann.find("#jump").click()
        ann.wait(is_at_end)
        ann.wait_for("title", "Lobby · Confab")
        ann.wait(lambda one: not one.is_shown("#jump"))


def test_days_have_separators(server, person):
    ann = person().open(server, name="Ann")
    days = ann.run_async("""
      const { Timeline } = await import("/timeline.js");
      const log = document.createElement("div");
      const rows = document.createElement("ol");
      const timeline = new Timeline(log, rows);
      const noon = new Date().setHours(12, 0, 0, 0);
      const message = (id, days) => ({ id, at: new Date(noon).setDate(new Date(noon).getDate() + days) , text: `${id}` });
      timeline.append([message(5, -1), message(6, 0), message(7, 0)]);
      timeline.prepend([message(3, -400), message(4, -1)]);
      const texts = [...rows.children].map((row) => (row.querySelector(".text") ?? row).textContent);
      return texts.filter(Boolean);
    """)
    assert days[1:] == ["3", "Yesterday", "4", "5", "Today", "6", "7"]
    assert days[0].split()[-1].isdigit()


def test_deleted_history_has_a_notice(person):
    with confab("--max-history-messages", 20) as server:
        say_plainly(server, [f"number {number}" for number in range(100)])
        ann = person().open(server, name="Ann")
        ann.wait(lambda one: one.texts(".edge") == ["Earlier messages are no longer kept."])
        assert ann.messages[-1] == "number 99"


def test_empty_room_has_a_notice(server, person):
    ann = person().open(server, "empty", "Ann")
    ann.wait(lambda one: one.texts(".edge") == ["Nothing has been said yet. Say hello!"])
    ann.say("Hello")
    ann.wait(lambda one: one.texts(".edge") == ["This is where the room begins."])
