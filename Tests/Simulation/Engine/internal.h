#ifndef CONFAB_SIMULATION_INTERNAL_H
#define CONFAB_SIMULATION_INTERNAL_H

#include "engine.h"

/* Descriptors from here on are simulated; others belong to the system. */
enum { FIRST_DESCRIPTOR = 10000, DESCRIPTORS = 256 };

/* A libuv loop, in `uv_loop_t.data`. */
typedef struct sim_loop {
    uv_loop_t *uv;
    struct sim_handle *handles;
    struct lws_context *context;
    int index;
    bool is_host;
    uv__io_t *watchers[FIRST_DESCRIPTOR + DESCRIPTORS];
} sim_loop;

typedef struct sim_frame {
    struct sim_frame *next;
    size_t count;
    uint8_t opcode;
    bool is_final;
    uint8_t payload[];
} sim_frame;

struct sim_client {
    int descriptor;
    struct lws *wsi;
    sim_client *next; /* in a listener's queue */
    sim_frame *first, **last;
    size_t frames;
    const char *path, *agent;
    bool offers_compression, has_request, is_answered;
    bool has_ended, is_reset, is_closed, is_shut_down, is_owned;
    size_t capacity;
    uint8_t *received;
    size_t received_count, received_room;
};

extern sim_choose choose;
extern sim_interleave interleave;

sim_client *client_of(int descriptor);
void forget_clients(void);
/* Writes bytes for the client into the kernel's buffer. Returns how many it took, -1 when the connection is broken. */
ssize_t kernel_write(sim_client *client, const uint8_t *bytes, size_t count);
sim_frame *next_frame(sim_client *client);
/* Returns whether a listening socket has a queued connection. */
bool has_waiting(int listener);
/* Return whether a client's socket is readable, and whether it is writable. */
bool is_client_readable(const sim_client *client);
bool is_client_writable(const sim_client *client);

/* The events of a context's connections, for the poll of its loop. */
bool lws_has_events(struct lws_context *context);
void lws_serve_events(struct lws_context *context);
uint64_t lws_next_timer(struct lws_context *context);

#endif
