"""Makes sessions from seeds: some unchanged, most mutated."""

from fuzz.seeds import CLOSES, FRAMES, INTERESTING, REQUESTS, UPGRADES


def session(random):
    """Makes several connections with interleaved steps."""
    streams = [connection(random, number) for number in range(random.choice((1, 1, 1, 2, 4)))]
    steps = []
    while streams:
        stream = random.choice(streams)
        steps.append(stream.pop(0))
        if not stream:
            streams.remove(stream)
    return steps


def connection(random, number):
    """Makes a connection's steps: requests, an upgrade, frames and a close, each optional; mutated and cut into
    segments."""
    pieces = random.choices(REQUESTS, k=random.choice((0, 0, 0, 1, 1, 3)))
    if random.random() < 0.8:
        pieces.append(random.choice(UPGRADES))
        pieces += random.choices(FRAMES, k=random.choice((1, 2, 5, 20)))
        pieces += random.choices(CLOSES, k=random.choice((0, 0, 1, 2)))
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        pieces = disorder(random, pieces)
    spoilt = random.choice((0.0, 0.1, 0.5))
    pieces = [spoil(random, piece) if random.random() < spoilt else piece for piece in pieces]
    steps = []
    for piece in pieces:
        for segment in segments(random, piece):
            steps.append((number, "send", segment))
            if random.random() < 0.02:
                steps.append((number, "wait", 0.01))
        # Most upgrades are followed by a wait, because frames follow the response.
        if random.random() < (0.9 if piece in UPGRADES else 0.1):
            steps.append((number, "wait", 0.1))
    if not pieces or random.random() < 0.2:
        steps.append((number, "wait", 0.01))
    ending = random.choice(("close", "close", "reset", "half"))
    steps.append((number, ending, None))
    if ending == "half":
        steps.append((number, "wait", 0.05))
    return steps


def disorder(random, pieces):
    """Leaves out, duplicates, moves or inserts a piece."""
    pieces = list(pieces)
    place = random.randrange(len(pieces) + 1)
    kind = random.randrange(4)
    if kind == 0:
        pieces.insert(place, random.choice(random.choice((REQUESTS, UPGRADES, FRAMES, CLOSES))))
    elif place < len(pieces):
        piece = pieces.pop(place)
        if kind == 2:
            pieces[place:place] = [piece] * random.choice((2, 2, 50))
        elif kind == 3:
            pieces.insert(random.randrange(len(pieces) + 1), piece)
    return pieces


def spoil(random, data):
    """Flips, sets, cuts, duplicates, inserts or joins bytes."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        # Changes the first bytes more often: request lines and frame headers.
        place = random.randrange(len(data) if random.random() < 0.5 else min(len(data), 16))
        end = min(len(data), place + random.choice((1, 2, 8, 100, 10_000)))
        kind = random.randrange(6)
        if kind == 0:
            data[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[place] = random.randrange(256)
        elif kind == 2:
            del data[place:end]
        elif kind == 3:
            data[place:place] = data[place:end]
        elif kind == 4:
            data[place:place] = random.choice(INTERESTING)
        else:
            data[place:end] = random.choice(INTERESTING)
    return bytes(data)


def segments(random, data):
    """Splits the bytes at random places, or between all bytes."""
    if not data:
        return []
    if len(data) < 600 and random.random() < 0.02:
        return [data[index:index + 1] for index in range(len(data))]
    count = random.choice((0, 0, 0, 1, 2, 8))
    places = sorted(random.randrange(len(data)) for _ in range(count))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)]) if a < b]
