#define _GNU_SOURCE
#include "load.h"
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A message is 4 characters for its sender, 8 for its number, and letters. What was sent is kept in a ring, and every
 * delivery is compared with it: no message is decoded, but one that is not the expected one. */
enum { HEAD = 12, READ = 512 * 1024, OUTPUT = 2 << 20, DRAIN_SECONDS = 10 };

struct client {
    int fd, sender;            /* index among the senders, or -1 */
    enum { CONNECTING, UPGRADING, OPEN, CLOSING, GONE } state;
    int reads, inside;         /* whether it reads at all; whether it is inside of a message */
    unsigned char header[14];  /* of a frame, as far as it has come */
    int header_have;
    uint64_t frame_left, at;   /* payload to come of the frame; bytes heard of the message */
    char head[HEAD];
    const char *expected;      /* the message that is coming, once its head is known */
    uint32_t *next;            /* the number of each sender's next message */
    double began;
};

struct sender { uint32_t sent; int under_way; double *times; char *ring; };

static struct load_options o;
static struct load_result r;
static struct client *clients;
static struct sender *senders;
static unsigned char *buffer, *output, wire[14];
static const unsigned char mask[4] = { 0x5a, 0xc3, 0x91, 0x7b };
static size_t output_count; /* what the client that is looked at has to send */
static int poller, ring, measuring, talking, open_count, frame_header;
static double tick; /* when the read began that is being looked at */
static struct histogram latency;

static void record(double seconds)
{
    if (measuring) sample(&latency, seconds);
}

static void drop(struct client *c, int expected)
{
    if (c->state == GONE) return;
    if (c->state == OPEN) open_count--;
    if (!expected) r.closed++;
    c->state = GONE;
    close(c->fd);
}

static int send_all(struct client *c, const void *bytes, size_t count)
{
    while (count) {
        ssize_t n = send(c->fd, bytes, count, MSG_NOSIGNAL);
        if (n < 0) { /* the server does not take it now: for a load generator to wait is right */
            if (errno != EAGAIN) { drop(c, 0); return -1; }
            usleep(100);
            continue;
        }
        bytes = (const char *)bytes + n;
        count -= (size_t)n;
    }
    return 0;
}

static void flush(struct client *c)
{
    size_t count = output_count;
    output_count = 0;
    if (count) send_all(c, output, count);
}

static void put(char *to, uint64_t value, int digits)
{
    for (int i = 0; i < digits; i++) to[i] = (char)('0' + (value >> (6 * (digits - 1 - i)) & 63));
}

/* Puts a message into the output, which is sent as a whole: flush(). */
static void talk(struct client *c)
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

static void dial(struct client *c)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)o.port) };
    int one = 1, small = 4096, sender = c->sender, reads = c->reads;
    uint32_t *next = c->next;
    /* Loopback has many addresses: each gives as many ports to connect from. */
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + (uint32_t)(c - clients) / 20000) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memset(c, 0, sizeof *c);
    c->sender = sender, c->reads = reads, c->next = next, c->began = now();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) { c->state = GONE; r.closed++; return; }
    if (c - clients >= 20000) bind(c->fd, (void *)&from, sizeof from);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!reads) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    connect(c->fd, (void *)&at, sizeof at);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void connected(struct client *c)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->state = UPGRADING;
    send_all(c, request, sizeof request - 1);
}

static void close_politely(struct client *c)
{
    static const unsigned char frame[] = { 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8 };
    open_count--;
    c->state = CLOSING;
    send_all(c, frame, sizeof frame);
}

/* A whole message has come: the one that was expected, or `wrong` has been counted. */
static void heard(struct client *c, int from)
{
    if (measuring) r.deliveries++;
    if (from < 0) return;
    uint32_t number = c->next[from]++;
    record(tick - senders[from].times[number % (uint32_t)ring]);
    if (c->sender != from) return;
    senders[from].under_way--;
    if (o.mode == LOAD_CONNECT) close_politely(c);
    else if (talking && o.window) talk(c);
}

