/* libwebsockets: upgrades, reads, writes and closes connections like 4.1.6, one event at a time. */
#define _GNU_SOURCE
#include "internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum state { HTTP, OPEN, SENDING_CLOSE, AWAITING_CLOSE };

struct lws {
    struct lws *next;
    struct lws_context *context;
    sim_client *client;
    const struct lws_protocols *protocol;
    void *user, *opaque;
    enum state state;
    bool is_reading, wants_output, owes_pong, is_to_be_killed, has_told;
    bool has_closed; /* being destroyed */
    /* The bytes that the kernel has not taken: lws_buflist_out. */
    uint8_t *buffered;
    size_t buffered_count;
    uint8_t close_payload[125];
    int close_count; /* the server's close frame, if more than 0 */
    bool owes_echo;
    uint64_t timer; /* in milliseconds; 0 for none */
    bool is_timer_unnoticed;
    const sim_frame *frame; /* being received */
    uv__io_t watcher;
};

struct lws_vhost { struct lws_context *context; };

struct lws_context {
    struct lws *connections;
    const struct lws_protocols *protocols;
    const struct lws_extension *extensions;
    sim_loop *loop;
    struct lws_vhost vhost;
    uv__io_t pipe; /* that wakes the loop */
    struct lws_context **owner;
    bool reports_changes, is_awake, is_destroyed;
    int depth; /* within a service call */
};

static int call(struct lws *wsi, enum lws_callback_reasons reason, void *data, size_t count)
{
    return wsi->protocol->callback(wsi, reason, wsi->user, data, count);
}

/* lib/core-net/pollfd.c, _lws_change_pollfd: reports changes, once the service thread is known. */
static void update_events(struct lws *wsi)
{
    unsigned events = (wsi->is_reading ? POLLIN : 0) | (wsi->wants_output ? POLLOUT : 0);
    if (wsi->watcher.pevents == events) return;
    wsi->watcher.pevents = events;
    if (wsi->context->reports_changes)
        wsi->context->protocols[0].callback(wsi, LWS_CALLBACK_GET_THREAD_ID, NULL, NULL, 0);
}

/* Context. */

struct lws_context *lws_create_context(const struct lws_context_creation_info *info)
{
    struct lws_context *context = calloc(1, sizeof *context);
    context->loop = ((uv_loop_t *)info->foreign_loops[0])->data;
    context->loop->context = context;
    context->owner = info->pcontext;
    context->pipe = (uv__io_t) { .fd = 0, .pevents = POLLIN };
    context->loop->watchers[0] = &context->pipe;
    return context;
}

/* Older versions have no other vhost than the program's. */
struct lws_vhost *lws_get_vhost_by_name(struct lws_context *context, const char *name)
{
    (void)context; (void)name;
    return NULL;
}

struct lws_vhost *lws_create_vhost(struct lws_context *context, const struct lws_context_creation_info *info)
{
    context->protocols = info->protocols;
    context->extensions = info->extensions;
    context->vhost.context = context;
    return &context->vhost;
}

int _lws_plat_service_tsi(struct lws_context *context, int timeout, int thread)
{
    struct lws placeholder = { .context = context };
    (void)timeout; (void)thread;
    context->protocols[0].callback(&placeholder, LWS_CALLBACK_GET_THREAD_ID, NULL, NULL, 0);
    context->reports_changes = true;
    return 0;
}

/* Closing. */

int close(int descriptor);

/* lib/core-net/close.c, from just_kill_connection on. */
static void end(struct lws *wsi)
{
    struct lws **place = &wsi->context->connections;
    if (wsi->has_closed) return;
    wsi->has_closed = true;
    if (wsi->state != HTTP) call(wsi, LWS_CALLBACK_CLOSED, NULL, 0);
    call(wsi, LWS_CALLBACK_WSI_DESTROY, NULL, 0);
    wsi->context->loop->watchers[wsi->client->descriptor] = NULL;
    while (*place != wsi) place = &(*place)->next;
    *place = wsi->next;
    close(wsi->client->descriptor);
    free(wsi->buffered);
    free(wsi);
}

static void tell(struct lws *wsi)
{
    if (wsi->has_told || wsi->state == HTTP) return;
    wsi->has_told = true;
    call(wsi, LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL, NULL, 0);
}

