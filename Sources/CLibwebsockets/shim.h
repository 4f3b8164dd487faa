/* Declarations that Swift cannot import from the libraries' own headers. Each comment says why. */
#ifndef CLIBWEBSOCKETS_SHIM_H
#define CLIBWEBSOCKETS_SHIM_H

/* A libwebsockets that Confab cannot use is named here. Otherwise the compiler would report a missing declaration. */
#include <lws_config.h>
#if LWS_LIBRARY_VERSION_NUMBER < 4001000
#error "this libwebsockets is too old: install 4.1 or later (Debian and Ubuntu: libwebsockets-dev)"
#endif
#ifndef LWS_WITH_LIBUV
#error "this libwebsockets was built without libuv: install one with -DLWS_WITH_LIBUV=ON (Debian: libwebsockets-dev)"
#endif
#if !defined(LWS_WITH_TLS) || defined(LWS_WITH_GNUTLS) || defined(LWS_WITH_MBEDTLS) || defined(LWS_WITH_BEARSSL) || \
    defined(LWS_WITH_OPENHITLS) || defined(LWS_WITH_SCHANNEL) || defined(USE_WOLFSSL)
#error "this libwebsockets was not built with OpenSSL: install one with -DLWS_WITH_SSL=ON and without -DLWS_WITH_GNUTLS, \
-DLWS_WITH_MBEDTLS, and other TLS libraries (Debian and Ubuntu: libwebsockets-dev)"
#endif
#ifndef LWS_WITH_CUSTOM_HEADERS
#error "this libwebsockets was built without custom headers: install one with -DLWS_WITH_CUSTOM_HEADERS=ON"
#endif

#include <libwebsockets.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <zlib.h> /* compresses messages once for all readers */
#include <uv.h>
#if UV_VERSION_MAJOR != 1
#error "Confab reads the loop of libuv 1: install libuv 1 (Debian and Ubuntu: libuv1-dev)"
#endif
#include "system.h"

/* inflateInit2 and deflateInit2 are macros. A negative number of bits selects a raw stream (RFC 1951). */
static inline int shim_inflate_init(z_stream *stream, int windowBits) { return inflateInit2(stream, windowBits); }
static inline int shim_deflate_init(z_stream *stream, int level, int windowBits)
{
    return deflateInit2(stream, level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY);
}

/* A macro that combines two options, which Swift does not import. */
enum { shim_ALLOW_NON_SSL_ON_SSL_PORT = LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT };

/* Makes a context without two habits of newer versions. `info` is for its vhost afterwards.
 *
 * lws 5.0 checks the payload of text frames for UTF-8 by default, even if it is compressed. The option against that must
 * not reach the vhost, where its bit is LWS_SERVER_OPTION_H2_PRIOR_KNOWLEDGE.
 *
 * An lws with secure streams looks for a captive portal: it resolves the name of a host on the internet, and sends it a
 * request. The loop waits for the name. */
static inline int shim_ignore_portal(struct lws_context *context) { (void)context; return 0; }
static inline struct lws_context *shim_create_context(struct lws_context_creation_info *info)
{
    struct lws_context *context;
    uint64_t options = info->options;
#ifdef LWS_SERVER_OPTION_DISABLE_UTF8_VALIDATION
    info->options |= LWS_SERVER_OPTION_DISABLE_UTF8_VALIDATION;
#endif
#ifdef LWS_WITH_SECURE_STREAMS
    static const lws_system_ops_t operations = { .captive_portal_detect_request = shim_ignore_portal };
    info->system_ops = &operations;
#endif
    context = lws_create_context(info);
    info->options = options;
    return context;
}

/* The log of one context. Since 4.3, the objects of a context count themselves in its log, without a lock
 * (lib/core/logs.c, lwsl_refcount_cx), and contexts that are given no log share one, though their threads differ. Then
 * the count may become wrong, and an assertion ends the process. */