/* Which sender's next message begins with this head; -1: nobody's. */
static int find(struct client *c)
{
    int from = 0;
    for (int i = 0; i < 4; i++) from = from << 6 | ((c->head[i] - '0') & 63);
    if (from >= o.senders) return -1;
    struct sender *s = &senders[from];
    uint64_t number = 0;
    for (int i = 4; i < HEAD; i++) number = number << 6 | ((uint64_t)(c->head[i] - '0') & 63);
    if (o.mode == LOAD_CONNECT) c->next[from] = (uint32_t)number; /* whatever is said while it is there */
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

static void frames(struct client *c, const unsigned char *p, size_t n)
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
            if ((h[0] & 15) > 2) { drop(c, 0); return; } /* nobody pings here: it is a close frame */
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

static void readable(struct client *c)
{
    ssize_t n = recv(c->fd, buffer, READ, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (c->state == CLOSING && n > 0) return;
    if (n <= 0) {
        int done = c->state == CLOSING;
        if (done && measuring) r.cycles++;
        if (done) record(now() - c->began);
        drop(c, done);
        if (o.mode == LOAD_CONNECT && talking) dial(c);
        return;
    }
    if (measuring) r.reads++;
    tick = now();
    if (c->state == OPEN) {
        frames(c, buffer, (size_t)n);
        flush(c);
        return;
    }
    if (n < 12 || memcmp(buffer, "HTTP/1.1 101", 12)) { drop(c, 0); return; }
    const unsigned char *end = memmem(buffer, (size_t)n, "\r\n\r\n", 4);
    if (!end) { drop(c, 0); return; } /* on loopback the answer comes at once */
    c->state = OPEN;
    open_count++;
    if (!c->reads) epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
    if (o.mode == LOAD_CONNECT) talk(c);
    frames(c, end + 4, (size_t)(buffer + n - end - 4));
    flush(c);
}

static void turn(int milliseconds)
{
    struct epoll_event events[512];
    int count = epoll_wait(poller, events, 512, milliseconds);
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        if (c->state == CONNECTING && events[i].events & (EPOLLOUT | EPOLLERR)) connected(c);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
}

static void turns_until(double end, double *due)
{
    static int next;
    for (double t = now(); t < end; t = now()) {
        double wait = end - t;
        if (due && o.rate > 0) {
            for (; *due <= t; *due += 1 / o.rate, next = (next + 1) % o.senders)
                if (clients[next].state == OPEN) talk(&clients[next]), flush(&clients[next]);
            if (*due - t < wait) wait = *due - t;
        }
        turn(wait > 0.001 ? (int)(wait * 1000) : 0);
    }
}

static void prepare(void)
{
    struct rlimit files;
    if (o.core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)o.core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (o.size < 16) o.size = 16;
    if (o.mode == LOAD_CONNECT) o.senders = o.connections;
    ring = (64 << 20) / o.size / o.senders;
    ring = ring > 16384 ? 16384 : ring < 256 ? 256 : ring;
    poller = epoll_create1(EPOLL_CLOEXEC);
    buffer = malloc(READ);
    frame_header = o.size < 126 ? 6 : o.size < 65536 ? 8 : 14;
    output = malloc(OUTPUT);
    wire[0] = 0x81;
    wire[1] = 0x80 | (unsigned char)(o.size < 126 ? o.size : o.size < 65536 ? 126 : 127);
    for (int i = 2, bytes = frame_header - 6; bytes > 0; i++) wire[i] = (unsigned char)((uint64_t)o.size >> (8 * --bytes));
    memcpy(wire + frame_header - 4, mask, 4);
    senders = calloc((size_t)o.senders, sizeof *senders);
    for (int s = 0; s < o.senders; s++) {
        senders[s].times = calloc((size_t)ring, sizeof(double));
        senders[s].ring = malloc((size_t)ring * (size_t)o.size);
        for (size_t i = 0; i < (size_t)ring * (size_t)o.size; i++) senders[s].ring[i] = (char)('a' + (i * 7 + (size_t)s) % 26);
    }
    clients = calloc((size_t)(o.connections + o.stalled), sizeof *clients);
    for (int i = 0; i < o.connections + o.stalled; i++) {
        clients[i].sender = i < o.senders ? i : -1;
        clients[i].reads = i < o.connections;
        clients[i].next = calloc((size_t)o.senders, sizeof(uint32_t));
    }
}

struct load_result load_run(struct load_options options)
{
    o = options;
    memset(&r, 0, sizeof r);
    prepare();
    r.rss_before = memory_of(o.server, "VmRSS:");
    double cpu = cpu_of(o.server), start;
    int all = o.connections + o.stalled;
    talking = 1;
    for (int i = 0; i < all; i++) {
        dial(&clients[i]);
        for (double end = now() + 30; o.mode == LOAD_FANOUT && i - open_count >= 64 && now() < end && !r.closed;) turn(10);
    }
    for (double end = now() + 30; o.mode == LOAD_FANOUT && open_count < all && now() < end && !r.closed;) turn(10);
    if (o.mode == LOAD_FANOUT) turns_until(now() + 0.3, NULL);
    r.connect_cpu = (cpu_of(o.server) - cpu) / all;
    r.rss_connected = memory_of(o.server, "VmRSS:");
    double due = start = now();
    if (o.mode == LOAD_FANOUT && o.window && o.seconds > 0)
        for (int i = 0; i < o.senders; i++, flush(&clients[i - 1]))
            for (int w = 0; w < o.window; w++) talk(&clients[i]);
    turns_until(start + o.warmup, &due);
    cpu = cpu_of(o.server);
    double own = own_cpu();
    start = now();
    measuring = 1;
    turns_until(start + o.seconds, &due);
    measuring = 0;
    r.seconds = now() - start;
    r.server_cpu = cpu_of(o.server) - cpu;
    r.own_cpu = own_cpu() - own;
    talking = 0;
    /* What is still under way must come. */
    uint64_t missing = 1;
    for (double end = now() + DRAIN_SECONDS; o.mode == LOAD_FANOUT && missing && now() < end; turn(10)) {
        missing = 0;
        for (int i = 0; i < o.connections; i++)
            for (int s = 0; s < o.senders; s++) missing += senders[s].sent - clients[i].next[s];
    }
    if (o.mode == LOAD_FANOUT) r.lost = missing;
    r.rss_after = memory_of(o.server, "VmRSS:");
    r.rss_peak = memory_of(o.server, "VmHWM:");
    r.p50 = percentile(&latency, 0.5);
    r.p99 = percentile(&latency, 0.99);
    r.longest = latency.longest * 1e6;
    r.ok = !r.lost && !r.wrong && !r.closed && (o.seconds <= 0 || r.deliveries || r.cycles);
    return r;
}
