/* A client of the chat, in the plain protocol or in the rich one (chat.confab.v1). */
#ifndef CLIENT_H
#define CLIENT_H

#include "record.h"
#include "websocket.h"

typedef enum state { CONNECTING, INTRODUCING, OPEN, LEAVING, CLOSING } state;
/* How a client ends: with a closing handshake, with a close or a reset of its socket, or before it is open. */
typedef enum ending { LEAVES, VANISHES, RESETS, GIVES_UP } ending;
/* In the order in which they end. */
typedef enum role { VISITOR, SPEAKER, WITNESS } role;
/* A client's state after an event. */
typedef enum outcome { STAYS, HAS_LEFT, IS_EVICTED, IS_REJECTED, FAILS } outcome;

typedef struct client {
  websocket ws;
  uint32_t id;
  role role;
  state state;
  ending ending;
  int is_rich, offers_deflate, may_be_rejected, is_stalled, has_stalled, has_left;
  /* The messages that a visitor has yet to send, or the number that a speaker has sent. */
  int sayings;
  /* The id of the last message in the rich protocol. */
  unsigned long last_id;
  /* See heard_check(). `target` is the position up to which the client must have received everything before it
   * leaves. */
  uint32_t joined, target;
  heard heard;
  /* Times in seconds: connected, joined, last message received, next message to send, stall and resume, leave. */
  double connected_at, joined_at, heard_at, say_at, stall_at, resume_at, leave_at;
  /* The problem, if there is one. */
  char problem[400];
  /* The events that epoll waits for. -1 at first. */
  int interest;
  struct client *next;
} client;

/* Totals of all clients. Joins are by protocol and compression. */
extern struct counts { long joins[4], said, heard; } counts;

/* The time in seconds, updated each turn of the program. */
extern double now;

/* Starts to connect. Returns NULL and sets errno on failure. */
client *client_connect(int port, const char *room, int is_rich, int offers_deflate, int receive_buffer);
/* Sends a message of about `size` bytes. */
void client_say(client *one, size_t size, int is_binary);
/* Reads and handles the data that has arrived. */
outcome client_receive(client *one);
/* Starts the closing handshake. */
void client_close(client *one);
/* Records a problem. Returns FAILS. */
outcome client_fail(client *one, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
