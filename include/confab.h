/*
 * confab.h - Confab for C: a WebSocket and group-chat server on libwebsockets and libuv.
 *
 * A server has one or more event loops, and each connection lives on one of them: what happens to it comes as a call of
 * one of your callbacks, on that loop's thread. With confab_start() the loops have threads of their own; with
 * confab_run() the first one runs on the calling thread; with confab_config.uv_loop all happens on a libuv loop of yours.
 *
 * THREADS. Each function says who may call it:
 *   "Any thread."  From wherever you like, callbacks included, at the same time as any other.
 *   "Loop thread." From the thread of the loop that the connection lives on only: from its callbacks, or from a job that
 *                  confab_execute() runs there. Elsewhere it does nothing and returns CONFAB_ERROR_THREAD.
 * Nothing here may be called from a signal handler. Callbacks must not block: all connections of the loop wait meanwhile.
 * With several loops, callbacks of connections of different loops run at the same time.
 *
 * OWNERSHIP. What is passed in (structs, strings, bytes) is yours, and copied before the function returns. What callbacks
 * are passed (requests, strings, bytes) belongs to Confab and is gone when the callback returns: copy what you keep. A
 * server is yours from confab_create() to confab_destroy(). A connection is Confab's: the pointer is valid from `opened`
 * until `closed` has returned, and longer if you have called confab_connection_retain(). A pointer that is no longer
 * valid must not be used, as after free(); NULL may be passed anywhere, and is an error that is told.
 *
 * ERRORS. Functions that return int or int64_t return a negative number from enum confab_error when they fail, and have
 * done nothing then. confab_strerror() says what the number means, confab_last_error() what was wrong this time.
 *
 * GROWTH. Structs begin with their size, which their init function fills in beside the defaults: a program that was
 * compiled with this header runs with later versions of the library, whose structs have more members at their end.
 *
 *   confab_config config;
 *   confab_server *server;
 *   int rc;
 *
 *   confab_config_init(&config, sizeof config);
 *   config.port = 8080;
 *   rc = confab_chat_create(&config, &server);
 *   if (rc == 0) rc = confab_run(server);
 *   if (rc != 0) fprintf(stderr, "%s\n", confab_last_error());
 *
 * SIGNALS. The threads that confab_start() makes are named "confab-loop-0", "confab-loop-1" and so on, and block all
 * signals but those that a thread raises itself (SIGSEGV and the like) and SIGPROF: your handlers run on your threads.
 * libwebsockets has the process ignore SIGPIPE from the first server on.
 *
 * FORK. A server, its connections and requests belong to the process that called confab_create(). A child of fork() has
 * none of the threads: all functions that are passed one of these, confab_destroy() included, return CONFAB_ERROR_FORKED
 * there (NULL those that return a pointer), and do nothing. The child has copies of the server's sockets until it ends or
 * calls exec: until then connections and the port stay open when the parent closes them. A program that becomes a daemon
 * calls fork() before confab_create().
 */
#ifndef CONFAB_H
#define CONFAB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the library exports is marked with this. */
#if defined(__GNUC__)
#define CONFAB_API __attribute__((visibility("default")))
#else
#define CONFAB_API
#endif

/* The version of this header. */
#define CONFAB_VERSION "0.1.0"

/* The version of the library that runs, as CONFAB_VERSION; a constant. Any thread. */
CONFAB_API const char *confab_version(void);

/* A server: what listens, accepts and has the loops. */
typedef struct confab_server confab_server;

/* One WebSocket client, from `opened` to `closed`. */
typedef struct confab_connection confab_connection;

/* A client that waits to be let in or not, from `authorize` to confab_accept() or confab_refuse(). */
typedef struct confab_authorization confab_authorization;

/* An HTTP request, within the callback that is passed it. */
typedef struct confab_request confab_request;

/* A libuv loop, uv_loop_t, which this header need not know. */
struct uv_loop_s;

/* ------------------------------------------------------------------------------------------------------------ Errors */

typedef enum confab_error {
  /* All is well. */
  CONFAB_OK = 0,
  /* An argument is NULL, or out of its range. */
  CONFAB_ERROR_ARGUMENT = -1,
  /* The size at the beginning of a struct is none that it ever had: call its init function, and use a library that is
   * not older than the header. */
  CONFAB_ERROR_SIZE = -2,
  /* A member of confab_config has a value that can't work. */
  CONFAB_ERROR_CONFIGURATION = -3,
  /* The host can't be resolved. */
  CONFAB_ERROR_HOST = -4,
  /* Another program listens on the port. */
  CONFAB_ERROR_ADDRESS_IN_USE = -5,
  /* The system does not let it listen, for another reason. */
  CONFAB_ERROR_LISTEN = -6,
  /* The certificate or key can't be used. */
  CONFAB_ERROR_CERTIFICATE = -7,
  /* libwebsockets or libuv could not be set up. */
  CONFAB_ERROR_ENGINE = -8,
  /* The call is for another thread. */
  CONFAB_ERROR_THREAD = -9,
  /* The call is not for this state of the server: it has been started before, or not yet, or runs. */
  CONFAB_ERROR_STATE = -10,
  /* The connection is closing or closed, or the loop has ended. */
  CONFAB_ERROR_CLOSED = -11,
  /* There are confab_config.max_rooms rooms already. */
  CONFAB_ERROR_ROOMS = -12,
  /* The call was made in a child of fork(). A server belongs to the process that made it. */
  CONFAB_ERROR_FORKED = -13
} confab_error;