/* lws_close_free_wsi: sends a close frame first if one has been set and none was sent. Otherwise closes at once. */
static void begin_close(struct lws *wsi)
{
    tell(wsi);
    if (wsi->state == OPEN && wsi->close_count > 0 && !wsi->client->is_reset && !wsi->client->is_shut_down) {
        wsi->state = SENDING_CLOSE;
        wsi->wants_output = true;
        return update_events(wsi);
    }
    end(wsi);
}

void lws_context_destroy(struct lws_context *context)
{
    if (!context->is_destroyed) {
        context->is_destroyed = true;
        while (context->connections) {
            tell(context->connections);
            end(context->connections);
        }
        return;
    }
    if (context->loop) {
        context->loop->context = NULL;
        context->loop->watchers[0] = NULL;
    }
    *context->owner = NULL;
    free(context);
}

/* Confab's calls for a connection. */

void *lws_wsi_user(struct lws *wsi) { return wsi->user; }
void lws_set_wsi_user(struct lws *wsi, void *user) { wsi->user = user; }
void *lws_get_opaque_user_data(const struct lws *wsi) { return wsi->opaque; }
void lws_set_opaque_user_data(struct lws *wsi, void *data) { wsi->opaque = data; }
const struct lws_protocols *lws_get_protocol(struct lws *wsi) { return wsi->protocol; }
lws_sockfd_type lws_get_socket_fd(struct lws *wsi) { return wsi->client->descriptor; }
int lws_is_ssl(struct lws *wsi) { (void)wsi; return 0; }
SSL *lws_get_ssl(struct lws *wsi) { (void)wsi; return NULL; }

int lws_is_final_fragment(struct lws *wsi) { return wsi->frame->is_final; }
int lws_frame_is_binary(struct lws *wsi) { (void)wsi; return 1; }
unsigned char lws_get_reserved_bits(struct lws *wsi) { (void)wsi; return 0; }
size_t lws_remaining_packet_payload(struct lws *wsi) { (void)wsi; return 0; }

int lws_partial_buffered(struct lws *wsi)
{
    interleave();
    return wsi->buffered_count > 0;
}

int lws_callback_on_writable(struct lws *wsi)
{
    wsi->wants_output = true;
    update_events(wsi);
    return 1;
}

int lws_rx_flow_control(struct lws *wsi, int flags)
{
    wsi->is_reading = flags & 1;
    update_events(wsi);
    return 0;
}

/* lib/core-net/output.c, lws_issue_raw: copies the bytes that the kernel does not take, and polls for output. */
int lws_write(struct lws *wsi, unsigned char *bytes, size_t count, enum lws_write_protocol protocol)
{
    ssize_t taken;
    (void)protocol;
    interleave();
    if (wsi->buffered_count) abort();
    if ((taken = kernel_write(wsi->client, bytes, count)) < 0) return -1;
    if ((size_t)taken < count) {
        wsi->buffered_count = count - (size_t)taken;
        wsi->buffered = realloc(wsi->buffered, wsi->buffered_count);
        memcpy(wsi->buffered, bytes + taken, wsi->buffered_count);
        lws_callback_on_writable(wsi);
    }
    return (int)count;
}

/* With libuv, a timer that is set outside of a service call is noticed only by the next one (libuv.c, lws_uv_idle). */
void lws_set_timer_usecs(struct lws *wsi, lws_usec_t time)
{
    wsi->timer = sim_now() + (uint64_t)(time + 999) / 1000;
    wsi->is_timer_unnoticed = wsi->context->depth == 0;
}

void lws_cancel_service_pt(struct lws *wsi) { wsi->context->is_awake = true; }

void lws_set_timeout(struct lws *wsi, enum pending_timeout reason, int seconds)
{
    (void)reason;
    if (seconds == LWS_TO_KILL_ASYNC) {
        wsi->timer = sim_now();
        wsi->is_timer_unnoticed = wsi->context->depth == 0;
        wsi->is_to_be_killed = true;
    }
}

void lws_close_reason(struct lws *wsi, enum lws_close_status status, unsigned char *reason, size_t count)
{
    wsi->close_payload[0] = (uint8_t)(status >> 8);
    wsi->close_payload[1] = (uint8_t)status;
    if (count > 123) count = 123;
    if (count) memcpy(wsi->close_payload + 2, reason, count);
    wsi->close_count = (int)count + 2;
}

int lws_get_close_length(struct lws *wsi) { return wsi->close_count; }
unsigned char *lws_get_close_payload(struct lws *wsi) { return wsi->close_payload; }

