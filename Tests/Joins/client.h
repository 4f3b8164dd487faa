/* A client of the chat, in the plain protocol or in the rich one (chat.confab.v1). */
#ifndef CLIENT_H
#define CLIENT_H

#include "record.h"
#include "websocket.h"

typedef enum state { CONNECTING, INTRODUCING, OPEN, LEAVING, CLOSING } state;
/* How a client's life ends: with a closing handshake, with a close or a reset of its socket, or before it is open. */
typedef enum ending { LEAVES, VANISHES, RESETS, GIVES_UP } ending;
/* In the order in which they end. */
typedef enum role { VISITOR, SPEAKER, WITNESS } role;
/* What has become of a client. */
typedef enum outcome { STAYS, HAS_LEFT, IS_EVICTED, IS_REFUSED, FAILS } outcome;

typedef struct client {
  websocket ws;
  uint32_t id;
  role role;
  state state;
  ending ending;
  int is_rich, offers_deflate, may_be_refused, is_stalled, has_stalled, has_left;
  /* The messages that a visitor has still to say, and those that a speaker has said. */
  int sayings;
  /* The id of the last message in the rich protocol. */
  unsigned long last_id;
  /* See heard_check(); and the place of what it must have heard before it leaves. */
  uint32_t joined, target;
  heard heard;
  /* When it connected, had joined, heard something last, says something next, stalls and goes on, leaves. Seconds. */
  double connected_at, joined_at, heard_at, say_at, stall_at, resume_at, leave_at;
  /* What is wrong. */
  char problem[400];
  /* For epoll: what is waited for. -1 at first. */
  int interest;
  struct client *next;
} client;

/* What all clients together have done; joins by protocol and compression. */
extern struct counts { long joins[4], said, heard; } counts;

/* Seconds of a clock that goes on with each turn of the program. */
extern double now;

/* Begins to connect. NULL with errno when that fails. */
client *client_connect(int port, const char *room, int is_rich, int offers_deflate, int receive_buffer);
/* Says one message of about `size` bytes. */
void client_say(client *one, size_t size, int is_binary);
/* Takes what has arrived. */
outcome client_receive(client *one);
/* Begins the closing handshake. */
void client_close(client *one);
/* Says that something is wrong; FAILS. */
outcome client_fail(client *one, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
