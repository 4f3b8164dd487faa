/* A libuv, a libwebsockets and a kernel that run only when a scheduler says so: no thread, no socket, no clock.
 *
 * The functions of libuv and libwebsockets that Confab calls are defined here under their own names, so the program that
 * links this target has Confab's real code, callbacks included, on top of simulated sockets. What libwebsockets does in
 * each case follows 4.1.6; lws.c names its source files.
 *
 * Nothing here decides anything: each decision is a call of `sim_choose`, which the scheduler defines. */
#ifndef CONFAB_SIMULATION_ENGINE_H
#define CONFAB_SIMULATION_ENGINE_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Decisions. */

/* A number below `count`; 0 is what a run without surprises does. */
typedef uint32_t (*sim_choose)(uint32_t count);
/* Called between two steps of a loop, also within a turn: the place for what other threads do meanwhile. */
typedef void (*sim_interleave)(void);
void sim_begin(sim_choose choose, sim_interleave interleave);

/* The thread that the running code believes to be on. */
uintptr_t sim_thread(void);
void sim_enter_thread(uintptr_t thread);

/* Virtual time, in milliseconds. */
uint64_t sim_now(void);
void sim_advance(uint64_t milliseconds);

/* Loops. `sim_step` runs one iteration of a host's loop: what it has to do, or nothing. */
bool sim_has_work(uv_loop_t *host);
void sim_step(uv_loop_t *host);
/* When the next timer is due: UINT64_MAX if there is none. Timers that run for ever count as well. */
uint64_t sim_next_timer(uv_loop_t *host);
/* Whether nothing is left in the loop. */
bool sim_is_empty(uv_loop_t *host);
/* The number of handles that were never closed. */
int sim_open_handles(void);

/* How many iterations there were and events in them, in all. */
uint64_t sim_steps(void);

/* Clients: each is one TCP connection and what the kernel has of it. */
typedef struct sim_client sim_client;
/* Puts a connection with its upgrade request into the queue of a listening socket. The strings stay the caller's: the
 * path, and what the request has for User-Agent. */
sim_client *sim_connect(int listener, bool offers_compression, const char *path, const char *agent);
void sim_free(sim_client *client);
/* Sends a frame. */
void sim_send(sim_client *client, uint8_t opcode, bool is_final, const uint8_t *payload, size_t count);
/* Ends its side of the connection: by a FIN, or by a reset, after which nothing can be written to it. */
void sim_vanish(sim_client *client, bool by_reset);
/* How many more bytes the kernel takes for it before the socket is full. */
void sim_set_capacity(sim_client *client, size_t capacity);
size_t sim_capacity(const sim_client *client);
/* What the kernel has taken for the client, the answer to its request left out. */
const uint8_t *sim_received(const sim_client *client);
size_t sim_received_count(const sim_client *client);
/* Whether its upgrade has been answered, and whether the server has closed the socket. */
bool sim_is_answered(const sim_client *client);
bool sim_is_closed(const sim_client *client);
/* Inflates the payload of a compressed message (RFC 7692, section 7.2.2): its size, or SIZE_MAX if it is not one. */
size_t sim_inflate(const uint8_t *payload, size_t count, uint8_t *target, size_t room);
/* Frames that the server has not read. */
size_t sim_unread_frames(const sim_client *client);

#endif
