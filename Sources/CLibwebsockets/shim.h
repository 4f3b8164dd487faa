/* Declarations that Swift cannot import from the libraries' own headers. Each comment says why. */
#ifndef CLIBWEBSOCKETS_SHIM_H
#define CLIBWEBSOCKETS_SHIM_H

#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <zlib.h> /* compresses messages once for all readers */
#include <uv.h> /* libwebsockets.h includes it only if lws was built with libuv: fail here, not at a symbol */

/* accept4 is declared under _GNU_SOURCE only, which a module cannot define for another one. Other systems use accept
 * and fcntl. */
#ifdef __linux__
extern int accept4(int, struct sockaddr *, socklen_t *, int);
#endif
static inline int shim_accept(int listener, struct sockaddr *address, socklen_t *length)
{
#ifdef __linux__
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int accepted = accept(listener, address, length);
    if (accepted >= 0) {
        fcntl(accepted, F_SETFD, FD_CLOEXEC);
        fcntl(accepted, F_SETFL, O_NONBLOCK);
    }
    return accepted;
#endif
}

/* pthread_setname_np is declared under _GNU_SOURCE only. On macOS it can only name the calling thread. */
#ifdef __linux__
extern int pthread_setname_np(pthread_t, const char *);
#endif
static inline void shim_name_thread(const char *name)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), name);
#else
    pthread_setname_np(name);
#endif
}

/* dladdr is declared under _GNU_SOURCE only. */
struct shim_image { const char *file; void *start; const char *symbol; void *address; };
extern int shim_dladdr(const void *address, struct shim_image *image) __asm__("dladdr");

/* inflateInit2 and deflateInit2 are macros. A negative number of bits selects a raw stream (RFC 1951). */
static inline int shim_inflate_init(z_stream *stream, int windowBits) { return inflateInit2(stream, windowBits); }
static inline int shim_deflate_init(z_stream *stream, int level, int windowBits)
{
    return deflateInit2(stream, level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY);
}

/* A macro that combines two options, which Swift does not import. */
enum { shim_ALLOW_NON_SSL_ON_SSL_PORT = LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT };

/* File operations of libwebsockets whose open function is the server's. The function has another parameter since 4.4. */
struct shim_file_operations {
    struct lws_plat_file_ops operations; /* first, because lws has the address of this member */
    void *owner;
    lws_fop_fd_t (*open)(const struct shim_file_operations *, const char *name, lws_fop_flags_t flags);
};

#if LWS_LIBRARY_VERSION_NUMBER >= 4004000
static inline lws_fop_fd_t shim_open_file(const struct lws_plat_file_ops *operations, const struct lws_plat_file_ops *all,
                                          const char *name, const char *path, lws_fop_flags_t *flags)
{
    (void)all;
#else
static inline lws_fop_fd_t shim_open_file(const struct lws_plat_file_ops *operations, const char *name, const char *path,
                                          lws_fop_flags_t *flags)
{
#endif
    const struct shim_file_operations *table = (const struct shim_file_operations *)operations;
    (void)path;
    return table->open(table, name, *flags);
}

static inline void shim_set_open(struct shim_file_operations *table) { table->operations.open = shim_open_file; }

/* A macro that Swift does not import. */
enum { shim_PRE = LWS_PRE };

/* Macros. Allows TLS 1.2 and 1.3, without the renegotiation of TLS 1.2, which costs the server more than the client. */
static inline void shim_restrict_tls(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
}

/* The kernel's state of a TCP connection. struct tcp_info differs between systems, and Glibc's lacks members of Linux
 * 4.6 (include/uapi/linux/tcp.h). Members that the kernel does not provide are zero. */
struct shim_tcp {
    unsigned silence;    /* milliseconds since data was received */
    unsigned acked;      /* bytes acknowledged by the peer, modulo 2^32 */
    int is_outstanding;  /* whether bytes are unacknowledged or unsent */
};

static inline struct shim_tcp shim_tcp_state(int socket)
{
    struct shim_tcp state = { 0, 0, 0 };
#ifdef __linux__
    struct {
        struct tcp_info info;
        unsigned long long pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
        unsigned segs_out, segs_in, notsent_bytes;
    } all;
    socklen_t length = sizeof all;
    memset(&all, 0, sizeof all);
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &all, &length) == 0) {
        state.silence = all.info.tcpi_last_data_recv;
        state.acked = (unsigned)all.bytes_acked;
        state.is_outstanding = all.info.tcpi_unacked > 0 || all.notsent_bytes > 0;
    }
#endif
    (void)socket;
    return state;
}

/* Makes lws report each change of a connection's poll events with LWS_CALLBACK_GET_THREAD_ID (lib/core-net/pollfd.c).
 * It does so once it knows its service thread, which it never asks for on libuv. The function that asks is exported for
 * lws's event libraries, but not in a header. It is weak, because other versions may not have it. uv_stop() keeps the
 * function from running the loop. */
extern int _lws_plat_service_tsi(struct lws_context *, int, int) __attribute__((weak));
static inline void shim_report_poll_changes(struct lws_context *context, uv_loop_t *loop)
{
    if (_lws_plat_service_tsi) {
        uv_stop(loop);
        _lws_plat_service_tsi(context, -1, 0);
    }
}

/* Whether a libuv loop polls a descriptor for output. libuv has no API for this, and lws hides its handles. */
static inline int shim_polls_output(const uv_loop_t *loop, int fd)
{
    return fd >= 0 && (unsigned)fd < loop->nwatchers && loop->watchers[fd] && (loop->watchers[fd]->pevents & POLLOUT);
}

/* Whether watchers have been started that the kernel does not know yet: the loop's next poll registers them
 * (uv__io_poll). A queue that points to itself is empty. */
static inline int shim_has_new_watchers(const uv_loop_t *loop)
{
    return *(const void *const *)&loop->watcher_queue != (const void *)&loop->watcher_queue;
}

/* The size of an allocation. Glibc's module lacks the function. */
#ifdef __APPLE__
#include <malloc/malloc.h>
static inline size_t shim_allocated_size(const void *memory) { return malloc_size(memory); }
#else
#include <malloc.h>
static inline size_t shim_allocated_size(const void *memory) { return malloc_usable_size((void *)memory); }
#endif

/* A function with variable arguments. Tests use it to measure how long a loop waits. */
static inline void shim_measure_idle_time(uv_loop_t *loop) { uv_loop_configure(loop, UV_METRICS_IDLE_TIME); }

#endif
