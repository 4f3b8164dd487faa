/* A libuv, a libwebsockets and a kernel that run only when a scheduler calls them: no thread, no socket, no clock.
 *
 * The functions of libuv and libwebsockets that Confab calls are defined here under their own names, so the program that
 * links this target runs Confab's real code, including callbacks, on simulated sockets. The behaviour follows
 * libwebsockets 4.1.6; lws.c names its source files.
 *
 * Each decision is a call of `sim_choose`, which the scheduler defines. */
#ifndef CONFAB_SIMULATION_ENGINE_H
#define CONFAB_SIMULATION_ENGINE_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Decisions. */

/* Returns a number below `count`. A run without surprises gets 0. */
typedef uint32_t (*sim_choose)(uint32_t count);
/* Called between two steps of a loop, also within a turn. Other threads act in it. */
typedef void (*sim_interleave)(void);
void sim_begin(sim_choose choose, sim_interleave interleave);

/* The thread that the running code takes as the current one. */
uintptr_t sim_thread(void);
void sim_enter_thread(uintptr_t thread);

/* Virtual time, in milliseconds. */
uint64_t sim_now(void);
void sim_advance(uint64_t milliseconds);

/* Loops. `sim_step` runs one iteration of a host's loop, if there is work. */
bool sim_has_work(uv_loop_t *host);
void sim_step(uv_loop_t *host);
/* Returns when the next timer is due, UINT64_MAX if there is none. Includes timers that repeat for ever. */
uint64_t sim_next_timer(uv_loop_t *host);
/* Returns whether the loop has no handles. */
bool sim_is_empty(uv_loop_t *host);
/* Returns the number of handles that were never closed. */
int sim_open_handles(void);

/* Returns the total number of iterations and of events in them. */
uint64_t sim_steps(void);

/* Clients: each is one TCP connection and its buffers in the kernel. */
typedef struct sim_client sim_client;
/* Queues a connection with its upgrade request on a listening socket. The strings, the path and the User-Agent, are not
 * copied. */
sim_client *sim_connect(int listener, bool offers_compression, const char *path, const char *agent);
void sim_free(sim_client *client);
/* Sends a frame. */
void sim_send(sim_client *client, uint8_t opcode, bool is_final, const uint8_t *payload, size_t count);
/* Ends the client's side of the connection: with a FIN, or with a reset, after which the server cannot write to it. */
void sim_vanish(sim_client *client, bool by_reset);
/* Sets how many more bytes the kernel takes for the client before the socket is full. */
void sim_set_capacity(sim_client *client, size_t capacity);
size_t sim_capacity(const sim_client *client);
/* Returns the bytes that the kernel has taken for the client, without the response to its request. */
const uint8_t *sim_received(const sim_client *client);
size_t sim_received_count(const sim_client *client);
/* Returns whether the upgrade has been answered, and whether the server has closed the socket. */
bool sim_is_answered(const sim_client *client);
bool sim_is_closed(const sim_client *client);
/* Inflates the payload of a compressed message (RFC 7692, section 7.2.2). Returns its size, SIZE_MAX if it is
 * invalid. */
size_t sim_inflate(const uint8_t *payload, size_t count, uint8_t *target, size_t room);
/* Returns the number of frames that the server has not read. */
size_t sim_unread_frames(const sim_client *client);

#endif
