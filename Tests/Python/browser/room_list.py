"""The list of rooms on the page, and who is in a room."""

import time


def rooms(one):
    """Returns the names in the list."""
    return one.texts("#rooms bdi")


def marks(one, kind="unread"):
    """Returns the numbers beside the names of rooms."""
    return one.run("return Object.fromEntries([...document.querySelectorAll('#rooms li')].map((row) => "
                   "[row.querySelector('bdi').textContent, row.querySelector(`.${arguments[0]}`)?.textContent])"
                   ".filter(([, mark]) => mark))", kind)


def marked(one, expected, kind="unread"):
    """Waits until the rooms have these numbers."""
    end = time.monotonic() + 20
    while (are := marks(one, kind)) != expected:
        assert time.monotonic() < end, (are, expected)
        time.sleep(.05)


def show(one, name):
    """Opens a room of the list by a click."""
    one.run("[...document.querySelectorAll('#rooms a')].find((link) => link.textContent.startsWith(arguments[0])).click()", name)
    one.wait(lambda one: one.find("#room").text == name and one.has_entered)


def is_here(guest, name):
    """Waits until the guest's room has a member with the name."""
    here = set(guest.welcome["people"])
    while name not in here:
        change = guest.hear("presence")
        here = (here | set(change["joined"])) - set(change["left"])


def is_gone(guest, name):
    while name not in guest.hear("presence")["left"]:
        pass


def visitor(person, server, first, *others):
    ann = person().open(server, first, "Ann")
    for room in others:
        ann.open(server, room)
        ann.wait(lambda one: one.has_entered)
    return ann