/* What a result means, in a few words; a constant. Any thread. */
CONFAB_API const char *confab_strerror(int code);

/* What went wrong when a function of this header last failed on this thread: one sentence, with the value and what to
 * do about it; "" if none has. Yours to read until another one fails on this thread. Any thread. */
CONFAB_API const char *confab_last_error(void);

/* ----------------------------------------------------------------------------------------------------- Configuration */

/* A folder that is served over HTTP. */
typedef struct confab_mount {
  /* sizeof(confab_mount), set by confab_mount_init(). */
  size_t size;
  /* Where it appears: "/", which is the default, or a path that begins with '/' and does not end with it, shorter
   * than 256 bytes. */
  const char *path;
  /* The folder on disk. There is no default. */
  const char *directory;
  /* The file that a request for a folder gets. The default is "index.html". */
  const char *index;
} confab_mount;

/* Fills in the size and the defaults. `size` is sizeof *mount. Any thread. */
CONFAB_API int confab_mount_init(confab_mount *mount, size_t size);

/* How important a line of the log is. */
typedef enum confab_log_level {
  CONFAB_LOG_TRACE = 0,
  CONFAB_LOG_DEBUG = 1,
  CONFAB_LOG_INFO = 2,
  CONFAB_LOG_NOTICE = 3,
  CONFAB_LOG_WARNING = 4,
  CONFAB_LOG_ERROR = 5,
  CONFAB_LOG_CRITICAL = 6,
  /* Above all of them: nothing is logged. */
  CONFAB_LOG_NONE = 7
} confab_log_level;

/* Every setting of a server. 0 is no limit where it says so. Flags are 0, or anything else for yes. What is for the
 * chat alone is looked at by confab_chat_create() alone. */
