#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char *output, wire[14]; /* wire: the header of every frame */
static const unsigned char mask[4] = { 0x5a, 0xc3, 0x91, 0x7b };
static size_t output_count; /* bytes to send of the current client */
static int frame_header;

void prepare_saying(void)
{
    if (!output) output = malloc(OUTPUT);
    frame_header = o.size < 126 ? 6 : o.size < 65536 ? 8 : 14;
    wire[0] = 0x81;
    wire[1] = 0x80 | (unsigned char)(o.size < 126 ? o.size : o.size < 65536 ? 126 : 127);
    for (int i = 2, bytes = frame_header - 6; bytes > 0; i++) wire[i] = (unsigned char)((uint64_t)o.size >> (8 * --bytes));
    memcpy(wire + frame_header - 4, mask, 4);
}

int send_all(struct client *c, const void *bytes, size_t count)
{
    while (count) {
        ssize_t n = send(c->fd, bytes, count, MSG_NOSIGNAL);
        if (n < 0) { /* the server reads too slowly; a load generator may block */
            if (errno != EAGAIN) { drop(c, 0); return -1; }
            usleep(100);
            continue;
        }
        bytes = (const char *)bytes + n;
        count -= (size_t)n;
    }
    return 0;
}

void flush(struct client *c)
{
    size_t count = output_count;
    output_count = 0;
    if (count) send_all(c, output, count);
}

static void put(char *to, uint64_t value, int digits)
{
    for (int i = 0; i < digits; i++) to[i] = (char)('0' + (value >> (6 * (digits - 1 - i)) & 63));
}

void talk(struct client *c)
{
    struct sender *s = &senders[c->sender];
    char *message = s->ring + (size_t)(s->sent % (uint32_t)ring) * (size_t)o.size;
    put(message, (uint64_t)c->sender, 4);
    put(message + 4, s->sent, 8);
    if (output_count + (size_t)(frame_header + o.size) > OUTPUT) flush(c);
    unsigned char *frame = output + output_count;
    memcpy(frame, wire, (size_t)frame_header);
    for (int i = 0; i < o.size; i++) frame[frame_header + i] = (unsigned char)message[i] ^ mask[i & 3];
    output_count += (size_t)(frame_header + o.size);
    s->times[s->sent % (uint32_t)ring] = now();
    s->sent++;
    s->under_way++;
}
