#define _GNU_SOURCE
#include "client.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

struct load_options o;
struct load_result r;
struct client *clients;
struct sender *senders;
struct histogram latency;
int poller, open_count, ring, measuring, talking;
static int turns_taken; /* by the senders, at a fixed rate */
double tick;

static void turn(double seconds)
{
    struct epoll_event events[512];
    struct timespec wait = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
    int count = epoll_pwait2(poller, events, 512, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        if (c->state == CONNECTING && events[i].events & (EPOLLOUT | EPOLLERR)) connected(c);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
}

static void turns_until(double end, double *due)
{
    struct client *c;
    for (double t = now(); t < end; t = now()) {
        double wait = end - t;
        if (due && o.rate > 0) {
            for (; *due <= t; *due += 1 / o.rate, turns_taken++)
                if ((c = &clients[turns_taken % o.senders])->state == OPEN) talk(c), flush(c);
            if (*due - t < wait) wait = *due - t;
        }
        turn(wait > 0 ? wait : 0);
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
    prepare_saying();
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

/* Returns the number of clients with the messages of the first one in another order. */
static uint64_t other_orders(void)
{
    uint64_t count = 0;
    for (int i = 1; i < o.connections && o.mode == LOAD_FANOUT; i++) count += clients[i].order != clients[0].order;
    return count;
}

static void finish(void)
{
    for (int i = 0; i < o.connections + o.stalled; i++) {
        if (clients[i].state != GONE) close(clients[i].fd);
        free(clients[i].next);
    }
    for (int s = 0; s < o.senders; s++) free(senders[s].times), free(senders[s].ring);
    free(clients);
    free(senders);
    close(poller);
}

struct load_result load_run(struct load_options options)
{
    struct threads before, after;
    o = options;
    memset(&r, 0, sizeof r);
    memset(&latency, 0, sizeof latency);
    open_count = turns_taken = 0;
    prepare();
    r.rss_before = memory_of(o.server, "VmRSS:");
    double cpu = cpu_of(o.server), start;
    int all = o.connections + o.stalled;
    talking = 1;
    for (int i = 0; i < all; i++) {
        dial(&clients[i]);
        for (double end = now() + 30; o.mode == LOAD_FANOUT && i - open_count >= 64 && now() < end && !r.closed;) turn(0.01);
    }
    for (double end = now() + 30; o.mode == LOAD_FANOUT && open_count < all && now() < end && !r.closed;) turn(0.01);
    if (o.mode == LOAD_FANOUT) turns_until(now() + 0.3, NULL);
    r.connect_cpu = (cpu_of(o.server) - cpu) / all;
    r.rss_connected = memory_of(o.server, "VmRSS:");
    double due = start = now();
    if (o.mode == LOAD_FANOUT && o.window && o.seconds > 0)
        for (int i = 0; i < o.senders; i++, flush(&clients[i - 1]))
            for (int w = 0; w < o.window; w++) talk(&clients[i]);
    turns_until(start + o.warmup, &due);
    cpu = cpu_of(o.server);
    threads_of(o.server, &before);
    double own = own_cpu();
    start = now();
    measuring = 1;
    turns_until(start + o.seconds, &due);
    measuring = 0;
    r.seconds = now() - start;
    r.server_cpu = cpu_of(o.server) - cpu;
    r.own_cpu = own_cpu() - own;
    threads_of(o.server, &after);
    r.busiest_thread_cpu = busiest_thread(&before, &after);
    talking = 0;
    /* Messages in flight must arrive. */
    uint64_t missing = 1;
    for (double end = now() + o.patience; o.mode == LOAD_FANOUT && missing && now() < end; turn(0.01)) {
        missing = 0;
        for (int i = 0; i < o.connections; i++)
            for (int s = 0; s < o.senders; s++) missing += senders[s].sent - clients[i].next[s];
    }
    if (o.mode == LOAD_FANOUT) r.lost = missing;
    if (!missing) r.disordered = other_orders();
    r.rss_after = memory_of(o.server, "VmRSS:");
    r.rss_peak = memory_of(o.server, "VmHWM:");
    r.p50 = percentile(&latency, 0.5);
    r.p99 = percentile(&latency, 0.99);
    r.longest = latency.longest * 1e6;
    r.ok = !r.lost && !r.wrong && !r.closed && (o.seconds <= 0 || r.deliveries || r.cycles);
    finish();
    return r;
}