typedef struct confab_config {
  /* sizeof(confab_config), set by confab_config_init(). */
  size_t size;

  /* Where to listen */

  /* The host name or numeric address to listen on. Default: NULL, this machine only: 127.0.0.1 and ::1, or the one of
   * them that there is. "0.0.0.0" or "::" is every address. */
  const char *host;
  /* The TCP port, 0 to 65535. 0 takes a free one, see confab_server_port(). Default: 8080. */
  int port;
  /* A libuv loop of yours, uv_loop_t, for the server to live in, beside what else is done there: it has one event
   * loop then, whatever `loops` says, and no thread. It is confab_start() that begins to use it, to be called on the
   * thread that runs the loop, or while nobody does. When the server has stopped, see confab_when_stopped(), nothing
   * of it is left in the loop, which you may close only then. Default: NULL, loops of its own. */
  struct uv_loop_s *uv_loop;
  /* Event loops, each a thread with its own listener, 1 to 64. Default: the number of cores that the process may use,
   * at most 4. The kernel spreads connections over them; everyone sees the same order, whatever loop they are on. 1
   * has all callbacks called one after the other. */
  int loops;
  /* The certificate for https and wss, which are spoken instead of http and ws then, and its key: files in PEM, the
   * chain from the server's certificate on, and the key not encrypted. A request without TLS for a page is redirected
   * (status 308), another one refused (400). Default: NULL, both. */
  const char *tls_certificate_file;
  const char *tls_key_file;

  /* What to serve */

  /* Folders served over HTTP: an array of `mount_count`, at most 256, the first of which says their size. Default:
   * none; for confab_chat_create(), none is the chat's page at "/". */
  const confab_mount *mounts;
  size_t mount_count;
  /* The subprotocols that the server speaks (RFC 6455, section 1.9): tokens of at most 62 bytes that don't begin with
   * a digit, ended by NULL. A client that offers some of them gets the first of its list, one that offers none goes
   * on without. Default: NULL, none. */
  const char *const *subprotocols;
  /* Whether messages are compressed for clients that offer it (permessage-deflate, RFC 7692): once for all of them,
   * from 128 bytes on. Default: 1. */
  int offers_compression;

  /* Who is let in */

  /* Web origins whose pages may connect, as browsers send them, "https://example.org", ended by NULL; "*" is every
   * one. Default: NULL, none beyond these: listening on loopback only, pages from loopback at any port, and those
   * opened from a file ("null"); listening on anything else, pages from the host and port that the request is for.
   * Another origin gets status 403. A client that sends no origin is no browser, and let in. */
  const char *const *allowed_origins;
  /* Whether a client that sends no origin gets status 403. Default: 0. */
  int requires_origin;
  /* Host names that requests may be for, without port, ended by NULL. Default: NULL, any. Another one gets status
   * 403. */
  const char *const *allowed_hosts;

  /* Limits */

  /* The longest message that is accepted. Bytes, 1 to 2^30. Default: 1 MiB. Over it the connection is closed with
   * 1009, as soon as it can be seen, without keeping the message. */
  int64_t max_message_size;
  /* Fragments of one message, empty ones included. A number, 1 to 2^30. Default: 16384. Over it: closed with 1008. */
  int64_t max_fragments;
  /* Messages that have not come whole, of all connections together, each event loop having its part. Bytes, 1 to
   * 2^40. Default: 256 MiB. Who sends more is closed with 1013. */
  int64_t max_unfinished_bytes;
  /* Messages that a client may have unread before the newest batch. Bytes, 0 to 2^30. Default: 8 MiB. A client further
   * behind is closed with 1013; no other client is held up. A client that is more than half of the limit behind is not
   * read, so that it is not evicted for messages that it sends itself. */
  int64_t max_backlog;
  /* Memory that all backlogs of the process may take together. Bytes, 0 to 2^40. Default: 256 MiB. When less than
   * max_backlog is left of it, the limit of each client is what is left: clients further behind are closed with 1013. */
  int64_t max_total_backlog;
  /* Connections at a time, on all event loops together. A number, 1 to 2^30. Default: 16384, and never more than the
   * process has file descriptors for. One more gets status 503. */
  int64_t max_connections;
  /* Connections of one address at a time; of IPv6, of one /64 network. A number, 0 is no limit. Default: 256. One
   * more gets status 429. Peers on loopback are exempt, see limits_loopback. */
  int64_t max_connections_per_address;
  /* New connections, on all event loops together. A number a second, 0 is no limit. Default: 1000. More wait in the
   * kernel's queue. Peers on loopback are exempt. */
  int64_t max_accept_rate;
  /* The request header section. Bytes, 1024 to 16384. Default: 8 KiB. Over it: status 431. Where TLS is spoken, names
   * of headers do not count, and neither do headers that libwebsockets does not know by name: those are in a table of
   * twice that size, and what does not fit is dropped without an answer. */
  int64_t max_header_size;
  /* The path of a request, decoded. Bytes, 1 to 16384. Default: 1 KiB. Over it: status 414. */
  int64_t max_path_length;
  /* From the TCP connection to the end of the first request. Milliseconds, 1 to a day. Default: 10 s. Then: status
   * 408, or nothing within a TLS handshake. */
  int64_t handshake_timeout_ms;
  /* Messages of one connection. A number a second, 0 is no limit. Default: 500. A connection with more is not read
   * for a while, so that TCP slows the peer down; nothing is lost. Peers on loopback are exempt. */
  int64_t max_message_rate;
  /* Bytes of messages of one connection, as they are inflated; a fragment counts as 8 KiB at least. Bytes a second, 0 is
   * no limit. Default: 4 MiB. As max_message_rate. */
  int64_t max_byte_rate;
  /* Pings of one connection. A number a second, 0 is no limit. Default: 50. As max_message_rate. */
  int64_t max_ping_rate;
  /* How long a connection may be silent before it is sent a ping. Milliseconds, 0 is never, up to a day. Default: 30
   * s. Must be less than idle_timeout_ms. */
  int64_t ping_interval_ms;
  /* Idle timeout. Data, pongs, and acknowledged bytes of what was sent before a ping count as activity. Idle
   * connections are dropped. Milliseconds, 0 is for ever, up to a day. Default: 60 s. */
  int64_t idle_timeout_ms;
  /* A closing handshake: what the peer has still to read, and its answer. Milliseconds, 0 to a day. Default: 5 s.
   * Then the connection is cut off. */
  int64_t close_timeout_ms;
  /* Whether limits of rates and addresses are for peers on loopback, too: these are programs of this machine, or a
   * proxy on it that stands for many peers and has limits of its own. Default: 0. */
  int limits_loopback;
  /* Rooms at a time, of the chat or of confab_join(). A number, 0 is no limit. Default: 10000. Rooms of the chat that
   * everyone has left go, the one left longest ago first. Who would open one more gets status 503 from the chat,
   * CONFAB_ERROR_ROOMS from confab_join(). */
  int64_t max_rooms;
  /* Messages that a room of the chat keeps. A number. Default: 1000. With 0 none is kept. The oldest are forgotten. */
  int64_t max_history_messages;
  /* Memory for what a room of the chat keeps. Bytes of its messages as JSON, and 64 for each. Default: 1 MiB. The oldest
   * messages are forgotten. */
  int64_t max_history_bytes;
  /* The same for all rooms together, and 4 KiB and the name for each room that everyone has left. Bytes, up to 2^40.
   * Default: 256 MiB. Rooms that everyone has left go, then the oldest messages. */
  int64_t max_total_history_bytes;
  /* How long a room of the chat keeps a message. Milliseconds, counted as whole seconds, 0 is for as long as the other
   * limits let it, up to 100 years. Default: 0 s. Then it is forgotten. */
  int64_t max_history_age_ms;
  /* How many of the newest messages somebody who comes to the chat is sent. A number, 0 to 100. Default: 50. */
  int64_t newcomer_messages;
  /* What a client of the chat's rich protocol says: characters, grapheme clusters. A number, 1 to 2^24. Default: 4000.
   * Over it the client gets an error. */
  int64_t max_text_length;
  /* A name in the rich protocol: characters, grapheme clusters. A number, 1 to 256. Default: 32. Over it the client gets
   * an error. */
  int64_t max_name_length;
  /* Events of one client of the rich protocol. A number a second, 0 is no limit. Default: 10. Over it the client gets
   * an error. */
  int64_t max_event_rate;
  /* Such events at once. A number, from 1 on. Default: 20. Over it the client gets an error. */
  int64_t max_event_burst;
  /* Renames of one client of the rich protocol. A number a minute, 10 of them at once, 0 is no limit. Default: 60. Over
   * it the client gets an error. */
  int64_t max_rename_rate;
  /* The backlog of a connection from which confab_send() returns CONFAB_BACKLOGGED. Bytes. Default: 64 KiB. */
  int64_t backlog_mark;
  /* How long closing handshakes may take when the server stops, see confab_stop(). Milliseconds, 0 to a day. Default:
   * 5 s. Then connections are cut off. */
  int64_t stop_timeout_ms;
  /* Over how long the closing of connections is spread before that, see `moving` of confab_callbacks. Milliseconds, 0 to
   * a day. Default: 0, all at once. */
  int64_t drain_time_ms;
  /* SO_SNDBUF of each connection: what the kernel holds for a reader that does not read. Bytes, 0 to 2^30. Default:
   * 128 KiB. Linux takes double, and no more than its net.core.wmem_max allows; 0 leaves it to the kernel, which goes
   * up to 4 MiB. It bounds the rate to one client as well: this many bytes twice, for each round trip. */
  int64_t send_buffer_size;

  /* Telling */

  /* From which level on lines are logged, from enum confab_log_level. Default: CONFAB_LOG_NOTICE. */
  int log_level;
  /* Gets a line of the log, without a line break, in UTF-8, gone when it returns: first what it is about, like
   * "peer=192.0.2.1:4242 reason=messageTooBig: ", then a sentence. What peers cause are ten lines a second of a kind at
   * most, and what they have sent is made printable. Called on any thread, one call at a time, until confab_destroy()
   * has returned; it must call nothing of this header. Default: NULL, standard error. */
  void (*log)(int level, const char *line, void *log_user_data);
  /* Passed to `log`. Yours. Default: NULL. */
  void *log_user_data;

  /* Proxies */

  /* Addresses and networks, "192.0.2.1" or "10.0.0.0/8", ended by NULL, of proxies that are believed when they tell the
   * client's address: by proxy_protocol, or by the rightmost address in X-Forwarded-For that is not one of theirs.
   * Limits, logs and requests then refer to that client. An unreadable X-Forwarded-For gets status 400; a request
   * without one counts for the proxy's address. From any other address the header is ignored. Default: NULL, none. */
  const char *const *trusted_proxies;
  /* Whether each connection of a trusted proxy must begin with a header of the PROXY protocol, version 1 or 2, before
   * TLS if that is spoken. Default: 0. A connection without one is ended. */
  int proxy_protocol;
} confab_config;

