/* The kernel: TCP connections as queues, and the system calls that Confab makes for them. */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

enum { LISTENERS = 256 };
static sim_client *clients[DESCRIPTORS];
static sim_client *waiting[LISTENERS];

sim_client *client_of(int descriptor)
{
    int index = descriptor - FIRST_DESCRIPTOR;
    return index >= 0 && index < DESCRIPTORS ? clients[index] : NULL;
}

void forget_clients(void)
{
    memset(clients, 0, sizeof clients);
    memset(waiting, 0, sizeof waiting);
}

sim_client *sim_connect(int listener, bool offers_compression, const char *path, const char *agent)
{
    sim_client *client = calloc(1, sizeof *client), **end = &waiting[listener % LISTENERS];
    client->offers_compression = offers_compression;
    client->path = path;
    client->agent = agent;
    client->has_request = true;
    client->capacity = SIZE_MAX;
    client->last = &client->first;
    client->descriptor = -1;
    client->is_owned = true;
    while (*end) end = &(*end)->next;
    *end = client;
    return client;
}

/* The server accepts from a duplicate of the descriptor that it gets. */
static int originals[1024];
static int queue_of(int listener)
{
    return (listener < 1024 && originals[listener] ? originals[listener] : listener) % LISTENERS;
}

int fcntl(int descriptor, int command, ...)
{
    va_list arguments;
    long argument;
    int result;
    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    result = (int)syscall(SYS_fcntl, descriptor, command, argument);
    if (command == F_DUPFD_CLOEXEC && result >= 0 && result < 1024) originals[result] = descriptor;
    return result;
}

bool has_waiting(int listener) { return waiting[queue_of(listener)] != NULL; }

bool is_client_readable(const sim_client *client)
{
    return client->has_request || client->first || client->has_ended || client->is_shut_down;
}

bool is_client_writable(const sim_client *client)
{
    return client->capacity > 0 || client->is_reset || client->is_shut_down;
}

static void release(sim_client *client)
{
    if (client->is_owned || client->descriptor >= 0) return;
    while (client->first) {
        sim_frame *next = client->first->next;
        free(client->first);
        client->first = next;
    }
    free(client->received);
    free(client);
}

void sim_free(sim_client *client)
{
    int index;
    for (index = 0; index < LISTENERS; index++) {
        sim_client **place = &waiting[index];
        while (*place && *place != client) place = &(*place)->next;
        if (*place) *place = client->next;
    }
    client->is_owned = false;
    release(client);
}

void sim_send(sim_client *client, uint8_t opcode, bool is_final, const uint8_t *payload, size_t count)
{
    sim_frame *frame = malloc(sizeof *frame + count);
    frame->next = NULL;
    frame->count = count;
    frame->opcode = opcode;
    frame->is_final = is_final;
    if (count) memcpy(frame->payload, payload, count);
    *client->last = frame;
    client->last = &frame->next;
    client->frames++;
}

sim_frame *next_frame(sim_client *client)
{
    sim_frame *frame = client->first;
    if (!frame) return NULL;
    client->first = frame->next;
    if (!client->first) client->last = &client->first;
    client->frames--;
    return frame;
}

void sim_vanish(sim_client *client, bool by_reset)
{
    client->has_ended = true;
    client->is_reset = client->is_reset || by_reset;
}

void sim_set_capacity(sim_client *client, size_t capacity) { client->capacity = capacity; }
size_t sim_capacity(const sim_client *client) { return client->capacity; }
const uint8_t *sim_received(const sim_client *client) { return client->received; }
size_t sim_received_count(const sim_client *client) { return client->received_count; }
bool sim_is_answered(const sim_client *client) { return client->is_answered; }
bool sim_is_closed(const sim_client *client) { return client->is_closed; }
size_t sim_unread_frames(const sim_client *client) { return client->frames; }