/* lib/roles/ws/server-ws.c, handshake_0405: writes the response behind 384 + LWS_PRE bytes of a buffer of 64 KiB. */
static void upgrade(struct lws *wsi, bool has_offer)
{
    uint8_t buffer[64 * 1024];
    struct lws_process_html_args arguments;
    uint8_t *start = buffer + 128 + 256 + LWS_PRE, *end_of_answer = start;
    const char *extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    bool has_extension = false;
    if (call(wsi, LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, NULL, 0) != 0) return end(wsi);
    if (has_offer && wsi->context->extensions
        && call(wsi, LWS_CALLBACK_CONFIRM_EXTENSION_OKAY, (void *)"permessage-deflate", 18) == 0) {
        const struct lws_ext_options *options = NULL;
        has_extension = true;
        wsi->context->extensions[0].callback(
            wsi->context, wsi->context->extensions, wsi, LWS_EXT_CB_CONSTRUCT, NULL, &options, 0);
    }
    end_of_answer += strlen(strcpy((char *)start, "HTTP/1.1 101 Switching Protocols\r\n"));
    if (has_extension) end_of_answer += strlen(strcpy((char *)end_of_answer, extension));
    memset(&arguments, 0, sizeof arguments);
    arguments.p = (char *)end_of_answer;
    arguments.max_len = (int)(buffer + sizeof buffer - end_of_answer);
    wsi->state = OPEN;
    if (call(wsi, LWS_CALLBACK_ADD_HEADERS, &arguments, 0) != 0) {
        wsi->state = HTTP;
        return end(wsi);
    }
    wsi->client->is_answered = true;
}

/* lib/core-net/adopt.c: handles the bytes already read from the socket, an upgrade request, at once. */
struct lws *lws_adopt_socket_vhost_readbuf(
    struct lws_vhost *vhost, lws_sockfd_type descriptor, const char *bytes, size_t count)
{
    static const char offer[] = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    struct lws *wsi = calloc(1, sizeof *wsi), **place;
    sim_client *client = client_of(descriptor);
    wsi->context = vhost->context;
    wsi->client = client;
    wsi->client->wsi = wsi;
    wsi->protocol = wsi->context->protocols;
    wsi->is_reading = true;
    wsi->context->loop->watchers[descriptor] = &wsi->watcher;
    for (place = &wsi->context->connections; *place; place = &(*place)->next) {}
    *place = wsi;
    update_events(wsi);
    call(wsi, LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED, NULL, 0);
    wsi->context->depth++;
    upgrade(wsi, memmem(bytes, count, offer, sizeof offer - 1) != NULL);
    wsi->context->depth--;
    for (place = &vhost->context->connections; *place; place = &(*place)->next)
        if (*place == wsi) return wsi;
    return NULL;
}

/* Files are not simulated. */
struct lws_plat_file_ops *lws_get_fops(struct lws_context *context)
{
    static struct lws_plat_file_ops operations;
    (void)context;
    return &operations;
}

void lws_set_fops(struct lws_context *context, const struct lws_plat_file_ops *operations)
{
    (void)context; (void)operations;
}

/* Events. */

static bool is_readable(const struct lws *wsi) { return wsi->is_reading && is_client_readable(wsi->client); }
static bool is_writable(const struct lws *wsi) { return wsi->wants_output && is_client_writable(wsi->client); }

static bool is_timed_out(const struct lws *wsi)
{
    return wsi->timer && !wsi->is_timer_unnoticed && wsi->timer <= sim_now();
}

/* lib/roles/ws/ops-ws.c, lws_ws_rx_sm. */
static bool receive(struct lws *wsi, const sim_frame *frame)
{
    if (frame->opcode < 8) {
        if (wsi->state != OPEN) return true;
        wsi->frame = frame;
        return call(wsi, LWS_CALLBACK_RECEIVE, (void *)frame->payload, frame->count) == 0;
    }
    if (frame->opcode == 8) {
        if (wsi->state == AWAITING_CLOSE) return false;
        if (wsi->state == SENDING_CLOSE || wsi->owes_echo) return true;
        if (call(wsi, LWS_CALLBACK_WS_PEER_INITIATED_CLOSE, (void *)frame->payload, frame->count) != 0) return false;
        wsi->owes_echo = true;
    } else if (frame->opcode == 9) {
        if (wsi->owes_pong || wsi->state != OPEN) return true;
        wsi->owes_pong = true;
    } else {
        return true;
    }
    wsi->wants_output = true;
    update_events(wsi);
    return true;
}

