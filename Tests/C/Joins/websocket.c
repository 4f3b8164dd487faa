#define _GNU_SOURCE
#include "websocket.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The server must unmask with any value. */
static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};

static char *reserve(buffer *b, size_t count) {
  if (b->start == b->end) b->start = b->end = 0;
  if (b->start > b->capacity / 2) {
    memmove(b->bytes, b->bytes + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
  }
  if (b->capacity - b->end < count) {
    while (b->capacity - b->end < count) b->capacity = b->capacity ? b->capacity * 2 : 4096;
    b->bytes = realloc(b->bytes, b->capacity);
    if (b->bytes == NULL) abort();
  }
  return b->bytes + b->end;
}

static void append(buffer *b, const void *bytes, size_t count) {
  memcpy(reserve(b, count), bytes, count);
  b->end += count;
}

static int fail(websocket *ws, const char *problem) {
  snprintf(ws->problem, sizeof ws->problem, "%.190s", problem);
  return WS_FAILED;
}

int ws_open(websocket *ws, int port, const char *path, const char *subprotocol, int offers_deflate, int receive_buffer) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  char request[600];
  int one = 1, length;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  memset(ws, 0, sizeof *ws);
  ws->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (ws->fd < 0) return -1;
  if (receive_buffer) {
    /* With the loopback device's segments of 64 KiB, a small window would advance only by a timer. */
    int segment = 1000;
    setsockopt(ws->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    setsockopt(ws->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  }
  setsockopt(ws->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(ws->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) return -1;
  length = snprintf(
      request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s%s\r\n",
      path, port, subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "", subprotocol ? "\r\n" : "",
      offers_deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
  append(&ws->to_send, request, (size_t)length);
  return 0;
}

void ws_send(websocket *ws, int opcode, const void *data, size_t length) {
  unsigned char head[14] = {(unsigned char)(0x80 | opcode)};
  size_t count = 2, index;
  char *target;
  if (length < 126) {
    head[1] = (unsigned char)(0x80 | length);
  } else if (length < 65536) {
    head[1] = 0x80 | 126;
    head[2] = (unsigned char)(length >> 8);
    head[3] = (unsigned char)length;
    count = 4;
  } else {
    head[1] = 0x80 | 127;
    for (index = 0; index < 8; index++) head[2 + index] = (unsigned char)(length >> (56 - 8 * index));
    count = 10;
  }
  memcpy(head + count, mask, 4);
  append(&ws->to_send, head, count + 4);
  target = reserve(&ws->to_send, length);
  for (index = 0; index < length; index++) target[index] = ((const char *)data)[index] ^ (char)mask[index & 3];
  ws->to_send.end += length;
}

int ws_has_output(const websocket *ws) { return ws->to_send.start < ws->to_send.end; }

int ws_flush(websocket *ws) {
  while (ws_has_output(ws)) {
    buffer *b = &ws->to_send;
    ssize_t count = send(ws->fd, b->bytes + b->start, b->end - b->start, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == ENOTCONN || errno == EINTR ? 0 : -1;
    b->start += (size_t)count;
  }
  return 0;
}

int ws_read(websocket *ws) {
  ssize_t count = recv(ws->fd, reserve(&ws->received, 65536), 65536, 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (count == 0) {
    errno = 0;
    return -1;
  }
  ws->received.end += (size_t)count;
  return (int)count;
}

/* Parses the response to the upgrade request. */
static int next_response(websocket *ws) {
  buffer *b = &ws->received;
  char *start = b->bytes + b->start, *end, head[2048];
  size_t length;
  if (b->start == b->end || (end = memmem(start, b->end - b->start, "\r\n\r\n", 4)) == NULL) return WS_MORE;
  length = (size_t)(end - start);
  if (length >= sizeof head) return fail(ws, "a response header section over 2 KiB");
  memcpy(head, start, length);
  head[length] = 0;
  b->start += length + 4;
  if (strncmp(head, "HTTP/1.1 101 ", 13) != 0) {
    head[strcspn(head, "\r")] = 0;
    return fail(ws, head);
  }
  if (strcasestr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL)
    return fail(ws, "101 without the right Sec-WebSocket-Accept");
  ws->inflates = strcasestr(head, "\r\nSec-WebSocket-Extensions: permessage-deflate") != NULL;
  ws->resets_window = strcasestr(head, "server_no_context_takeover") != NULL;
  if (ws->inflates && inflateInit2(&ws->inflater, -15) != Z_OK) abort();
  ws->is_upgraded = 1;
  return WS_UPGRADED;
}

static int inflate_message(websocket *ws) {
  buffer *out = &ws->inflated;
  int result;
  append(&ws->fragments, "\0\0\xff\xff", 4);
  out->start = out->end = 0;
  if (ws->resets_window) inflateReset(&ws->inflater);
  ws->inflater.next_in = (unsigned char *)ws->fragments.bytes + ws->fragments.start;
  ws->inflater.avail_in = (unsigned)(ws->fragments.end - ws->fragments.start);
  do {
    ws->inflater.next_out = (unsigned char *)reserve(out, 65536);
    ws->inflater.avail_out = 65536;
    result = inflate(&ws->inflater, Z_SYNC_FLUSH);
    out->end += 65536 - ws->inflater.avail_out;
  } while (result == Z_OK && ws->inflater.avail_out == 0);
  return result == Z_OK || result == Z_BUF_ERROR ? 0 : fail(ws, "a compressed message that cannot be inflated");
}

int ws_next(websocket *ws, const char **payload, size_t *length) {
  if (!ws->is_upgraded) return next_response(ws);
  for (;;) {
    buffer *b = &ws->received;
    const unsigned char *head = (const unsigned char *)b->bytes + b->start;
    size_t available = b->end - b->start, size, count = 2, index;
    int opcode, is_final;
    if (available < 2) return WS_MORE;
    size = head[1] & 127;
    count = size == 127 ? 10 : size == 126 ? 4 : 2;
    if (available < count) return WS_MORE;
    if (count > 2)
      for (size = 0, index = 2; index < count; index++) size = size << 8 | head[index];
    if (head[1] & 0x80 || head[0] & 0x30 || size > 1 << 24) return fail(ws, "a malformed frame header");
    if (available < count + size) return WS_MORE;
    opcode = head[0] & 15;
    is_final = head[0] >> 7;
    *payload = (const char *)head + count;
    *length = size;
    b->start += count + size;
    if (opcode >= 8) {
      if (!is_final || size > 125 || head[0] & 0x40) return fail(ws, "a malformed control frame");
      return opcode;
    }
    if (opcode > 2 || (opcode == 0) != (ws->opcode != 0)) return fail(ws, "an unexpected fragment");
    if (opcode) {
      ws->opcode = opcode;
      ws->is_compressed = head[0] >> 6 & 1;
      ws->fragments.start = ws->fragments.end = 0;
      if (ws->is_compressed && !ws->inflates) return fail(ws, "a compressed message that was not negotiated");
    }
    append(&ws->fragments, *payload, size);
    if (!is_final) continue;
    opcode = ws->opcode;
    ws->opcode = 0;
    if (ws->is_compressed && inflate_message(ws) != 0) return WS_FAILED;
    b = ws->is_compressed ? &ws->inflated : &ws->fragments;
    *payload = b->bytes + b->start;
    *length = b->end - b->start;
    return opcode;
  }
}

void ws_free(websocket *ws, int is_abrupt) {
  struct linger reset = {1, 0};
  buffer *all[] = {&ws->received, &ws->to_send, &ws->fragments, &ws->inflated};
  size_t index;
  if (is_abrupt) setsockopt(ws->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(ws->fd);
  if (ws->inflates) inflateEnd(&ws->inflater);
  for (index = 0; index < 4; index++) free(all[index]->bytes);
}