/* Fills in the size and the defaults. `size` is sizeof *config. Any thread. */
CONFAB_API int confab_config_init(confab_config *config, size_t size);

/* --------------------------------------------------------------------------------------------------------- Callbacks */

/* What a message is; the opcodes of RFC 6455, section 5.2. */
typedef enum confab_kind {
  /* UTF-8. It has been checked in what is received (section 8.1); what is sent is yours to check: who receives
   * something else ends the connection. */
  CONFAB_TEXT = 1,
  CONFAB_BINARY = 2
} confab_kind;

/* What a server does with its connections. For each one the calls come in this order: `opened` once, any number of
 * `message` and `drained`, `moving` perhaps, `closed` once; on its loop's thread, one after the other. Any member may be
 * NULL, which is the default. `user_data` is what confab_create() was given. */
typedef struct confab_callbacks {
  /* sizeof(confab_callbacks), set by confab_callbacks_init(). */
  size_t size;
  /* Whether a client may connect: asked before `opened`, once its request has passed all checks of the server. Decide
   * with confab_accept() or confab_refuse(): at once, within the callback, or later, from any thread. `authorization`
   * is yours until then, `request` gone when the callback returns; its subprotocol is not known yet. NULL lets
   * everyone in. */
  void (*authorize)(confab_authorization *authorization, const confab_request *request, void *user_data);
  /* A GET or HEAD has come that is not for a WebSocket: answer it with confab_respond() within the callback, or leave
   * it to confab_config.mounts. For small answers that are there at once. */
  void (*http)(const confab_request *request, void *user_data);
  /* A client has connected. `request` is what it did so with, gone when the callback returns. `connection` is valid
   * until `closed` has returned. Where TLS is spoken, a request that was accepted later than within `authorize` has no
   * more headers than libwebsockets knows by name. */
  void (*opened)(confab_connection *connection, const confab_request *request, void *user_data);
  /* A whole message has arrived, `length` bytes of `kind` CONFAB_TEXT or CONFAB_BINARY: 0 to max_message_size. `data`
   * is never NULL, has no zero at its end, and is gone when the callback returns. */
  void (*message)(confab_connection *connection, int kind, const void *data, size_t length, void *user_data);
  /* All that was sent to the connection has been handed to the kernel, after confab_send() had returned
   * CONFAB_BACKLOGGED. */
  void (*drained)(confab_connection *connection, void *user_data);
  /* The server is going to stop, and will close the connection with 1001, up to two seconds after `after_ms`: a client
   * that understands should be told to be elsewhere by then. Each gets another time, so that not all come there at
   * once. Until then all goes on as before. Called once, if confab_config.drain_time_ms is not 0. */
  void (*moving)(confab_connection *connection, int64_t after_ms, void *user_data);
  /* The connection has ended. `code` and `reason` (UTF-8 of at most 123 bytes, "" if there was none; gone when the
   * callback returns) are those of the close frame that began the closing handshake, whichever side sent it; 1005
   * when it had no code, 1006 when there was no close frame; libwebsockets 4.1 reports 1012, 1013 and 1014 from a peer
   * as 1002. `is_clean` is 1 if both sides sent one; when the server began, libwebsockets does not tell whether the peer
   * has answered, so it is 0, too, if the peer has ended the TCP connection by then. */
  void (*closed)(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data);
} confab_callbacks;