size_t sim_inflate(const uint8_t *payload, size_t count, uint8_t *target, size_t room)
{
    static const uint8_t end[] = { 0, 0, 0xff, 0xff };
    z_stream stream = { .next_in = (Bytef *)payload, .avail_in = (uInt)count, .next_out = target, .avail_out = (uInt)room };
    size_t size = SIZE_MAX;
    if (inflateInit2(&stream, -15) != Z_OK) return size;
    if (inflate(&stream, Z_SYNC_FLUSH) >= Z_OK && stream.avail_in == 0) {
        stream.next_in = (Bytef *)end;
        stream.avail_in = sizeof end;
        if (inflate(&stream, Z_SYNC_FLUSH) >= Z_BUF_ERROR && stream.avail_in == 0) size = room - stream.avail_out;
    }
    inflateEnd(&stream);
    return size;
}

ssize_t kernel_write(sim_client *client, const uint8_t *bytes, size_t count)
{
    if (client->is_reset || client->is_shut_down) return -1;
    if (count > client->capacity) count = client->capacity;
    if (client->received_count + count > client->received_room) {
        client->received_room = 2 * (client->received_count + count);
        client->received = realloc(client->received, client->received_room);
    }
    if (count) memcpy(client->received + client->received_count, bytes, count);
    client->received_count += count;
    if (client->capacity != SIZE_MAX) client->capacity -= count;
    return (ssize_t)count;
}

/* System calls: calls for other descriptors go to the system. */

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags)
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(40000), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int index = 0, queue = queue_of(listener);
    sim_client *client = waiting[queue];
    (void)flags;
    while (index < DESCRIPTORS && clients[index]) index++;
    if (!client || index == DESCRIPTORS) {
        errno = EAGAIN;
        return -1;
    }
    waiting[queue] = client->next;
    clients[index] = client;
    client->descriptor = FIRST_DESCRIPTOR + index;
    memcpy(address, &peer, sizeof peer);
    *length = sizeof peer;
    return client->descriptor;
}

int close(int descriptor)
{
    sim_client *client = client_of(descriptor);
    if (descriptor >= 0 && descriptor < 1024) originals[descriptor] = 0;
    if (!client) return (int)syscall(SYS_close, descriptor);
    clients[descriptor - FIRST_DESCRIPTOR] = NULL;
    client->descriptor = -1;
    client->is_closed = true;
    release(client);
    return 0;
}

int shutdown(int descriptor, int how)
{
    sim_client *client = client_of(descriptor);
    if (!client) return (int)syscall(SYS_shutdown, descriptor, how);
    client->is_shut_down = true;
    return 0;
}

ssize_t recv(int descriptor, void *buffer, size_t count, int flags)
{
    sim_client *client = client_of(descriptor);
    if (!client) return syscall(SYS_recvfrom, descriptor, buffer, count, flags, NULL, NULL);
    if (client->has_request) {
        int length = snprintf(
            buffer, count,
            "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nUser-Agent: %s\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
            client->path, client->agent,
            client->offers_compression ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
        if (length < 0 || (size_t)length >= count) abort();
        client->has_request = false;
        return length;
    }
    if (client->has_ended || client->is_shut_down) return 0;
    errno = EAGAIN;
    return -1;
}

ssize_t send(int descriptor, const void *buffer, size_t count, int flags)
{
    sim_client *client = client_of(descriptor);
    if (!client) return syscall(SYS_sendto, descriptor, buffer, count, flags, NULL, 0);
    ssize_t taken = kernel_write(client, buffer, count);
    errno = taken < 0 ? EPIPE : EAGAIN;
    return taken == 0 && count ? -1 : taken;
}

int setsockopt(int descriptor, int level, int option, const void *value, socklen_t length)
{
    if (client_of(descriptor)) return 0;
    return (int)syscall(SYS_setsockopt, descriptor, level, option, value, length);
}

int getsockopt(int descriptor, int level, int option, void *value, socklen_t *length)
{
    if (client_of(descriptor)) return -1;
    return (int)syscall(SYS_getsockopt, descriptor, level, option, value, length);
}

int getpeername(int descriptor, struct sockaddr *address, socklen_t *length)
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(40000), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    if (!client_of(descriptor)) return (int)syscall(SYS_getpeername, descriptor, address, length);
    memcpy(address, &peer, sizeof peer);
    *length = sizeof peer;
    return 0;
}
