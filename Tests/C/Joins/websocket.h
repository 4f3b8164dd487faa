/* A WebSocket client on a non-blocking socket (RFC 6455), with permessage-deflate for received messages (RFC 7692). It
 * is written for this checker and shares no code with the server. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stddef.h>
#include <zlib.h>

enum { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10, WS_UPGRADED = 16, WS_FAILED = -1 };

typedef struct buffer {
  char *bytes;
  size_t start, end, capacity;
} buffer;

typedef struct websocket {
  int fd;
  int is_upgraded;
  /* Whether messages may be compressed, and whether each has a separate window. */
  int inflates, resets_window;
  z_stream inflater;
  buffer received, to_send;
  /* The message whose fragments are arriving, and the last one that was inflated. */
  buffer fragments, inflated;
  int opcode, is_compressed;
  /* The problem when a call has failed. */
  char problem[200];
} websocket;

/* Starts to connect, and queues the upgrade request. Returns 0, or -1 with errno. */
int ws_open(websocket *ws, int port, const char *path, const char *subprotocol, int offers_deflate, int receive_buffer);
/* Queues a frame. */
void ws_send(websocket *ws, int opcode, const void *data, size_t length);
/* Writes as much of the queue as the socket takes. Returns 0, or -1 when the connection has failed. */
int ws_flush(websocket *ws);
int ws_has_output(const websocket *ws);
/* Reads once. Returns the number of bytes, 0 when there are none now, -1 when the connection has ended:
 * then errno is the reason, or 0 at the end of the stream. */
int ws_read(websocket *ws);
/* Takes the next message, control frame or the upgrade response out of the read data. Returns its opcode, WS_UPGRADED,
 * WS_MORE, or WS_FAILED with a problem. The payload is valid until the next call. */
int ws_next(websocket *ws, const char **payload, size_t *length);
/* Closes the socket, with a reset if `is_abrupt`, and frees its memory. */
void ws_free(websocket *ws, int is_abrupt);

#endif