/* Fills in the size, and NULL for the rest. `size` is sizeof *callbacks. Any thread. */
CONFAB_API int confab_callbacks_init(confab_callbacks *callbacks, size_t size);

/* ------------------------------------------------------------------------------------------------------------ Server */

/* Makes a server and takes its port: from then on clients can connect, and are served once it is started. `*server`
 * is yours, until confab_destroy(); NULL when it fails. `config` and `callbacks` are copied; what `user_data` points
 * to must stay until the server is destroyed. Any thread. */
CONFAB_API int confab_create(
    const confab_config *config, const confab_callbacks *callbacks, void *user_data, confab_server **server);

/* The same for a group chat, with its page: what one says comes back to the sender and goes to everyone else in the
 * room. The path of the request is the room. Clients that ask for the subprotocol chat.confab.v1, which the server
 * speaks whatever `subprotocols` says, get names, presence and history (Protocol.md of ConfabChat). Any thread. */
CONFAB_API int confab_chat_create(const confab_config *config, confab_server **server);

/* Serves, with each loop on a thread of its own, or in confab_config.uv_loop; returns at once. A server is started
 * once, CONFAB_ERROR_STATE otherwise. Any thread; with a loop of yours, that loop's. */
CONFAB_API int confab_start(confab_server *server);

/* Serves until the server has stopped, with the first loop on the calling thread, the others on threads of their own.
 * Callbacks are called from within, and may call confab_stop(). CONFAB_ERROR_STATE if it has been started, or is for
 * confab_config.uv_loop: use confab_start() then. Any thread. */
CONFAB_API int confab_run(confab_server *server);

/* Begins to stop, and returns at once: no new connections, and the others are closed with 1001. What is left after
 * `deadline_ms` milliseconds, 0 to a day, is cut off; with -1 the closing is spread over confab_config.drain_time_ms, and
 * confab_config.stop_timeout_ms comes after it. Stopping again can bring the deadline nearer, and does no harm. A server
 * that has not been started stops as soon as it is. Any thread. */
CONFAB_API int confab_stop(confab_server *server, int64_t deadline_ms);

/* Returns when the server has stopped: every connection has had its `closed`, every loop has ended.
 * CONFAB_ERROR_STATE if it has not been started. Any thread but the loops': CONFAB_ERROR_THREAD there. */
CONFAB_API int confab_wait(confab_server *server);

/* Calls `job(server, argument)` when the server has stopped, on the thread of the loop that was the last to end; at
 * once if it has stopped already. `job` may destroy the server. CONFAB_ERROR_STATE if it has not been started. Any
 * thread. */
CONFAB_API int confab_when_stopped(
    confab_server *server, void (*job)(confab_server *server, void *argument), void *argument);

/* Frees the server; a running one is stopped before and waited for, as by confab_stop(server, -1) and confab_wait().
 * When it returns no callback runs any more, and `server` is not valid. Any thread but the loops' of a server that
 * runs: CONFAB_ERROR_THREAD there. */
CONFAB_API int confab_destroy(confab_server *server);

/* Runs `job(server, argument)` on the thread of loop `loop` (0 to confab_server_loops() - 1) in a turn to come, in
 * the order of the calls. `argument` must stay until then. When this fails the job is not run: CONFAB_ERROR_CLOSED if
 * the loop has ended. Otherwise it is, unless the server is destroyed without having been started. Any thread. */
CONFAB_API int confab_execute(
    confab_server *server, int loop, void (*job)(confab_server *server, void *argument), void *argument);

