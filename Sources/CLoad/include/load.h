/* A load generator for group-chat WebSocket servers: everything that any client says must come back to everyone, each
 * message once, in its sender's order, with the same bytes. One thread, epoll, loopback. Linux only. */
#ifndef CONFAB_LOAD_H
#define CONFAB_LOAD_H

#include <stdint.h>

enum load_mode {
    LOAD_FANOUT,  /* senders talk, everyone hears */
    LOAD_CONNECT, /* clients connect, say one message, hear it, and close, over and over */
};

struct load_options {
    enum load_mode mode;
    int port;        /* on 127.0.0.1 */
    int server;      /* its process id, for CPU time and memory */
    int core;        /* what this process is pinned to; -1: none */
    int connections; /* LOAD_CONNECT: how many at a time */
    int senders;     /* the first so many of them */
    int window;      /* messages that each sender has under way; or 0 and … */
    double rate;     /* … so many messages a second, of all senders together */
    int stalled;     /* clients besides, that never read */
    int size;        /* bytes of payload, 16 at least */
    double warmup, seconds;
    double patience; /* seconds to wait for what is still under way at the end */
};

struct load_result {
    int ok;                       /* every delivery was right, and none is missing */
    double seconds;               /* the measured window; the following are of it */
    uint64_t deliveries, cycles;  /* messages heard; LOAD_CONNECT: connections */
    uint64_t reads;               /* recv calls that brought something */
    double server_cpu, own_cpu;   /* seconds */
    double busiest_thread_cpu;    /* of the server, seconds: what limits how much it can do */
    double p50, p99, longest;     /* from send to delivery, or of a connection's cycle; microseconds */
    uint64_t lost, wrong, closed; /* over the whole run: missing, not as they were sent, connections that ended */
    uint64_t disordered;          /* clients that heard all, but in another order than the first one */
    double rss_before, rss_connected, rss_after, rss_peak; /* bytes of the server: alone, all connected and idle, … */
    double connect_cpu;           /* seconds of the server's for one connection, when all connect at the start */
};

struct load_result load_run(struct load_options options);

#endif
