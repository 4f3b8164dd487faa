#define _GNU_SOURCE
#include "client.h"

#include <string.h>

/* Handles a whole message: the expected one, or one counted as `wrong`. */
static void heard(struct client *c, int from)
{
    if (measuring) r.deliveries++;
    if (from < 0) return;
    uint32_t number = c->next[from]++;
    c->order = (c->order ^ (uint64_t)(from + 1)) * 0x100000001b3; /* FNV-1a */
    record(tick - senders[from].times[number % (uint32_t)ring]);
    if (c->sender != from) return;
    senders[from].under_way--;
    if (o.mode == LOAD_CONNECT) close_politely(c);
    else if (talking && o.window) talk(c);
}

/* Returns the sender whose next message begins with this head, or -1. */
static int find(struct client *c)
{
    int from = 0;
    for (int i = 0; i < 4; i++) from = from << 6 | ((c->head[i] - '0') & 63);
    if (from >= o.senders) return -1;
    struct sender *s = &senders[from];
    uint64_t number = 0;
    for (int i = 4; i < HEAD; i++) number = number << 6 | ((uint64_t)(c->head[i] - '0') & 63);
    if (o.mode == LOAD_CONNECT) c->next[from] = (uint32_t)number; /* it joins in the middle of the traffic */
    if (number != c->next[from] || number >= s->sent || s->sent - number > (uint32_t)ring) return -1;
    c->expected = s->ring + (size_t)(number % (uint32_t)ring) * (size_t)o.size;
    return from;
}

static void payload(struct client *c, const unsigned char *bytes, uint64_t count)
{
    if (c->at < HEAD) {
        uint64_t n = HEAD - c->at < count ? HEAD - c->at : count;
        memcpy(c->head + c->at, bytes, n);
        c->at += n, bytes += n, count -= n;
        if (c->at == HEAD) {
            int from = find(c);
            c->inside = from + 1;
            if (from < 0) r.wrong++;
        }
    }
    if (count && c->inside && (c->at + count > (uint64_t)o.size || memcmp(c->expected + c->at, bytes, count))) {
        r.wrong++;
        c->inside = 0;
    }
    c->at += count;
}

void frames(struct client *c, const unsigned char *p, size_t n)
{
    while (n && c->state == OPEN) {
        if (!c->frame_left) {
            unsigned char *h = c->header;
            h[c->header_have++] = *p++, n--;
            int extra = c->header_have < 2 ? 1 : h[1] == 126 ? 2 : h[1] == 127 ? 8 : 0;
            if (c->header_have < 2 + extra) continue;
            for (int i = 0; i < extra; i++) c->frame_left = c->frame_left << 8 | h[2 + i];
            if (!extra) c->frame_left = h[1];
            c->header_have = 0;
            if ((h[0] & 15) > 2) { drop(c, 0); return; } /* a close frame, because no server under test pings here */
            if ((h[0] & 15) != (c->at ? 0 : 1)) r.wrong++;
        }
        size_t take = c->frame_left < n ? c->frame_left : n;
        payload(c, p, take);
        p += take, n -= take, c->frame_left -= take;
        if (!c->frame_left && c->header[0] & 0x80) {
            int from = c->inside - 1;
            if (from >= 0 && c->at != (uint64_t)o.size) { r.wrong++; from = -1; }
            c->at = 0, c->inside = 0;
            heard(c, from);
        }
    }
}