/* Reads the files of the certificate again, once. When it returns, all loops use the new certificate for handshakes from
 * then on; existing connections keep theirs. When something is wrong with the files it fails, and the certificate stays
 * what it was. Does nothing without TLS. Any thread. */
CONFAB_API int confab_reload_certificate(confab_server *server);

/* The port that it listens on, 1 to 65535: the one that was taken if the configuration says 0. Any thread. */
CONFAB_API int confab_server_port(const confab_server *server);

/* The address of its page, "http://127.0.0.1:8080/"; NULL on failure. The server's, until it is destroyed. Any
 * thread. */
CONFAB_API const char *confab_server_url(const confab_server *server);

/* The number of its loops. Any thread. */
CONFAB_API int confab_server_loops(const confab_server *server);

/* ------------------------------------------------------------------------------------------------------- Connections */

/* What confab_send() returns when the message will be sent, but the backlog is now over confab_config.backlog_mark:
 * better wait for `drained`. */
enum { CONFAB_BACKLOGGED = 1 };

/* Sends a message to this client alone, behind everything that was published to its room before: `length` bytes, at
 * most 2^30, of `kind` CONFAB_TEXT or CONFAB_BINARY, which are copied. Returns CONFAB_OK when it is queued: it is
 * written when the turn ends, or as soon as the peer has read what comes before it; CONFAB_BACKLOGGED, the same;
 * CONFAB_ERROR_CLOSED when it won't be sent: the connection is closing or closed, or more than max_backlog bytes
 * would wait with it, for which it is closed now with 1013, and what was waiting is not sent either. A message is queued,
 * however large, when none is waiting. Nothing is written before the callback returns, so what one callback sends must
 * not exceed max_backlog. Loop thread. */
CONFAB_API int confab_send(confab_connection *connection, int kind, const void *data, size_t length);

/* Begins the closing handshake (RFC 6455, section 7.1.2), once what was sent before has been written. No message is
 * received any more; `closed` comes when the peer has answered, or after close_timeout_ms. `code` is 1000 to 1003,
 * 1007 to 1014, or 3000 to 4999. `reason` is UTF-8 and cut to 123 bytes at a character's boundary; NULL is none.
 * CONFAB_ERROR_CLOSED when it is closing or closed already. Loop thread. */
CONFAB_API int confab_close(confab_connection *connection, int code, const char *reason);

/* Stops reading until confab_resume(): no message is received, so TCP slows the peer down, and what has gone on at
 * its side, its end included, is noticed later; idle_timeout_ms does not count meanwhile. CONFAB_ERROR_CLOSED when it
 * is closing or closed. Loop thread. */
CONFAB_API int confab_pause(confab_connection *connection);

/* Ends what confab_pause() began, if it did: messages are received from the next turn on. CONFAB_ERROR_CLOSED when it
 * is closing or closed. Loop thread. */
CONFAB_API int confab_resume(confab_connection *connection);

/* The bytes that have been accepted for this client, frame headers included, and not yet handed to the kernel. Loop
 * thread. */
CONFAB_API int64_t confab_connection_backlog(const confab_connection *connection);

/* Your pointer for this connection, which starts as NULL and which Confab does not look at. Both may be used until
 * `closed` has returned, which is the time to free what it points to. Getting it returns NULL on failure. Loop
 * thread. */
CONFAB_API int confab_connection_set_user_pointer(confab_connection *connection, void *pointer);
CONFAB_API void *confab_connection_user_pointer(const confab_connection *connection);

/* Its server; NULL on failure, and after `closed` has returned. Loop thread. */
CONFAB_API confab_server *confab_connection_server(const confab_connection *connection);

/* A number that is unique in the process and never used again; 0 on failure. Any thread. */
CONFAB_API uint64_t confab_connection_id(const confab_connection *connection);

/* The loop that it lives on, for confab_execute(). Any thread. */
CONFAB_API int confab_connection_loop(const confab_connection *connection);

/* Keeps the pointer valid beyond `closed`, until it has been released as often as it was retained. That does not keep
 * the connection open: after `closed` calls on the loop's thread return CONFAB_ERROR_CLOSED, and elsewhere
 * CONFAB_ERROR_THREAD as before. For a pointer that is handed to another
 * thread, which then uses confab_execute() to get back to the loop. Any thread. */
CONFAB_API int confab_connection_retain(confab_connection *connection);
CONFAB_API int confab_connection_release(confab_connection *connection);

/* ------------------------------------------------------------------------------------------------------------- Rooms */

/* Makes the connection a member of a room: it gets what is published there from now on. A connection is in one room
 * at a time, so it leaves another one first. `room` is any text in UTF-8; a room is there while somebody is in it,
 * and who closes has left. CONFAB_ERROR_ROOMS when there are max_rooms. Not for the chat. Loop thread. */
CONFAB_API int confab_join(confab_connection *connection, const char *room);

/* Ends what confab_join() began, if it did. What was published before still arrives; who has more than max_backlog of
 * it unread is closed with 1013. Loop thread. */
CONFAB_API int confab_leave(confab_connection *connection);

