/* Load generator for group-chat WebSocket servers. Each message must reach all clients once, unchanged and in its
 * sender's order. One thread, epoll, loopback. Linux only. */
#ifndef CONFAB_LOAD_H
#define CONFAB_LOAD_H

#include <stdint.h>

enum load_mode {
    LOAD_FANOUT,  /* senders send, all clients receive */
    LOAD_CONNECT, /* clients repeatedly connect, send a message, receive it, and close */
};

struct load_options {
    enum load_mode mode;
    int port;        /* on 127.0.0.1 */
    int server;      /* process id, for CPU time and memory */
    int core;        /* core that this process is pinned to; -1: none */
    int connections; /* LOAD_CONNECT: number at a time */
    int senders;     /* number of connections that send, the first ones */
    int window;      /* messages in flight of each sender; 0: use the rate */
    double rate;     /* messages per second of all senders together */
    int stalled;     /* number of additional clients that never read */
    int size;        /* bytes of payload, at least 16 */
    double warmup, seconds;
    double patience; /* seconds to wait at the end for messages in flight */
};

struct load_result {
    int ok;                       /* all deliveries were correct and complete */
    double seconds;               /* length of the measured window, for the following values */
    uint64_t deliveries, cycles;  /* messages received; LOAD_CONNECT: connections */
    uint64_t reads;               /* recv calls that returned data */
    double server_cpu, own_cpu;   /* seconds */
    double busiest_thread_cpu;    /* of the server, in seconds; this thread limits its throughput */
    double p50, p99, longest;     /* from send to delivery, or of a connection's cycle; microseconds */
    uint64_t lost, wrong, closed; /* over the whole run: missing or changed messages, closed connections */
    uint64_t disordered;          /* clients with all messages, but in another order than the first one */
    double rss_before, rss_connected, rss_after, rss_peak; /* bytes of the server: alone, connected and idle, at the end, peak */
    double connect_cpu;           /* CPU seconds of the server for one connection, when all connect at the start */
};

struct load_result load_run(struct load_options options);

#endif