typedef void (*shim_emit)(int level, const char *line);
#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
typedef lws_log_cx_t shim_log;
static inline void shim_use_log(struct lws_context_creation_info *info, shim_log *log, int levels, shim_emit emit)
{
    log->u.emit = emit;
    log->lll_flags = (uint32_t)levels;
    info->log_cx = log;
}
#else
typedef struct shim_log { char unused; } shim_log;
static inline void shim_use_log(struct lws_context_creation_info *info, shim_log *log, int levels, shim_emit emit)
{
    (void)info, (void)log, (void)levels, (void)emit;
}
#endif

/* Whether lws was built with extensions. Its headers declare their functions in any case. */
extern __typeof__(lws_set_extension_option) lws_set_extension_option __attribute__((weak));
static inline int shim_has_extensions(void) { return lws_set_extension_option != NULL; }

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

/* Makes lws report each change of a connection's poll events with LWS_CALLBACK_GET_THREAD_ID (lib/core-net/pollfd.c).
 * It does so once it knows its service thread, which it never asks for on libuv. The function that asks is exported for
 * lws's event libraries, but not in a header. It is weak, because other versions may not have it. uv_stop() keeps the
 * function from running the loop.
 *
 * It asks the first protocol of the first vhost. Since 4.5, and before that in builds with certain features, this is not
 * the server's vhost but "system", whose protocols do not answer. `callback` answers for them meanwhile. */
extern int _lws_plat_service_tsi(struct lws_context *, int, int) __attribute__((weak));
static inline struct lws_protocols *shim_first_system_protocol(struct lws_context *context)
{
    static const char *const names[] = { "lws-async-dns", "lws-ntpclient", "lws-dhcp4client", "lws-dhcpclient", "lws-stdin" };
    struct lws_vhost *vhost = lws_get_vhost_by_name(context, "system");
    const struct lws_protocols *found = NULL;
    for (size_t i = 0; vhost && !found && i < sizeof names / sizeof *names; i++)
        found = lws_vhost_name_to_protocol(vhost, names[i]);
    return (struct lws_protocols *)found; /* lws's own copy, which it allocates for each vhost */
}
static inline void shim_report_poll_changes(struct lws_context *context, uv_loop_t *loop, lws_callback_function *callback)
{
    struct lws_protocols *first;
    lws_callback_function *own;
    if (!_lws_plat_service_tsi) return;
    first = shim_first_system_protocol(context);
    own = first ? first->callback : NULL;
    if (first) first->callback = callback;
    uv_stop(loop);
    _lws_plat_service_tsi(context, -1, 0);
    if (first) first->callback = own;
}

/* Whether a libuv loop polls a descriptor for output. libuv has no API for this, and lws hides its handles. */
static inline int shim_polls_output(const uv_loop_t *loop, int fd)
{
    return fd >= 0 && (unsigned)fd < loop->nwatchers && loop->watchers[fd] && (loop->watchers[fd]->pevents & POLLOUT);
}

/* Whether shim_polls_output() works: the loop's table has a watcher for input where its descriptor says. A loop with a
 * context always has one, which wakes it. */
static inline int shim_sees_watchers(const uv_loop_t *loop)
{
    for (unsigned fd = 0; fd < loop->nwatchers; fd++)
        if (loop->watchers[fd] && loop->watchers[fd]->fd == (int)fd && (loop->watchers[fd]->pevents & POLLIN)) return 1;
    return 0;
}

/* Whether watchers have been started that the kernel does not know yet: the loop's next poll registers them
 * (uv__io_poll). A queue that points to itself is empty. */
static inline int shim_has_new_watchers(const uv_loop_t *loop)
{
    return *(const void *const *)&loop->watcher_queue != (const void *)&loop->watcher_queue;
}

/* Starts a thread with the usual size of stack. uv_thread_t has no empty value that Swift can make on all systems. */
static inline int shim_start_thread(uv_thread_cb body, void *argument)
{
    uv_thread_t thread;
    return uv_thread_create(&thread, body, argument);
}

/* A function with variable arguments. Tests use it to measure how long a loop waits. */
static inline void shim_measure_idle_time(uv_loop_t *loop) { uv_loop_configure(loop, UV_METRICS_IDLE_TIME); }

#endif