/* Sends a message to all members of a room, on whatever loop: `length` bytes, at most 2^30, of `kind` CONFAB_TEXT or
 * CONFAB_BINARY, which are copied, once. They all get what is published in the same order. It is written when the
 * running turn of each loop ends. Without members nothing happens. Not for the chat: CONFAB_ERROR_STATE. Any thread.
 * */
CONFAB_API int confab_publish(confab_server *server, const char *room, int kind, const void *data, size_t length);

/* ---------------------------------------------------------------------------------------------------------- Requests */

/* The request within the callback that is passed it. Strings are UTF-8 with a zero at their end, and gone when the
 * callback returns; NULL on failure, or where there is none. */

/* The path, percent-decoded, beginning with '/', without ".", ".." and empty segments. Bytes that are not UTF-8 stay
 * percent-encoded. Loop thread. */
CONFAB_API const char *confab_request_path(const confab_request *request);

/* The value of a parameter of the query, percent-decoded: of the first one with that name. "" if it has none. Loop
 * thread. */
CONFAB_API const char *confab_request_query(const confab_request *request, const char *name);

/* The value of a header, its name in any case. The values of one that was sent several times are joined by commas. Loop
 * thread. */
CONFAB_API const char *confab_request_header(const confab_request *request, const char *name);

/* The subprotocol that was agreed upon, one of confab_config.subprotocols. Loop thread. */
CONFAB_API const char *confab_request_subprotocol(const confab_request *request);

/* The client's numeric address; "" when it has gone already. Loop thread. */
CONFAB_API const char *confab_request_remote_host(const confab_request *request);

/* The client's port; 0 when it has gone already. Loop thread. */
CONFAB_API int confab_request_remote_port(const confab_request *request);

/* Lets a client in. `user_pointer` is what confab_connection_user_pointer() says from the beginning. `release`, unless it
 * is NULL, is called with it once in any case, on any thread: when the connection's pointer is not valid any more, or
 * when the client has gone before `opened`, or this function fails. CONFAB_ERROR_CLOSED if the client does not wait any
 * more: it gets status 503 after handshake_timeout_ms, and when the server stops. In any case `authorization` is not
 * valid afterwards. Any thread. */
CONFAB_API int confab_accept(
    confab_authorization *authorization, void *user_pointer, void (*release)(void *user_pointer));

/* Gives a client an answer instead, as confab_respond() does: 401 or 403, for instance. Otherwise as confab_accept(),
 * but when an argument is wrong (CONFAB_ERROR_ARGUMENT) `authorization` is still valid. Any thread. */
CONFAB_API int confab_refuse(
    confab_authorization *authorization, int status, const char *const *headers, const void *body, size_t length);

/* Answers a request within the callback `http`. `status` is 200 to 599. `headers`, NULL or ended by NULL, are names
 * and values in turn: beyond Date, Content-Length, Connection and X-Content-Type-Options, which each answer has (204 and 304 no
 * Content-Length), or in place of Content-Type "text/plain; charset=utf-8" and Cache-Control "no-store". `body` has `length` bytes, at most
 * 2^30, and is copied; it is not sent for HEAD, nor with 204 and 304. The answer is in memory until the client
 * has taken it. A client that takes nothing for 5 s is dropped. CONFAB_ERROR_STATE for a request that is not of `http`, or has been answered. Loop thread. */
CONFAB_API int confab_respond(
    const confab_request *request, int status, const char *const *headers, const void *body, size_t length);

/* -------------------------------------------------------------------------------------------------------- Statistics */

/* What a server has done since it was made. Numbers. */
typedef struct confab_statistics {
  /* sizeof(confab_statistics), set by confab_server_statistics(). */
  size_t size;
  /* Connections that there are now, those that are still shaking hands or fetch the page among them. */
  int64_t connections;
  /* TCP connections that have been accepted, in all: those that have been refused by a status among them. */
  int64_t accepted;
  /* Messages that have been received whole. This and the following are up to a quarter of a second old while the server
   * runs. */
  int64_t messages;
  /* The bytes of their payload. */
  int64_t received_bytes;
  /* Messages that have been handed on to be sent, each as often as there were clients to get it. */
  int64_t deliveries;
  /* Bytes of messages that have been sent, frame headers included and as compressed as they were. */
  int64_t sent_bytes;
  /* How late the event loops are, in microseconds: the latest of them in the last seconds, or now if one does not come
   * to its turn. */
  int64_t loop_lag_us;
  /* For how long the event loop that is furthest behind has not come to its turn, in microseconds; 0 if all have. */
  int64_t loop_stall_us;
  /* Bytes that clients have not been sent yet because they do not read, of all of them together; those that they share
   * in memory, too, are counted for each. What the kernel holds is not. */
  int64_t backlog;
  /* How long messages that are published, or said in a room, take until they are handed to the kernel, each as often as
   * it is for a client that keeps up: how many took up to 100, 250 and 500 us, 1, 2.5, 5, 10, 25, 50, 100 and 250 ms,
   * and 1 s, each beyond the one before; and how many took longer. Those of one turn of an event loop count from the
   * first of them on, and those who lag behind are not in it but in `backlog`. */
  int64_t delivery_latency[13];
  /* How long they have taken together, in microseconds. */
  int64_t delivery_latency_sum_us;
} confab_statistics;

