#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char buffer[READ];

void record(double seconds)
{
    if (measuring) sample(&latency, seconds);
}

void drop(struct client *c, int expected)
{
    if (c->state == GONE) return;
    if (c->state == OPEN) open_count--;
    if (!expected) r.closed++;
    c->state = GONE;
    close(c->fd);
}

void dial(struct client *c)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)o.port) };
    int one = 1, small = 4096, sender = c->sender, reads = c->reads;
    uint32_t *next = c->next;
    /* Loopback has many addresses, each with its own range of source ports. */
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

void connected(struct client *c)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->state = UPGRADING;
    send_all(c, request, sizeof request - 1);
}

void close_politely(struct client *c)
{
    static const unsigned char frame[] = { 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8 };
    open_count--;
    c->state = CLOSING;
    send_all(c, frame, sizeof frame);
}

void readable(struct client *c)
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
    if (!end) { drop(c, 0); return; } /* on loopback the response arrives in one piece */
    c->state = OPEN;
    open_count++;
    if (!c->reads) epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
    if (o.mode == LOAD_CONNECT) talk(c);
    frames(c, end + 4, (size_t)(buffer + n - end - 4));
    flush(c);
}
