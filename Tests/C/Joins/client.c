#define _GNU_SOURCE
#include "client.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counts counts;
double now;

client *client_connect(int port, const char *room, int is_rich, int offers_deflate, int receive_buffer) {
  static uint32_t next_id;
  client *one = calloc(1, sizeof *one);
  one->id = next_id++;
  one->is_rich = is_rich;
  one->offers_deflate = offers_deflate;
  one->interest = -1;
  one->connected_at = now;
  if (ws_open(&one->ws, port, room, is_rich ? "chat.confab.v1" : NULL, offers_deflate, receive_buffer) == 0) return one;
  free(one);
  return NULL;
}

outcome client_fail(client *one, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(one->problem, sizeof one->problem, format, arguments);
  va_end(arguments);
  return FAILS;
}

void client_say(client *one, size_t size, int is_binary) {
  static char text[1 << 18], event[1 << 13];
  size_t length = record_say(text, size, one->id);
  counts.said++;
  if (one->is_rich) {
    int count = snprintf(
        event, sizeof event, "{\"type\":\"say\",\"tag\":\"%u-%u\",\"text\":\"%.*s\"}", one->id, record_said_by(one->id),
        (int)length, text);
    ws_send(&one->ws, WS_TEXT, event, (size_t)count);
  } else {
    ws_send(&one->ws, is_binary ? WS_BINARY : WS_TEXT, text, length);
  }
  ws_flush(&one->ws);
}

void client_close(client *one) {
  ws_send(&one->ws, WS_CLOSE, "\x03\xe8", 2);
  ws_flush(&one->ws);
  one->state = CLOSING;
}

static void introduce(client *one) {
  char hello[100];
  int length = snprintf(
      hello, sizeof hello, "{\"type\":\"hello\",\"name\":\"j%u\",\"history\":%d}", one->id,
      drand48() < 0.3 ? 0 : (int)(drand48() * 101));
  one->state = INTRODUCING;
  ws_send(&one->ws, WS_TEXT, hello, (size_t)length);
}

static void join(client *one) {
  one->joined = record_next();
  one->joined_at = now;
  one->state = OPEN;
  counts.joins[one->is_rich * 2 + one->ws.inflates]++;
}

static int has(const char *text, size_t length, const char *part) {
  return memmem(text, length, part, strlen(part)) != NULL;
}

static unsigned long number_after(const char *text, size_t length, const char *name) {
  const char *found = memmem(text, length, name, strlen(name));
  return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}

/* Handles an event of the rich protocol. */
static outcome take_event(client *one, const char *text, size_t length) {
  if (has(text, length, "\"type\":\"welcome\"")) {
    if (one->state != INTRODUCING) return client_fail(one, "got a second welcome");
    one->last_id = number_after(text, length, "\"last\":");
    join(one);
  } else if (has(text, length, "\"type\":\"message\"")) {
    unsigned long id = number_after(text, length, "\"id\":");
    if (one->state == INTRODUCING) return client_fail(one, "got a message before the welcome");
    if (id != one->last_id + 1) return client_fail(one, "got the message with id %lu after id %lu", id, one->last_id);
    one->last_id = id;
  } else if (has(text, length, "\"type\":\"error\"")) {
    return client_fail(one, "got an error: %.*s", (int)length, text);
  }
  return STAYS;
}

static outcome take_message(client *one, const char *text, size_t length) {
  const char *end = text + length, *problem;
  uint32_t number;
  int found;
  if (one->is_rich && take_event(one, text, length) == FAILS) return FAILS;
  /* Tests/EmbedC/relay.c sends this to a single client. */
  if (!one->is_rich && length == 5 && memcmp(text, "alone", 5) == 0) return STAYS;
  while ((found = record_find(&text, end, &number)) > 0) {
    counts.heard++;
    heard_add(&one->heard, number);
    if (one->role == WITNESS && (problem = record_place(number)) != NULL) return client_fail(one, "%s", problem);
  }
  if (found < 0 || (!one->is_rich && text != end)) return client_fail(one, "got bytes that were not sent");
  return STAYS;
}

static outcome take_close(client *one, const char *payload, size_t length) {
  int code = length < 2 ? 1005 : (unsigned char)payload[0] << 8 | (unsigned char)payload[1];
  if (code == 1013 && (one->has_stalled || one->may_be_rejected)) return IS_EVICTED;
  if (code == 1000 && one->state == CLOSING) return HAS_LEFT;
  return client_fail(one, "was closed with %d %.*s", code, length > 2 ? (int)length - 2 : 0, payload + 2);
}

outcome client_receive(client *one) {
  int count = ws_read(&one->ws), opcode;
  const char *payload;
  size_t length;
  if (count == 0) return STAYS;
  if (count < 0) {
    /* When a lagging client closes, libwebsockets drops its pending output, including its close frame. */
    if (one->state == CLOSING) return HAS_LEFT;
    /* The server drops a client that does not read its close frame. */
    if (one->has_stalled) return IS_EVICTED;
    return client_fail(
        one, "lost its connection without a close frame: %s", errno == 0 ? "end of the stream" : strerror(errno));
  }
  one->heard_at = now;
  while ((opcode = ws_next(&one->ws, &payload, &length)) != WS_MORE) {
    if (opcode == WS_FAILED && one->may_be_rejected && strncmp(one->ws.problem, "HTTP/1.1 503 ", 13) == 0) return IS_REJECTED;
    if (opcode == WS_FAILED) return client_fail(one, "%s", one->ws.problem);
    if (opcode == WS_CLOSE) return take_close(one, payload, length);
    if (opcode == WS_PING) ws_send(&one->ws, WS_PONG, payload, length);
    if (opcode == WS_UPGRADED && one->is_rich) introduce(one);
    if (opcode == WS_UPGRADED && !one->is_rich) join(one);
    if ((opcode == WS_TEXT || opcode == WS_BINARY) && take_message(one, payload, length) == FAILS) return FAILS;
  }
  return STAYS;
}