/* Fills in the statistics. `size` is sizeof *statistics. Any thread. */
CONFAB_API int confab_server_statistics(const confab_server *server, confab_statistics *statistics, size_t size);

/* Why a server has refused, ended or slowed down something. */
typedef enum confab_refusal {
  /* 400: what is missing or wrong in the request's head is in the answer and in the log. */
  CONFAB_REFUSAL_BAD_REQUEST = 0,
  /* 403: allowed_origins says no. */
  CONFAB_REFUSAL_ORIGIN_NOT_ALLOWED = 1,
  /* 403: allowed_hosts says no. */
  CONFAB_REFUSAL_HOST_NOT_ALLOWED = 2,
  /* 308 for a page, otherwise 400: TLS is spoken, and the request is not encrypted. */
  CONFAB_REFUSAL_NOT_ENCRYPTED = 3,
  /* 404: nothing is served there. */
  CONFAB_REFUSAL_NOT_FOUND = 4,
  /* 405: only GET and HEAD are answered. */
  CONFAB_REFUSAL_METHOD_NOT_ALLOWED = 5,
  /* 408: handshake_timeout_ms. */
  CONFAB_REFUSAL_HANDSHAKE_TIMEOUT = 6,
  /* 413: requests have no bodies here. */
  CONFAB_REFUSAL_BODY_NOT_ALLOWED = 7,
  /* 414: max_path_length. */
  CONFAB_REFUSAL_PATH_TOO_LONG = 8,
  /* 426: only version 13 of the protocol is spoken (RFC 6455, section 4.4). */
  CONFAB_REFUSAL_VERSION_NOT_SUPPORTED = 9,
  /* 429: max_connections_per_address. */
  CONFAB_REFUSAL_TOO_MANY_FROM_ADDRESS = 10,
  /* 431: max_header_size. */
  CONFAB_REFUSAL_HEADERS_TOO_LARGE = 11,
  /* 503: max_connections. */
  CONFAB_REFUSAL_TOO_MANY_CONNECTIONS = 12,
  /* `authorize` has refused the client, with a status of its choice. */
  CONFAB_REFUSAL_REFUSED_BY_HANDLER = 13,
  /* No answer: the client has gone without a whole request, or libwebsockets could make nothing of the TLS handshake. */
  CONFAB_REFUSAL_NOT_UNDERSTOOD = 14,
  /* 1009: max_message_size. */
  CONFAB_REFUSAL_MESSAGE_TOO_BIG = 15,
  /* 1008: max_fragments. */
  CONFAB_REFUSAL_TOO_MANY_FRAGMENTS = 16,
  /* 1007: text, or a close reason, that is not UTF-8. */
  CONFAB_REFUSAL_NOT_UTF8 = 17,
  /* 1007: a compressed message that cannot be expanded. */
  CONFAB_REFUSAL_NOT_DEFLATE = 18,
  /* 1002: what the protocol does not allow. */
  CONFAB_REFUSAL_PROTOCOL_ERROR = 19,
  /* 1013: max_unfinished_bytes. */
  CONFAB_REFUSAL_TOO_MANY_UNFINISHED = 20,
  /* 1013: max_backlog. */
  CONFAB_REFUSAL_TOO_FAR_BEHIND = 21,
  /* idle_timeout_ms. */
  CONFAB_REFUSAL_IDLE = 22,
  /* close_timeout_ms. */
  CONFAB_REFUSAL_CLOSE_TIMEOUT = 23,
  /* max_accept_rate: new connections wait. */
  CONFAB_REFUSAL_ACCEPT_RATE = 24,
  /* max_message_rate: the connection is not read for a while. */
  CONFAB_REFUSAL_MESSAGE_RATE = 25,
  /* max_byte_rate: the connection is not read for a while. */
  CONFAB_REFUSAL_BYTE_RATE = 26,
  /* max_ping_rate: the connection is not read for a while. */
  CONFAB_REFUSAL_PING_RATE = 27,
  /* 503: `authorize` has not been decided within handshake_timeout_ms. */
  CONFAB_REFUSAL_AUTHORIZATION_TIMEOUT = 28,
  /* No answer: what a trusted proxy has sent is no header of the PROXY protocol, or has not come within
   * handshake_timeout_ms, see proxy_protocol. */
  CONFAB_REFUSAL_BAD_PROXY_HEADER = 29
} confab_refusal;

/* How often the server has refused, ended or slowed down something for a reason. Any thread. */
CONFAB_API int64_t confab_server_refusals(const confab_server *server, int reason);

/* A name for a reason, as in the log; a constant; NULL if there is none. Reasons are numbered from 0 on without gaps.
 * Any thread. */
CONFAB_API const char *confab_refusal_name(int reason);

#ifdef __cplusplus
}
#endif

#endif