static void serve_readable(struct lws *wsi)
{
    do {
        sim_frame *frame = next_frame(wsi->client);
        bool goes_on;
        if (!frame) {
            if (wsi->client->has_ended || wsi->client->is_shut_down) begin_close(wsi);
            return;
        }
        if (wsi->client->is_shut_down) {
            free(frame);
            return begin_close(wsi);
        }
        goes_on = receive(wsi, frame);
        free(frame);
        if (!goes_on) return begin_close(wsi);
        /* One read may contain several frames. */
    } while (wsi->is_reading && wsi->client->first && choose(2) == 0);
}

/* lib/core-net/service.c, lws_handle_POLLOUT_event. */
static void serve_writable(struct lws *wsi)
{
    uint8_t frame[2 + 125];
    if (wsi->buffered_count) {
        ssize_t taken = kernel_write(wsi->client, wsi->buffered, wsi->buffered_count);
        if (taken < 0) return begin_close(wsi);
        wsi->buffered_count -= (size_t)taken;
        memmove(wsi->buffered, wsi->buffered + taken, wsi->buffered_count);
        return;
    }
    if (wsi->state == SENDING_CLOSE || wsi->owes_echo) {
        frame[0] = 0x88;
        frame[1] = (uint8_t)wsi->close_count;
        memcpy(frame + 2, wsi->close_payload, (size_t)wsi->close_count);
        if (lws_write(wsi, frame, 2 + (size_t)wsi->close_count, LWS_WRITE_HTTP) < 0 || wsi->owes_echo)
            return begin_close(wsi);
        wsi->state = AWAITING_CLOSE;
        return;
    }
    if (wsi->owes_pong && wsi->state != OPEN) {
        /* A pending pong is dropped once the connection closes (rops_handle_POLLOUT_ws). */
        wsi->owes_pong = false;
        return;
    }
    if (wsi->owes_pong) {
        frame[0] = 0x8a;
        frame[1] = 0;
        if (lws_write(wsi, frame, 2, LWS_WRITE_HTTP) < 0) return begin_close(wsi);
        wsi->owes_pong = false;
        return;
    }
    wsi->wants_output = false;
    update_events(wsi);
    if (wsi->state == OPEN && call(wsi, LWS_CALLBACK_SERVER_WRITEABLE, NULL, 0) != 0) begin_close(wsi);
}

static void serve_timer(struct lws *wsi)
{
    wsi->timer = 0;
    if (wsi->is_to_be_killed) {
        tell(wsi);
        return end(wsi);
    }
    if (call(wsi, LWS_CALLBACK_TIMER, NULL, 0) != 0) begin_close(wsi);
}

bool lws_has_events(struct lws_context *context)
{
    struct lws *wsi;
    if (context->is_awake) return true;
    for (wsi = context->connections; wsi; wsi = wsi->next)
        if (is_readable(wsi) || is_writable(wsi) || is_timed_out(wsi)) return true;
    return false;
}

/* Serves one of the pending events. */
void lws_serve_events(struct lws_context *context)
{
    struct { struct lws *wsi; void (*serve)(struct lws *); } events[64];
    uint32_t count = 0, choice;
    struct lws *wsi;
    context->is_awake = false;
    for (wsi = context->connections; wsi; wsi = wsi->next) wsi->is_timer_unnoticed = false;
    for (wsi = context->connections; wsi && count < 60; wsi = wsi->next) {
        if (is_readable(wsi)) { events[count].wsi = wsi; events[count++].serve = serve_readable; }
        if (is_writable(wsi)) { events[count].wsi = wsi; events[count++].serve = serve_writable; }
        if (is_timed_out(wsi)) { events[count].wsi = wsi; events[count++].serve = serve_timer; }
    }
    if (!count) return;
    choice = choose(count);
    context->depth++;
    events[choice].serve(events[choice].wsi);
    context->depth--;
}

uint64_t lws_next_timer(struct lws_context *context)
{
    uint64_t due = UINT64_MAX;
    struct lws *wsi;
    for (wsi = context->connections; wsi; wsi = wsi->next)
        if (wsi->timer && !wsi->is_timer_unnoticed && wsi->timer < due) due = wsi->timer;
    return due;
}
