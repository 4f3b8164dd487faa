/*
 * confab.h - Confab for C: a WebSocket and group-chat server on libwebsockets and libuv.
 *
 * A server has one or more event loops. Each connection belongs to one loop, and its callbacks run on that loop's
 * thread. With confab_start() each loop gets a thread of its own. With confab_run() the first loop runs on the calling
 * thread. With confab_config.uv_loop the server runs on your libuv loop, with confab_config.is_polled in any other loop. One iteration of a loop, which reads what has
 * arrived, runs callbacks and jobs, and writes, is called a turn.
 *
 * THREADS. The comment of each function ends with the threads that may call it:
 *   "Any thread."  Any thread, including callbacks, and concurrently with any other call.
 *   "Loop thread." Only the thread of the connection's loop: in a callback, or in a job that confab_execute() runs
 *                  there. On other threads the function does nothing and returns CONFAB_ERROR_THREAD.
 * Callbacks of the functions whose names begin with confab_chat run on a thread that is not a loop's, one at a time for
 * each server. If such a callback blocks, only the other ones wait for it.
 * No function may be called from a signal handler. Other callbacks must not block, because they would stall all
 * connections of their loop. With several loops, callbacks for connections of different loops run concurrently.
 *
 * OWNERSHIP. Arguments (structs, strings, bytes) belong to the caller; functions copy them before they return. Callback
 * arguments (requests, strings, bytes) belong to Confab and are freed when the callback returns: copy what you need
 * later. The caller owns a server from confab_create() or confab_chat_create() to confab_destroy(). Confab owns
 * connections. A connection pointer is valid from `opened` until `closed` has returned; confab_connection_retain() keeps
 * it valid for longer. Any pointer may be NULL: a function that needs it returns an error.
 *
 * ERRORS. On failure, functions that return int or int64_t do nothing and return a negative number from enum
 * confab_error. confab_strerror() describes the number. confab_last_error() describes the last failure in detail.
 *
 * VERSIONS. Structs begin with their size. The init function sets the size and the defaults. A program that was
 * compiled with this header runs with later versions of the library, which only append members.
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
 * SIGNALS. The threads that confab_start() creates are named "confab-loop-0", "confab-loop-1" and so on. These threads,
 * and those of the chat's callbacks and of the history file, block all signals except SIGPROF and those that a thread
 * raises itself (SIGSEGV and the like), so your handlers run on your threads. libwebsockets makes the process ignore
 * SIGPIPE when the first server is created.
 *
 * FORK. A server, its connections and its requests belong to the process that called confab_create(). A child of fork()
 * does not have the server's threads. In the child, all functions that take a server, a connection or a request,
 * including confab_destroy(), do nothing and return CONFAB_ERROR_FORKED, or NULL if they return a pointer. The child
 * has copies of the server's sockets. Connections and the port therefore stay open until the child exits or calls exec,
 * even if the parent has closed them. A daemon should call fork() before confab_create().
 */
#ifndef CONFAB_H
#define CONFAB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks the exported functions. */
#if defined(__GNUC__)
#define CONFAB_API __attribute__((visibility("default")))
#else
#define CONFAB_API
#endif

/* The version of this header. */
#define CONFAB_VERSION "0.1.0"

/* Returns the version of the loaded library, in the format of CONFAB_VERSION. The string is a constant. Any thread. */
CONFAB_API const char *confab_version(void);

/* A server: its listeners, event loops and connections. */
typedef struct confab_server confab_server;

/* A WebSocket connection to a client, from `opened` to `closed`. */
typedef struct confab_connection confab_connection;

/* A pending authorization of a client, from `authorize` to confab_accept() or confab_reject(). */
typedef struct confab_authorization confab_authorization;

/* A pending admission of a client of the chat, from confab_config.admit to confab_admit() or confab_refuse(). */
typedef struct confab_admission confab_admission;

/* An HTTP request, valid during the callback that receives it. */
typedef struct confab_request confab_request;

/* A libuv loop, uv_loop_t. This header does not need its definition. */
struct uv_loop_s;

/* ------------------------------------------------------------------------------------------------------------ Errors */

typedef enum confab_error {
  /* Success. */
  CONFAB_OK = 0,
  /* An argument is NULL or out of range. */
  CONFAB_ERROR_ARGUMENT = -1,
  /* The size at the beginning of a struct is not one that this library knows. Call the init function, and use a library
   * that is at least as new as the header. */
  CONFAB_ERROR_SIZE = -2,
  /* A member of confab_config has an invalid value. */
  CONFAB_ERROR_CONFIGURATION = -3,
  /* The host cannot be resolved. */
  CONFAB_ERROR_HOST = -4,
  /* Another program listens on the port. */
  CONFAB_ERROR_ADDRESS_IN_USE = -5,
  /* The server cannot listen, for another reason. */
  CONFAB_ERROR_LISTEN = -6,
  /* The certificate or key is unusable. */
  CONFAB_ERROR_CERTIFICATE = -7,
  /* libwebsockets or libuv could not be initialized. */
  CONFAB_ERROR_ENGINE = -8,
  /* The function was called on the wrong thread. */
  CONFAB_ERROR_THREAD = -9,
  /* The server is in the wrong state for this call: already started, not started yet, or running. */
  CONFAB_ERROR_STATE = -10,
  /* The connection is closing or closed, or the loop has ended. */
  CONFAB_ERROR_CLOSED = -11,
  /* The number of rooms has reached confab_config.max_rooms. */
  CONFAB_ERROR_ROOMS = -12,
  /* The function was called in a child of fork(). A server belongs to the process that created it. */
  CONFAB_ERROR_FORKED = -13,
  /* The history file cannot be opened, is not a valid one, or another process has it open. */
  CONFAB_ERROR_HISTORY = -14,
  /* Too many messages or calls are pending. Try again later. */
  CONFAB_ERROR_PENDING = -15,
  /* The room was not opened within 10 s. */
  CONFAB_ERROR_UNAVAILABLE = -16,
  /* The chat has lost its state while the message was pending. The message may have been stored. Publishing it again
   * with the same key does not store it twice. */
  CONFAB_ERROR_UNKNOWN = -17,
  /* Messages after the position are not stored any more. Their readers have missed some of them. */
  CONFAB_ERROR_HISTORY_GONE = -18,
  /* The numbering of the room has begun anew, so the position is meaningless. */
  CONFAB_ERROR_EPOCH = -19
} confab_error;

/* Returns a short description of a result code. The string is a constant. Any thread. */
CONFAB_API const char *confab_strerror(int code);

/* Describes the last failure of a function of this header on the calling thread, in one sentence that names the wrong
 * value and the remedy. Returns "" if no function has failed. The string is valid until the next failure on this
 * thread. Any thread. */
CONFAB_API const char *confab_last_error(void);

/* ----------------------------------------------------------------------------------------------------- Configuration */

/* A folder that is served over HTTP. */
typedef struct confab_mount {
  /* sizeof(confab_mount), set by confab_mount_init(). */
  size_t size;
  /* URL path of the folder: "/", or a path that begins with '/', does not end with '/' and is shorter than 256 bytes.
   * Default: "/". */
  const char *path;
  /* Folder on disk. Required. */
  const char *directory;
  /* File that is served when a folder is requested. Default: "index.html". */
  const char *index;
} confab_mount;

/* Sets the size and the defaults. `size` is sizeof *mount. Any thread. */
CONFAB_API int confab_mount_init(confab_mount *mount, size_t size);

/* Severity of a log line. */
typedef enum confab_log_level {
  CONFAB_LOG_TRACE = 0,
  CONFAB_LOG_DEBUG = 1,
  CONFAB_LOG_INFO = 2,
  CONFAB_LOG_NOTICE = 3,
  CONFAB_LOG_WARNING = 4,
  CONFAB_LOG_ERROR = 5,
  CONFAB_LOG_CRITICAL = 6,
  /* Nothing is logged. */
  CONFAB_LOG_NONE = 7
} confab_log_level;

/* The time when a message is written to the history file. */
typedef enum confab_durability {
  /* Within 100 ms of its delivery. A killed process loses the messages that it has not written, and a failed machine
   * those that the system has not written. */
  CONFAB_DURABILITY_NORMAL = 0,
  /* Before its delivery to any member, including the sender, whatever fails afterwards. While the file cannot be
   * written, messages are delivered anyway. */
  CONFAB_DURABILITY_FULL = 1
} confab_durability;

/* All settings of a server. Flags are 0 (no) or any other value (yes). Sizes are in bytes. Members whose names end
 * with _ms are in milliseconds. Only confab_chat_create() reads the settings of the chat. The rich protocol is the
 * subprotocol chat.confab.v1 of the chat (Protocol.md), and its clients are those that requested it. */
typedef struct confab_config {
  /* sizeof(confab_config), set by confab_config_init(). */
  size_t size;

  /* Listening */

  /* Host name or numeric address to listen on. "0.0.0.0" and "::" listen on all addresses. Default: NULL, loopback
   * only: 127.0.0.1 and ::1, or whichever of them exists. */
  const char *host;
  /* TCP port, 0 to 65535. 0 picks a free port, see confab_server_port(). Default: 8080. */
  int port;
  /* libuv loop (uv_loop_t) for the server to run on, beside your own handles. The server then has one event loop,
   * whatever `loops` is, and creates no thread. confab_start() adds the server's handles to the loop: call it on the
   * thread that runs the loop, or while the loop is not running. The server has removed its handles when it has stopped
   * (see confab_when_stopped()); the loop may be closed after that. Default: NULL, the server has its own loops. */
  struct uv_loop_s *uv_loop;
  /* Number of event loops, 1 to 64. Each has a thread and a listener. The kernel spreads connections over the loops.
   * All clients see messages in the same order, whichever loop they are on. With 1, callbacks never run concurrently.
   * Default: the number of cores available to the process, at most 4. */
  int loops;
  /* PEM files: the certificate chain, beginning with the server's certificate, and its unencrypted private key. With
   * both set, the server speaks https and wss instead of http and ws. A page request without TLS is redirected with
   * status 308; other requests without TLS get status 400. Default: NULL for both. */
  const char *tls_certificate_file;
  const char *tls_key_file;

  /* Content */

  /* Folders served over HTTP: an array of `mount_count` mounts, at most 256. All mounts must have the same `size`.
   * Default: none; confab_chat_create() then serves the chat's page at "/". */
  const confab_mount *mounts;
  size_t mount_count;
  /* Subprotocols of the server (RFC 6455, section 1.9), ended by NULL: tokens of at most 62 bytes that do not begin
   * with a digit. The server selects the first subprotocol in the client's list that it supports. A client that offers
   * none of them is accepted without a subprotocol. Default: NULL, none. */
  const char *const *subprotocols;
  /* Whether messages of 128 bytes and more are compressed for clients that offer it (permessage-deflate, RFC 7692). All
   * clients share the compressed message. It is compressed a second time if some of them have asked for a smaller
   * window. Default: 1. */
  int offers_compression;

  /* Access */

  /* Web origins whose pages may connect, as browsers send them ("https://example.org"), ended by NULL. "*" allows every
   * origin. If the server listens on loopback only, pages from loopback, at any port, and pages opened from a file
   * ("null" or "file://") may also connect. Otherwise, pages from the host and port of the request may also connect.
   * Other origins get status 403. Non-browser clients send no origin; they are accepted unless requires_origin is set.
   * Default: NULL, none. */
  const char *const *allowed_origins;
  /* Whether a client that sends no origin gets status 403. Default: 0. */
  int requires_origin;
  /* Host names that are allowed in the Host header, without port, ended by NULL. Other names get status 403. Default:
   * NULL, any. */
  const char *const *allowed_hosts;

  /* Limits */

  /* Maximum message size. Larger messages close the connection with 1009. The connection is closed as soon as the size
   * is known; the message is not kept. Range: 1 byte to 1 GiB. Default: 1 MiB. */
  int64_t max_message_size;
  /* Maximum number of fragments per message, including empty ones. A message with more closes the connection with 1008.
   * Range: 1 to 2^30. Default: 16384. */
  int64_t max_fragments;
  /* Maximum memory for incomplete messages of all connections. A connection that would exceed it is closed with 1013.
   * Each event loop gets an equal share. Range: 1 byte to 1 TiB. Default: 256 MiB. */
  int64_t max_unfinished_bytes;
  /* Maximum backlog of one client: bytes that the server has accepted for it and not yet handed to the kernel. A client
   * that is further behind is closed with 1013; other clients are not delayed. Bytes that the current turn has added
   * to the client's room are not counted. The server pauses reading from a client whose backlog is more than half of
   * the limit, so that a client is not closed with 1013 for its own messages. Range: 0 to 1 GiB. Default: 8 MiB. */
  int64_t max_backlog;
  /* Maximum memory for the backlogs of all clients. The clients that are furthest behind are closed with 1013. The
   * limit applies to all servers of the process together. When less than max_backlog is left, the remaining amount
   * becomes the limit of each client. Range: 0 to 1 TiB. Default: 256 MiB. */
  int64_t max_total_backlog;
  /* Maximum number of connections. Further connections get status 503. The number of file descriptors that the process
   * may have limits it, too. Range: 1 to 2^30. Default: 16384. */
  int64_t max_connections;
  /* Maximum number of connections from one IPv4 address or one /64 network of IPv6. Further connections get status 429.
   * Clients on loopback are exempt, see limits_loopback. 0 means no limit. Range: 0 to 2^30. Default: 256. */
  int64_t max_connections_per_address;
  /* Maximum number of new connections per second. Further connections wait in the kernel's queue. Clients on loopback
   * are exempt. 0 means no limit. Range: 0 to 2^30. Default: 1000. */
  int64_t max_accept_rate;
  /* Maximum size of the request header section. Larger requests get status 431. The size also limits the number of
   * headers. With TLS, header names are not counted. Headers unknown to libwebsockets have a separate limit: twice this
   * size. A connection beyond it is dropped without a response. Range: 1 KiB to 16 KiB. Default: 8 KiB. */
  int64_t max_header_size;
  /* Maximum length of the decoded request path. Longer paths get status 414. Range: 1 byte to 16 KiB. Default: 1 KiB. */
  int64_t max_path_length;
  /* Time from the TCP connection to the end of the first request. Slower clients get status 408. During a TLS
   * handshake, they are dropped without a response. Range: 1 ms to 1 day. Default: 10 s. */
  int64_t handshake_timeout_ms;
  /* Maximum number of messages per second from one connection. The server reads from a faster client at this rate. TCP
   * then slows the client down; no messages are lost. Clients on loopback are exempt. 0 means no limit. Range: 0 to
   * 2^30. Default: 500. */
  int64_t max_message_rate;
  /* Maximum number of message bytes per second from one connection. The server reads from a faster client at this rate.
   * Bytes are counted after inflating, and a fragment counts as at least 8 KiB. Clients on loopback are exempt. 0 means
   * no limit. Range: 0 to 1 GiB. Default: 4 MiB. */
  int64_t max_byte_rate;
  /* Maximum number of pings per second from one connection. The server reads from a faster client at this rate. Clients
   * on loopback are exempt. 0 means no limit. Range: 0 to 2^30. Default: 50. */
  int64_t max_ping_rate;
  /* Time without activity before the server sends a ping. It must be less than the idle timeout. 0 means no pings.
   * Range: 0 to 1 day. Default: 30 s. */
  int64_t ping_interval_ms;
  /* Time without activity after which a connection is dropped. Received data, pongs, and sent bytes that the client
   * acknowledges count as activity. Acknowledgements count only for bytes that were sent before the ping. 0 means no
   * limit. Range: 0 to 1 day. Default: 60 s. */
  int64_t idle_timeout_ms;
  /* Time for a closing handshake. The connection is dropped afterwards. In this time the client reads what was sent
   * before the close frame, and answers the close frame. Range: 0 to 1 day. Default: 5 s. */
  int64_t close_timeout_ms;
  /* Whether max_connections_per_address and the rate limits, including max_accept_rate, apply to clients on loopback,
   * too. They are exempt by default, because a proxy on the same machine may connect for many clients. The limits of
   * the chat apply to all clients. Default: 0. */
  int limits_loopback;
  /* Maximum number of rooms. At the limit, the room that has been empty longest is removed. If every room is occupied,
   * a client that opens another one gets status 503. For a server without the chat, confab_join() returns
   * CONFAB_ERROR_ROOMS at the limit. 0 means no limit. Range: 0 to 2^30. Default: 10000. */
  int64_t max_rooms;
  /* Maximum number of messages in a room's history. The oldest messages are deleted. 0 means no history. Range: 0 to
   * 2^30. Default: 1000. */
  int64_t max_history_messages;
  /* Maximum memory for a room's history. The oldest messages are deleted. A message counts the size of its JSON and
   * another 64 bytes. Range: 0 to 1 GiB. Default: 1 MiB. */
  int64_t max_history_bytes;
  /* Maximum memory for the history of all rooms. Empty rooms are removed first, then the oldest messages are deleted.
   * An empty room counts another 4 KiB and its name. Range: 0 to 1 TiB. Default: 256 MiB. */
  int64_t max_total_history_bytes;
  /* Maximum age of a message in a room's history. Older messages are deleted. The age is rounded down to whole seconds.
   * 0 means no limit. Range: 0 to 36600 days. Default: 0 s. */
  int64_t max_history_age_ms;
  /* Number of recent messages that a joining client gets. The client can request another number, and older messages.
   * Range: 0 to 100. Default: 50. */
  int64_t join_messages;
  /* Maximum length of a text in the rich protocol, in characters (grapheme clusters). A longer text gets the error
   * textTooLong. Range: 1 to 2^24. Default: 4000. */
  int64_t max_text_length;
  /* Maximum length of a name in the rich protocol, in characters (grapheme clusters). A longer name gets the error
   * nameInvalid. Range: 1 to 256. Default: 32. */
  int64_t max_name_length;
  /* Maximum number of events per second from one client of the rich protocol. Further events are ignored and get the
   * error rateLimited. 0 means no limit. Range: 0 to 2^30. Default: 10. */
  int64_t max_event_rate;
  /* Maximum number of events in one burst from one client of the rich protocol. Further events are ignored and get the
   * error rateLimited. Range: 1 to 2^30. Default: 20. */
  int64_t max_event_burst;
  /* Maximum number of renames per minute by one client of the rich protocol. Further renames are ignored and get the
   * error rateLimited. At most 10 may be in one burst. 0 means no limit. Range: 0 to 2^30. Default: 60. */
  int64_t max_rename_rate;
  /* High-water mark. confab_send() returns CONFAB_BACKLOGGED while the backlog of the connection is larger. Bytes.
   * Default: 64 KiB. */
  int64_t backlog_mark;
  /* Time after which a stopping server drops the connections that are still open. Each closing handshake also has the
   * close timeout. See confab_stop(). Range: 0 to 1 day. Default: 5 s. */
  int64_t stop_timeout_ms;
  /* Time over which a stopping server spreads the closing of its connections. The stop timeout begins afterwards. See
   * `moving` of confab_callbacks. 0 means no delay. Range: 0 to 1 day. Default: 0 s. */
  int64_t drain_time_ms;
  /* Size of the kernel's send buffer for each connection. It limits the memory for a client that does not read, and the
   * throughput to one client. Linux doubles the value (SO_SNDBUF), and limits it to net.core.wmem_max. The throughput
   * is at most twice this size per round trip. 0 means the size that the kernel chooses, up to 4 MiB. Range: 0 to 1
   * GiB. Default: 128 KiB. */
  int64_t send_buffer_size;

  /* Logging */

  /* Minimum level of logged lines, from enum confab_log_level. Default: CONFAB_LOG_NOTICE. */
  int log_level;
  /* Function that receives log lines. A line is UTF-8 without a line break, and is freed when the function returns. It
   * consists of its metadata, like "peer=192.0.2.1:4242 reason=messageTooBig: ", and a sentence. Lines caused by
   * clients are limited to 10 per second per reason; non-printable characters in the data of clients are replaced. The
   * function is called on any thread, one call at a time, until confab_destroy() has returned. It must not call
   * functions of this header. Default: NULL, log lines go to standard error. */
  void (*log)(int level, const char *line, void *log_user_data);
  /* Argument for `log`. Default: NULL. */
  void *log_user_data;

  /* Proxies */

  /* Addresses ("192.0.2.1") and networks ("10.0.0.0/8") of trusted proxies, ended by NULL. For their connections, the
   * client's address comes from the PROXY header if proxy_protocol is set. Otherwise it is the rightmost address in
   * X-Forwarded-For that is not a trusted proxy. Limits, logs and requests use the client's address. A malformed
   * X-Forwarded-For gets status 400. A request without X-Forwarded-For counts for the proxy's address. From other
   * addresses, the header is ignored. Default: NULL, none. */
  const char *const *trusted_proxies;
  /* Whether each connection of a trusted proxy must begin with a PROXY protocol header, version 1 or 2, before any TLS.
   * If a trusted proxy does not send a valid header within handshake_timeout_ms, the connection is dropped. Default:
   * 0. */
  int proxy_protocol;

  /* History */

  /* SQLite file that stores the history of the chat, so that rooms survive a restart. It is created if necessary. While
   * the server exists, there is another file with the suffix "-wal", and no other server may have the file open.
   * Default: NULL, the history is in memory. */
  const char *history_file;
  /* The time when a message is written to history_file, from enum confab_durability. Default: CONFAB_DURABILITY_NORMAL. */
  int durability;
  /* Maximum size of history_file. Beyond it, the rooms that have been inactive longest are deleted. Range: 1 MiB to 1
   * TiB. Default: 1 GiB. */
  int64_t max_history_file_size;
  /* Maximum memory for messages that are waiting for the disk or the broker. Above the limit, the server pauses reading
   * from the senders of these messages until the messages are published. From 16 MiB above it, messages of other
   * clients are rejected. A rejected message gets the error rateLimited in the rich protocol; in the plain protocol,
   * the connection is closed with 1013. confab_chat_publish() returns CONFAB_ERROR_PENDING. Range: 0 to 1 TiB. Default:
   * 64 MiB. */
  int64_t max_pending_bytes;
  /* Maximum age of a message that a client of the rich protocol may edit or remove. A later change gets the error
   * forbidden. 0 means no changes by clients. Range: 0 to 36600 days. Default: 900 s. */
  int64_t max_change_age_ms;

  /* Users */

  /* Decides which user a client of the chat is, from its request and its token. Decide with confab_admit() or
   * confab_refuse(), within the callback or later, from any thread. `admission` is valid until you decide. After
   * handshake_timeout_ms, the client is rejected. `request` and `token` are freed when the callback returns; with TLS,
   * the request has only those headers that libwebsockets knows by name.
   *
   * `token` is 1 to 8192 visible ASCII characters, or NULL if the client has none. It comes from the first of these:
   * the header "Authorization: Bearer", the query "?token=", a hello of the rich protocol, the cookie token_cookie.
   * Clients of the plain protocol, and those with a token in the header or the query, are admitted before their
   * handshake is answered. Other clients of the rich protocol are admitted when their hello arrives. The callback is
   * called again, with the first request, when a client sends a new token.
   *
   * Loop thread. Default: NULL, every client may enter every room, with any free name. */
  void (*admit)(confab_admission *admission, const confab_request *request, const char *token, void *admit_data);
  /* The last argument of `admit`. It must stay valid until the server is destroyed. Default: NULL. */
  void *admit_data;
  /* Name of the cookie with the token. It counts only if the request has an Origin that is the server's own or is in
   * allowed_origins by name. The origins "null" and "file://", and those that only "*" allows, do not count. Default:
   * NULL, no cookie. */
  const char *token_cookie;
  /* Time that a client of the rich protocol has to send a new token when its identity has expired. Then it is closed
   * with 4002. Clients of the plain protocol are closed at once. Range: 0 to 1 day. Default: 30 s. */
  int64_t token_grace_ms;

  /* Several servers */

  /* URLs of servers of one NATS cluster, like "nats://host:4222" or "tls://user:password@host:4222", ended by NULL.
   * JetStream stores the history of the chat. All servers with the same stream form one chat. Excludes history_file.
   * Messages have 8 KiB of headers there, and must be smaller than NATS accepts, so set max_message_size to at most 1 MiB
   * less 8 KiB, unless the brokers have a larger limit. The server connects in the background: until it has, clients
   * wait in their handshakes. Default: NULL, none. */
  const char *const *nats_urls;
  /* Name of the stream: 1 to 32 letters, digits, "-" and "_". A missing stream is created. Default: NULL, "CONFAB". */
  const char *nats_stream;
  /* Number of NATS servers that store each message: 1, 3 or 5. Applies only when Confab creates the stream. Default: 1. */
  int nats_replicas;
  /* Maximum disk space of the stream. The oldest messages are deleted. Applies only when Confab creates the stream. 0
   * means no limit. Default: 1 GiB. */
  int64_t nats_max_bytes;
  /* NATS credentials file, with a JWT and the seed of the user's key. Default: NULL, none. */
  const char *nats_credentials_file;
  /* CA certificates (PEM) that verify the NATS server. Default: NULL, those of the system. */
  const char *nats_ca_file;
  /* PEM files: the client's certificate chain for NATS, and its private key. Default: NULL for both. */
  const char *nats_certificate_file;
  const char *nats_key_file;

  /* Sockets and event loops of the program */

  /* Descriptors of listening TCP sockets, `listening_socket_count` of them, at most 64, to be used in place of `host`
   * and `port`. The server takes them over when it is created: do not use or close them afterwards. If the function that
   * creates it fails, they stay yours. All event loops accept from them. Default: NULL, none. */
  const int *listening_sockets;
  size_t listening_socket_count;
  /* Whether other servers may listen on the same port at the same time (SO_REUSEPORT), so that the next server can
   * start before this one stops. The other servers need this setting, too, and must run as the same user. Default: 0, a
   * port that is in use is an error. */
  int shares_port;
  /* Whether the server runs in an event loop of any kind, epoll or GLib's for example. The server then has one event
   * loop, whatever `loops` is, and creates no thread. Call confab_start(), and then confab_poll_step() until the server
   * has stopped. Excludes uv_loop. Default: 0. */
  int is_polled;
} confab_config;

/* Sets the size and the defaults. `size` is sizeof *config. Any thread. */
CONFAB_API int confab_config_init(confab_config *config, size_t size);

/* --------------------------------------------------------------------------------------------------------- Callbacks */

/* Type of a message. The values are the opcodes of RFC 6455, section 5.2. */
typedef enum confab_kind {
  /* UTF-8 text. Confab validates received text (section 8.1) but not sent text: clients close the connection when they
   * receive invalid text. */
  CONFAB_TEXT = 1,
  /* Any bytes. */
  CONFAB_BINARY = 2
} confab_kind;

/* The program's functions for events of connections. For each connection, the calls are: `opened` once, then any number
 * of calls of `message` and `drained`, and at most one of `moving`, then `closed` once. They run one after the other on
 * the loop's thread. Any member may be NULL, which is the default. `user_data` is the argument of confab_create(). */
typedef struct confab_callbacks {
  /* sizeof(confab_callbacks), set by confab_callbacks_init(). */
  size_t size;
  /* Decides whether a client may connect. Called before `opened`, when the request has passed all checks of the server.
   * Decide with confab_accept() or confab_reject(), within the callback or later, from any thread. `authorization` is
   * valid until you decide. `request` is freed when the callback returns; its subprotocol is not known yet. NULL
   * accepts every client. */
  void (*authorize)(confab_authorization *authorization, const confab_request *request, void *user_data);
  /* Answers a GET or HEAD request that is not for a WebSocket: call confab_respond() within the callback. If the
   * callback returns without that call, the server answers with a file of confab_config.mounts. Use it for small
   * responses that are available at once. */
  void (*http)(const confab_request *request, void *user_data);
  /* A client has connected. `request` is its opening request, freed when the callback returns. `connection` is valid
   * until `closed` has returned. If confab_accept() was called after `authorize` had returned, then with TLS the
   * request has only those headers that libwebsockets knows by name. */
  void (*opened)(confab_connection *connection, const confab_request *request, void *user_data);
  /* A complete message has arrived: `length` bytes, 0 to max_message_size, of `kind` CONFAB_TEXT or CONFAB_BINARY.
   * `data` is never NULL and not zero-terminated. It is freed when the callback returns. */
  void (*message)(confab_connection *connection, int kind, const void *data, size_t length, void *user_data);
  /* Called after confab_send() has returned CONFAB_BACKLOGGED, when all messages of the connection have been handed to
   * the kernel. */
  void (*drained)(confab_connection *connection, void *user_data);
  /* The server is about to stop, and will close the connection with 1001, between `after_ms` and two seconds later. Ask
   * the client to reconnect elsewhere after `after_ms`. The time differs between connections, so that clients do not
   * all reconnect at once. Until then the connection works as before. Called once, if confab_config.drain_time_ms is
   * not 0. */
  void (*moving)(confab_connection *connection, int64_t after_ms, void *user_data);
  /* The connection is closed. `code` and `reason` are those of the close frame that began the closing handshake,
   * whichever side sent it. `reason` is UTF-8 of at most 123 bytes, empty if the frame had none, and is freed when the
   * callback returns. `code` is 1005 if the close frame had none, and 1006 if the connection closed without a close
   * frame. libwebsockets 4.1 reports 1012, 1013 and 1014 from a client as 1002. `is_clean` is 1 if both sides sent a
   * close frame. libwebsockets does not report a client's answer to the server's close frame: if the server began the
   * closing handshake and the client has already closed the TCP connection, `is_clean` is 0 even if the client
   * answered. */
  void (*closed)(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data);
} confab_callbacks;

/* Sets the size, and all other members to NULL. `size` is sizeof *callbacks. Any thread. */
CONFAB_API int confab_callbacks_init(confab_callbacks *callbacks, size_t size);

/* ------------------------------------------------------------------------------------------------------------ Server */

/* Creates a server and binds its port. Clients can connect from then on, and are served once the server is started. The
 * caller owns `*server` until confab_destroy(); it is NULL on failure. `config` and `callbacks` are copied. The target
 * of `user_data` must stay valid until the server is destroyed. Any thread. */
CONFAB_API int confab_create(
    const confab_config *config, const confab_callbacks *callbacks, void *user_data, confab_server **server);

/* Creates a server like confab_create(), with the group chat and its page instead of callbacks. The path of a request
 * is the room. A message goes to all members of its room, including the sender. Clients that request the subprotocol
 * chat.confab.v1 use the rich protocol, which has names, presence and history; the server supports it whatever
 * `subprotocols` is. Any thread. */
CONFAB_API int confab_chat_create(const confab_config *config, confab_server **server);

/* Starts the event loops, each on a thread of its own, or in the program's loop (confab_config.uv_loop, is_polled), and
 * returns at once. Returns CONFAB_ERROR_STATE if the server has been started before. Any thread. With a loop of the
 * program, only the thread of that loop. */
CONFAB_API int confab_start(confab_server *server);

/* Starts the server and returns when it has stopped. The first loop runs on the calling thread, the others on threads
 * of their own. Callbacks may call confab_stop(). Returns CONFAB_ERROR_STATE if the server has been started before, or
 * has confab_config.uv_loop or is_polled; use confab_start() then. Any thread. */
CONFAB_API int confab_run(confab_server *server);

/* Returns the descriptor that is readable when confab_poll_step() has something to do. Do not read from it. These three
 * functions return CONFAB_ERROR_STATE unless confab_config.is_polled is set and the server has been started:
 *
 *   int wait, fd = confab_poll_fd(server);
 *   do {
 *     struct pollfd ready = {fd, POLLIN, 0};
 *     wait = confab_poll_timeout(server);
 *     poll(&ready, 1, wait);
 *   } while (confab_poll_step(server) == 1);
 *
 * Any thread. */
CONFAB_API int confab_poll_fd(confab_server *server);

/* Returns the maximum time in milliseconds until the next call of confab_poll_step(), as poll() takes it: -1 means no
 * limit. Other negative numbers are errors. The call writes the messages that the program has published or sent since
 * the last step, or it returns 0 and the next step writes them. So call this function just before each poll, after all
 * other work. Loop thread. */
CONFAB_API int confab_poll_timeout(confab_server *server);

/* Runs one turn, without waiting: reads what has arrived, runs callbacks and jobs, and writes. Returns 1 while the
 * server is running, and 0 when it has stopped. Calls within a callback have no effect. Loop thread: always the
 * one that called confab_start(). */
CONFAB_API int confab_poll_step(confab_server *server);

/* Begins to stop the server, and returns at once. The server accepts no new connections, and closes the existing ones
 * with 1001. Connections that are open after `deadline_ms` milliseconds, 0 to a day, are dropped. With -1, the closing
 * is spread over confab_config.drain_time_ms, and confab_config.stop_timeout_ms begins after that. A later call can
 * only shorten the time that is left. A server that has not been started stops as soon as it is started. Any thread. */
CONFAB_API int confab_stop(confab_server *server, int64_t deadline_ms);

/* Waits until the server has stopped: `closed` has been called for every connection, and every loop has ended. Returns
 * CONFAB_ERROR_STATE if the server has not been started. Any thread except those of the loops, which get
 * CONFAB_ERROR_THREAD. */
CONFAB_API int confab_wait(confab_server *server);

/* Calls `job(server, argument)` when the server has stopped, on the thread of the loop that ended last. If the server
 * has stopped already, calls it on the current thread before it returns. `job` may destroy the server. Returns
 * CONFAB_ERROR_STATE if the server has not been started. Any thread. */
CONFAB_API int confab_when_stopped(
    confab_server *server, void (*job)(confab_server *server, void *argument), void *argument);

/* Frees the server. A running server is stopped first, as with confab_stop(server, -1) and confab_wait(). When the
 * function returns, all callbacks have returned, all messages are in history_file unless it cannot be written, and
 * `server` is invalid. Any thread except those of the loops of a running server and those of the chat's callbacks,
 * which get CONFAB_ERROR_THREAD. */
CONFAB_API int confab_destroy(confab_server *server);

/* Runs `job(server, argument)` on the thread of loop `loop`, 0 to confab_server_loops() - 1, in a later turn of the
 * loop. Jobs run in the order of the calls. `argument` must stay valid until then. On success the job runs, unless the
 * server is destroyed without having been started. On failure the job does not run; CONFAB_ERROR_CLOSED means that the
 * loop has ended. Any thread. */
CONFAB_API int confab_execute(
    confab_server *server, int loop, void (*job)(confab_server *server, void *argument), void *argument);

/* Reads the certificate and key files again. When it returns, all loops use the new certificate for new handshakes;
 * existing connections keep theirs. On failure the server keeps the old certificate. Does nothing without TLS. Any
 * thread. */
CONFAB_API int confab_reload_certificate(confab_server *server);

/* Returns the port of the server, 1 to 65535. If confab_config.port is 0, it is the port that the system chose. Any
 * thread. */
CONFAB_API int confab_server_port(const confab_server *server);

/* Returns the URL of the server's page, "http://127.0.0.1:8080/"; NULL on failure. The string is valid until the server
 * is destroyed. Any thread. */
CONFAB_API const char *confab_server_url(const confab_server *server);

/* Returns the number of event loops. Any thread. */
CONFAB_API int confab_server_loops(const confab_server *server);

/* Closes the open connections for which `predicate(connection, user_data)` is not 0, as confab_close() does with `code`
 * and `reason`. `predicate` is called once for each open connection, on the thread of the connection's loop, in a later
 * turn. NULL closes all connections. A predicate that always returns 0 visits all connections. `done(closed,
 * user_data)`, unless NULL, is called exactly once, on any thread: with the number of closed connections, when all
 * loops have called `predicate` for their connections or have ended. If the server is never started, `done` is called
 * during confab_destroy(), with 0. On failure, neither is called. Any thread. */
CONFAB_API int confab_server_close_connections(
    confab_server *server, int code, const char *reason,
    int (*predicate)(confab_connection *connection, void *user_data),
    void (*done)(int64_t closed, void *user_data), void *user_data);

/* ------------------------------------------------------------------------------------------------------- Connections */

/* Result of confab_send() when the message is queued, but the backlog exceeds confab_config.backlog_mark. Wait for
 * `drained` before sending more. */
enum { CONFAB_BACKLOGGED = 1 };

/* Sends a message to one client, after all messages that were published to its room before. `data` is copied: `length`
 * bytes, at most 2^30. `kind` is CONFAB_TEXT or CONFAB_BINARY. Returns CONFAB_OK or CONFAB_BACKLOGGED when the message
 * is queued. It is written after the callback or job has returned, once the messages before it have been handed to the
 * kernel. Returns CONFAB_ERROR_CLOSED when the message is not sent, because the connection is closing or closed, or
 * because more than max_backlog bytes of messages for this client alone would not yet be handed to the kernel. In the
 * latter case the connection is closed with 1013, and its backlog is discarded. If no such bytes are left, a message of
 * any size is accepted. Because messages are only written after the callback has returned, one callback must not send
 * more than max_backlog in total. Loop thread. */
CONFAB_API int confab_send(confab_connection *connection, int kind, const void *data, size_t length);

/* Begins the closing handshake (RFC 6455, section 7.1.2) once all earlier messages have been written. No more messages
 * are received. `closed` is called when the client has answered, or after close_timeout_ms. `code` is 1000 to 1003,
 * 1007 to 1014, or 3000 to 4999. `reason` is UTF-8, truncated to 123 bytes at a character boundary; NULL means no
 * reason. Returns CONFAB_ERROR_CLOSED if the connection is closing or closed. Loop thread. */
CONFAB_API int confab_close(confab_connection *connection, int code, const char *reason);

/* Stops reading from the connection until confab_resume(). TCP then slows the client down. Until confab_resume(), the
 * server does not notice that the client closes the connection, and idle_timeout_ms does not apply. Returns
 * CONFAB_ERROR_CLOSED if the connection is closing or closed. Loop thread. */
CONFAB_API int confab_pause(confab_connection *connection);

/* Undoes confab_pause(): messages are received from the next turn of the loop on. Does nothing if the connection is not
 * paused. Returns CONFAB_ERROR_CLOSED if the connection is closing or closed. Loop thread. */
CONFAB_API int confab_resume(confab_connection *connection);

/* Returns the backlog of the connection: bytes accepted for the client, including frame headers, and not yet handed to
 * the kernel. Loop thread. */
CONFAB_API int64_t confab_connection_backlog(const confab_connection *connection);

/* Set and get the program's pointer for this connection. The pointer is initially NULL, or the one given to
 * confab_accept(). Confab does not use it. Both functions may be called until `closed` has returned; free the pointer's
 * target at that time. The getter returns NULL on failure. Loop thread. */
CONFAB_API int confab_connection_set_user_pointer(confab_connection *connection, void *pointer);
CONFAB_API void *confab_connection_user_pointer(const confab_connection *connection);

/* Returns the server of the connection; NULL on failure, and after `closed` has returned. Loop thread. */
CONFAB_API confab_server *confab_connection_server(const confab_connection *connection);

/* Returns a number that is unique in the process and is never reused; 0 on failure. Any thread. */
CONFAB_API uint64_t confab_connection_id(const confab_connection *connection);

/* Returns the number of the connection's loop, for confab_execute(). Any thread. */
CONFAB_API int confab_connection_loop(const confab_connection *connection);

/* Add and remove a reference, which keeps the pointer valid after `closed`. Use it to give the pointer to another
 * thread, which then uses the connection in a job of confab_execute(). The pointer is valid until every reference is
 * released. A reference does not keep the connection open: after `closed`, calls on the loop's thread return
 * CONFAB_ERROR_CLOSED; calls on other threads return CONFAB_ERROR_THREAD as before. Any thread. */
CONFAB_API int confab_connection_retain(confab_connection *connection);
CONFAB_API int confab_connection_release(confab_connection *connection);

/* ------------------------------------------------------------------------------------------------------------- Rooms */

/* Makes the connection a member of a room: it gets all messages that are published to the room from now on. A
 * connection is in one room at a time, and leaves the previous one first. `room` is any UTF-8 text. A room exists while
 * it has members; a closed connection has left its room. Returns CONFAB_ERROR_ROOMS at the limit max_rooms. Not
 * available in the chat. Loop thread. */
CONFAB_API int confab_join(confab_connection *connection, const char *room);

/* Removes the connection from its room, if it is in one. Messages that were published before are still delivered.
 * confab_leave() closes the connection with 1013 if its backlog is larger than max_backlog. Loop thread. */
CONFAB_API int confab_leave(confab_connection *connection);

/* Sends a message to all members of a room, on all loops. `data` is copied once: `length` bytes, at most 2^30. `kind`
 * is CONFAB_TEXT or CONFAB_BINARY. All members get the messages of a room in the same order. Each loop writes the
 * message when its current turn ends. Does nothing if the room has no members. Returns CONFAB_ERROR_STATE in the chat,
 * see confab_chat_publish(). Any thread. */
CONFAB_API int confab_publish(confab_server *server, const char *room, int kind, const void *data, size_t length);

/* -------------------------------------------------------------------------------------------------------------- Chat */

/* These functions publish and read in the rooms of a server from confab_chat_create(). For other servers they return
 * CONFAB_ERROR_STATE. They work before the server is started, too. `room` is the path of the room, such as "/tea":
 * UTF-8 that begins with '/', at most 1024 bytes. The room is opened if necessary. CONFAB_ERROR_ROOMS means that all of
 * max_rooms rooms are occupied.
 *
 * An offset is the position of a message in its room, from 1; 0 is the position before all messages. Offsets are valid
 * in one numbering of the room's messages, whose name is the epoch. With history_file, the epoch of a room survives a
 * restart.
 *
 * Callbacks run on a thread of Confab that is not a loop's, one at a time for each server. They may call all functions
 * that are for any thread, except confab_destroy(), which returns CONFAB_ERROR_THREAD there. When `result` is an error,
 * confab_last_error() describes it in the callback. A server has at most 16384 calls whose callback has not returned
 * yet; further calls return CONFAB_ERROR_PENDING.
 *
 * confab_destroy() waits for the callbacks of all calls, and ends all subscriptions. In callbacks during that time,
 * further calls return CONFAB_ERROR_CLOSED. No callback runs after confab_destroy() has returned. */

/* Kind of an entry of a room's history. */
typedef enum confab_chat_entry {
  CONFAB_CHAT_MESSAGE = 0,
  /* The text of an earlier message was replaced by that of this entry. */
  CONFAB_CHAT_EDIT = 1,
  /* The content of an earlier message was removed. */
  CONFAB_CHAT_REMOVAL = 2
} confab_chat_entry;

/* A message of a room, or a change of a message. The library sets the size, which may be larger than sizeof(confab_chat_message). Strings are
 * zero-terminated UTF-8. */
typedef struct confab_chat_message {
  /* Size of the struct. */
  size_t size;
  /* Position of the message. */
  const char *epoch;
  int64_t offset;
  /* Time at which the message got its offset, in milliseconds since 1970, UTC. */
  int64_t time_ms;
  /* Name of the sender; NULL for a client of the plain protocol. */
  const char *name;
  /* The sender's identifier of the message: the tag of a client, or the key of confab_chat_publish(). NULL for a client
   * of the plain protocol. */
  const char *key;
  /* The text, and its length in bytes; NULL for a binary message, whose content the history does not have, for a
   * removal, and for an edit of a message that was changed again afterwards. A text of the plain protocol may contain zero bytes. The history has only the beginning of such a text if it is longer than
   * max_text_length allows; message_size is then larger than `length`. */
  const char *text;
  size_t length;
  /* Size of the message in bytes. */
  int64_t message_size;
  /* Kind of the entry, from enum confab_chat_entry. For a change, `name` is that of the one who made it. */
  int entry;
  /* Offset of the changed message; 0 for a message. */
  int64_t changed_offset;
  /* Whether a message has another text than at first. */
  int is_edited;
  /* Whether the content of a message was removed. The text is then empty. */
  int is_removed;
} confab_chat_message;

/* A page of a room's history. The library sets the size, which may be larger than sizeof(confab_chat_page). */
typedef struct confab_chat_page {
  /* Size of the struct. */
  size_t size;
  /* The messages, oldest first: an array of `count` pointers. */
  const confab_chat_message *const *messages;
  size_t count;
  /* Whether there are more messages in the requested direction. */
  int has_more;
  /* Position of the newest message that the room has ever had. */
  const char *end_epoch;
  int64_t end_offset;
} confab_chat_page;

/* Publishes a text to all members of a room. `text` is UTF-8 of `length` bytes, 1 to max_text_length characters;
 * control characters other than newlines and tabs are removed. `name` is the sender's name, 1 to max_name_length
 * characters; it may be in use by a client. `key` is an identifier of the message: 1 to 64 ASCII letters, digits, - and
 * _. While the room stores a message of the program with this key, it gets no second one: `done` then gets the position
 * of the first one. NULL means a random key. Messages that one thread publishes keep their order; the calls of `done`
 * may have another one.
 *
 * Returns CONFAB_ERROR_ARGUMENT if an argument is wrong. On success, `done(result, epoch, offset, user_data)`, unless
 * NULL, is called exactly once: with CONFAB_OK and the position of the message, when the message is ordered, and with
 * CONFAB_DURABILITY_FULL also stored; or with NULL, 0 and an error: CONFAB_ERROR_ROOMS, CONFAB_ERROR_PENDING,
 * CONFAB_ERROR_UNAVAILABLE or CONFAB_ERROR_UNKNOWN. `epoch` is freed when the callback returns. Any thread. */
CONFAB_API int confab_chat_publish(
    confab_server *server, const char *room, const char *name, const char *text, size_t length, const char *key,
    void (*done)(int result, const char *epoch, int64_t offset, void *user_data), void *user_data);

/* Replaces the text of a message for all members, on all servers and in the history. `epoch` and `offset` are the
 * position of the message, `name` that of the one who edits it; `text`, `length` and `done` are as for
 * confab_chat_publish(). `done` gets the position of the edit. Its further errors are CONFAB_ERROR_EPOCH, and
 * CONFAB_ERROR_HISTORY_GONE if the message is not stored, or has been removed. Clients of the plain protocol are not
 * informed. Any thread. */
CONFAB_API int confab_chat_edit(
    confab_server *server, const char *room, const char *epoch, int64_t offset, const char *name, const char *text,
    size_t length, void (*done)(int result, const char *epoch, int64_t offset, void *user_data), void *user_data);

/* Removes the content of a message for all members, on all servers and from the history. The arguments and errors are
 * those of confab_chat_edit(). `done` gets the position of the removal. Any thread. */
CONFAB_API int confab_chat_remove(
    confab_server *server, const char *room, const char *epoch, int64_t offset, const char *name,
    void (*done)(int result, const char *epoch, int64_t offset, void *user_data), void *user_data);

/* Reads a page of a room's history, of at most `count` messages, 1 to 100, and 256 KiB. With `after`, the page has the
 * oldest messages after that offset; with `before`, the newest ones before that offset. At least one of them must be
 * -1, which means none; with both, the page has the newest messages of the room. `epoch` is the epoch of the offset,
 * NULL without one.
 *
 * On success, `done(result, page, user_data)` is called exactly once: with CONFAB_OK and the page, which is freed when
 * the callback returns; or with NULL and an error: CONFAB_ERROR_ROOMS, CONFAB_ERROR_UNAVAILABLE, CONFAB_ERROR_EPOCH or,
 * with `after`, CONFAB_ERROR_HISTORY_GONE. Any thread. */
CONFAB_API int confab_chat_history(
    confab_server *server, const char *room, const char *epoch, int64_t after, int64_t before, int count,
    void (*done)(int result, const confab_chat_page *page, void *user_data), void *user_data);

/* Returns the number of members of a room, including those of the plain protocol; 0 if the room does not exist. Before
 * that, calls `each(name, user_data)`, unless NULL, for each member of the rich protocol, on the calling thread. `name`
 * is freed when the callback returns. Any thread. */
CONFAB_API int64_t confab_chat_members(
    confab_server *server, const char *room, void (*each)(const char *name, void *user_data), void *user_data);

/* A sequence of a room's messages, from confab_chat_subscribe() to confab_chat_unsubscribe(). */
typedef struct confab_chat_subscription confab_chat_subscription;

/* Calls `callback(result, message, user_data)` with CONFAB_OK for each message of a room after a position, and then for
 * each new message, in the order of the offsets. `message` is freed when the callback returns. The next message is read
 * after that, so a slow callback needs no memory. With `epoch` NULL, `offset` is ignored, and the sequence begins with
 * the first message that is published after this call. To continue after a page, begin at its `end_epoch` and
 * `end_offset`. A program that stores the position of each message that it has handled, and begins there after a
 * restart, handles each message at least once.
 *
 * If the sequence cannot be continued, `callback` is called once more, with NULL and an error: CONFAB_ERROR_ROOMS,
 * CONFAB_ERROR_UNAVAILABLE, CONFAB_ERROR_EPOCH, or CONFAB_ERROR_HISTORY_GONE if the callback lags so far behind that
 * the room does not have the next message any more. A sequence that is ended by confab_chat_unsubscribe() or
 * confab_destroy() has no such call.
 *
 * `*subscription` is set before the first callback, and NULL on failure. It is valid until confab_chat_unsubscribe() or
 * confab_destroy(). Any thread. */
CONFAB_API int confab_chat_subscribe(
    confab_server *server, const char *room, const char *epoch, int64_t offset,
    void (*callback)(int result, const confab_chat_message *message, void *user_data), void *user_data,
    confab_chat_subscription **subscription);

/* Ends and frees a subscription, also after an error. When the function returns, its callback has returned and is not
 * called again; the function waits for the callback that is running, if any. Within callbacks of the chat it returns at
 * once, and a running callback of the subscription is the last one. Any thread. */
CONFAB_API int confab_chat_unsubscribe(confab_chat_subscription *subscription);

/* ---------------------------------------------------------------------------------------------------------- Requests */

/* These functions read a request during the callback that receives it. Strings are zero-terminated UTF-8, and are freed
 * when the callback returns. They are NULL on failure, or if the value does not exist. */

/* Returns the percent-decoded path, which begins with '/' and has no "." or ".." segments and no "//". Bytes that are
 * not UTF-8 stay percent-encoded. Loop thread. */
CONFAB_API const char *confab_request_path(const confab_request *request);

/* Returns the percent-decoded value of the first query parameter with that name; "" if the parameter has no value. Loop
 * thread. */
CONFAB_API const char *confab_request_query(const confab_request *request, const char *name);

/* Returns the value of a header. The case of `name` does not matter. Values of repeated headers are joined by commas.
 * Loop thread. */
CONFAB_API const char *confab_request_header(const confab_request *request, const char *name);

/* Returns the negotiated subprotocol, one of confab_config.subprotocols. Loop thread. */
CONFAB_API const char *confab_request_subprotocol(const confab_request *request);

/* Returns the client's numeric address; "" if the client has disconnected. Loop thread. */
CONFAB_API const char *confab_request_remote_host(const confab_request *request);

/* Returns the client's port; 0 if the client has disconnected. Loop thread. */
CONFAB_API int confab_request_remote_port(const confab_request *request);

/* Accepts a client. `user_pointer` becomes the connection's pointer, see confab_connection_user_pointer(). `release`,
 * unless NULL, is called with `user_pointer` exactly once, on any thread: when `closed` has returned and the last
 * reference is released, when the client disconnects before `opened`, or when this function fails. Returns
 * CONFAB_ERROR_CLOSED if the authorization is no longer pending: the server rejects pending clients with status 503
 * after handshake_timeout_ms, and when it stops. Afterwards, `authorization` is invalid. Any thread. */
CONFAB_API int confab_accept(
    confab_authorization *authorization, void *user_pointer, void (*release)(void *user_pointer));

/* Adds a header to the response that accepts the client, "Set-Cookie" for example. It replaces an earlier header with
 * the same name. The headers of the handshake itself cannot be replaced, and all headers of a client have at most 1024
 * bytes, with 4 bytes for each: otherwise the function returns CONFAB_ERROR_ARGUMENT. Call it before confab_accept(). Any
 * thread. */
CONFAB_API int confab_add_header(confab_authorization *authorization, const char *name, const char *value);

/* Rejects a client with an HTTP response, for instance with status 401 or 403. The arguments are those of
 * confab_respond(). Returns CONFAB_ERROR_CLOSED if the authorization is no longer pending, see confab_accept().
 * Afterwards, `authorization` is invalid, except after CONFAB_ERROR_ARGUMENT. Any thread. */
CONFAB_API int confab_reject(
    confab_authorization *authorization, int status, const char *const *headers, const void *body, size_t length);

/* Rights of a client in the rooms of the chat. */
typedef enum confab_right {
  /* The client may enter rooms, and gets their messages. Without this right it cannot connect. */
  CONFAB_RIGHT_READ = 1,
  /* The client may send messages, and typing events. */
  CONFAB_RIGHT_SAY = 2,
  /* The client gets messages that were sent before it joined. */
  CONFAB_RIGHT_HISTORY = 4,
  /* The client may remove any message, at any time. */
  CONFAB_RIGHT_MODERATE = 8
} confab_right;

/* A user and its rights. */
typedef struct confab_identity {
  /* sizeof(confab_identity), set by confab_identity_init(). */
  size_t size;
  /* Stable identifier of the user, 1 to 256 bytes of UTF-8. All connections of one user have it. Other clients do not
   * see it. Required. */
  const char *id;
  /* Verified name. The client has it in every room and cannot change it. Another user cannot take it while the client
   * is in the room, and a client without a verified name that has it already gets another one. A client is rejected if
   * the chat does not allow its name. Default: NULL, the client chooses a name. */
  const char *name;
  /* Values of enum confab_right, combined by "|". Default: CONFAB_RIGHT_READ | CONFAB_RIGHT_SAY | CONFAB_RIGHT_HISTORY.
   */
  int rights;
  /* Rooms that the client may enter, ended by NULL: "/tea" is that room, and "/team/" followed by "*" all rooms whose
   * path begins with "/team/". At most 1024 bytes each. Default: NULL, all rooms. */
  const char *const *rooms;
  /* Time at which the identity expires: milliseconds since 1970, UTC. Default: 0, never. */
  int64_t expires_ms;
} confab_identity;

/* Sets the size and the defaults. `size` is sizeof *identity. Any thread. */
CONFAB_API int confab_identity_init(confab_identity *identity, size_t size);

/* Admits a client of the chat as a user, if the user may enter the room. `identity` is copied. Returns
 * CONFAB_ERROR_CLOSED if the client is not waiting any more: after handshake_timeout_ms, when it has disconnected, or
 * when the server stops. Afterwards, `admission` is invalid, except after CONFAB_ERROR_ARGUMENT and CONFAB_ERROR_SIZE.
 * Any thread. */
CONFAB_API int confab_admit(confab_admission *admission, const confab_identity *identity);

/* Reasons to refuse a client of the chat, with the status of the handshake. Clients of the rich protocol that are
 * refused in their hello get an error, and are closed with 4003. */
typedef enum confab_refusal {
  /* 401, error tokenRequired: the client has no token, and needs one. */
  CONFAB_REFUSAL_TOKEN_REQUIRED = 1,
  /* 401, error tokenInvalid: the token is malformed, or is not valid. */
  CONFAB_REFUSAL_TOKEN_INVALID = 2,
  /* 401, error tokenExpired: the token has expired. */
  CONFAB_REFUSAL_TOKEN_EXPIRED = 3,
  /* 403, error forbidden: the client is known, but it may not do that. */
  CONFAB_REFUSAL_FORBIDDEN = 4,
  /* 503, error unavailable, closed with 1013: the decision cannot be made now. */
  CONFAB_REFUSAL_UNAVAILABLE = 5
} confab_refusal;

/* Refuses a client of the chat. `refusal` is a value of enum confab_refusal. `message` is a short text for the client,
 * 1 to 120 bytes of UTF-8, and must not help an attacker; NULL means a text for `refusal`. Returns CONFAB_ERROR_CLOSED
 * if the client is not waiting any more, see confab_admit(). Afterwards, `admission` is invalid, except after
 * CONFAB_ERROR_ARGUMENT. Any thread. */
CONFAB_API int confab_refuse(confab_admission *admission, int refusal, const char *message);

/* Answers a request within the callback `http`. `status` is 200 to 599. `headers` is NULL, or an array of alternating
 * names and values, ended by NULL. Each response has Date, Content-Length (except with 204 and 304), Connection and
 * X-Content-Type-Options, which `headers` cannot replace. If `headers` does not contain them, it also has Content-Type
 * "text/plain; charset=utf-8" and Cache-Control "no-store". `body` has `length` bytes, at most 2^30, and is copied. The
 * body is not sent for HEAD, nor with 204 and 304. The response stays in memory until the client has read it. A client
 * that reads nothing for 5 s is dropped. Returns CONFAB_ERROR_STATE if the request was not passed to `http`, or has
 * been answered already. Loop thread. */
CONFAB_API int confab_respond(
    const confab_request *request, int status, const char *const *headers, const void *body, size_t length);

/* -------------------------------------------------------------------------------------------------------- Statistics */

/* Counters and measurements of a server since it was created. */
typedef struct confab_statistics {
  /* sizeof(confab_statistics), set by confab_server_statistics(). */
  size_t size;
  /* Current connections, including those in a handshake or fetching the page. */
  int64_t connections;
  /* Accepted TCP connections, including those rejected with a status. */
  int64_t accepted;
  /* Complete messages received. This member and the following ones are up to a quarter of a second old while the server
   * runs. */
  int64_t messages;
  /* Payload bytes of these messages. */
  int64_t received_bytes;
  /* Deliveries: each message counts once for each client that it is sent to. */
  int64_t deliveries;
  /* Bytes of sent messages, including frame headers, after compression. */
  int64_t sent_bytes;
  /* Delay of the event loops in microseconds: the largest recent one, or the current one if a loop is stalled. A delay
   * counts a tenth less for each quarter of a second since. */
  int64_t loop_lag_us;
  /* Current delay of the most delayed event loop, in microseconds; 0 if all loops run in time. */
  int64_t loop_stall_us;
  /* Bytes accepted for clients and not yet handed to the kernel, of all clients together. A message that clients share
   * in memory counts for each of them. */
  int64_t backlog;
  /* Time from publishing a message until it is handed to the kernel, as a histogram. A message counts once for each
   * client that keeps up; slower clients count in `backlog` instead. All messages of one turn of an event loop count
   * from the time of the first one. The upper bounds of the buckets are 100, 250 and 500 us, 1, 2.5, 5, 10, 25, 50, 100
   * and 250 ms, and 1 s; the last bucket has no upper bound. The buckets are not cumulative. */
  int64_t delivery_latency[13];
  /* Sum of these times, in microseconds. */
  int64_t delivery_latency_sum_us;
} confab_statistics;

/* Fills in the statistics. `size` is sizeof *statistics. Any thread. */
CONFAB_API int confab_server_statistics(const confab_server *server, confab_statistics *statistics, size_t size);

/* Reasons why a server rejects a request, closes or drops a connection, or slows a client down. The names of this
 * header call all of these rejections. */
typedef enum confab_rejection {
  /* 400: the request is malformed; the response and the log say what is wrong. */
  CONFAB_REJECTION_BAD_REQUEST = 0,
  /* 403: allowed_origins does not allow the origin. */
  CONFAB_REJECTION_ORIGIN_NOT_ALLOWED = 1,
  /* 403: allowed_hosts does not allow the host. */
  CONFAB_REJECTION_HOST_NOT_ALLOWED = 2,
  /* 308 for a page, otherwise 400: the server uses TLS, and the request is not encrypted. */
  CONFAB_REJECTION_NOT_ENCRYPTED = 3,
  /* 404: the path does not exist. */
  CONFAB_REJECTION_NOT_FOUND = 4,
  /* 405: the method is not GET, HEAD or OPTIONS. */
  CONFAB_REJECTION_METHOD_NOT_ALLOWED = 5,
  /* 408: the request did not arrive within handshake_timeout_ms. */
  CONFAB_REJECTION_HANDSHAKE_TIMEOUT = 6,
  /* 413: the request has a body. */
  CONFAB_REJECTION_BODY_NOT_ALLOWED = 7,
  /* 414: the path is longer than max_path_length. */
  CONFAB_REJECTION_PATH_TOO_LONG = 8,
  /* 426: the version of the WebSocket protocol is not 13 (RFC 6455, section 4.4). */
  CONFAB_REJECTION_VERSION_NOT_SUPPORTED = 9,
  /* 429: the address has max_connections_per_address connections. */
  CONFAB_REJECTION_TOO_MANY_FROM_ADDRESS = 10,
  /* 431: the header section is larger than max_header_size. */
  CONFAB_REJECTION_HEADERS_TOO_LARGE = 11,
  /* 503: the server has max_connections connections. */
  CONFAB_REJECTION_TOO_MANY_CONNECTIONS = 12,
  /* `authorize` has rejected the client, with a status of its choice. */
  CONFAB_REJECTION_REJECTED_BY_HANDLER = 13,
  /* No response: the client has disconnected before a complete request, or the TLS handshake is invalid. */
  CONFAB_REJECTION_NOT_UNDERSTOOD = 14,
  /* 1009: a message is larger than max_message_size. */
  CONFAB_REJECTION_MESSAGE_TOO_BIG = 15,
  /* 1008: a message has more than max_fragments fragments. */
  CONFAB_REJECTION_TOO_MANY_FRAGMENTS = 16,
  /* 1007: a text message or a close reason is not UTF-8. */
  CONFAB_REJECTION_NOT_UTF8 = 17,
  /* 1007: a compressed message cannot be inflated. */
  CONFAB_REJECTION_NOT_DEFLATE = 18,
  /* 1002: the client has violated the WebSocket protocol. */
  CONFAB_REJECTION_PROTOCOL_ERROR = 19,
  /* 1013: incomplete messages need more than max_unfinished_bytes. */
  CONFAB_REJECTION_TOO_MANY_UNFINISHED = 20,
  /* 1013: the backlog is larger than max_backlog, or max_total_backlog is used up. */
  CONFAB_REJECTION_TOO_FAR_BEHIND = 21,
  /* Dropped: the connection was idle for idle_timeout_ms. */
  CONFAB_REJECTION_IDLE = 22,
  /* Dropped: the closing handshake took longer than close_timeout_ms. */
  CONFAB_REJECTION_CLOSE_TIMEOUT = 23,
  /* New connections wait, because they exceed max_accept_rate. */
  CONFAB_REJECTION_ACCEPT_RATE = 24,
  /* Reading from a connection pauses, because it exceeds max_message_rate. */
  CONFAB_REJECTION_MESSAGE_RATE = 25,
  /* Reading from a connection pauses, because it exceeds max_byte_rate. */
  CONFAB_REJECTION_BYTE_RATE = 26,
  /* Reading from a connection pauses, because it exceeds max_ping_rate. */
  CONFAB_REJECTION_PING_RATE = 27,
  /* 503: `authorize` was not decided within handshake_timeout_ms. */
  CONFAB_REJECTION_AUTHORIZATION_TIMEOUT = 28,
  /* No response: a trusted proxy has not sent a valid PROXY protocol header within handshake_timeout_ms, see
   * proxy_protocol. */
  CONFAB_REJECTION_BAD_PROXY_HEADER = 29
} confab_rejection;

/* Returns the number of rejections for a reason from enum confab_rejection. Any thread. */
CONFAB_API int64_t confab_server_rejections(const confab_server *server, int reason);

/* Returns the name of a reason, as in the log; NULL if the reason does not exist. The string is a constant. Reasons are
 * numbered from 0 without gaps. Any thread. */
CONFAB_API const char *confab_rejection_name(int reason);

#ifdef __cplusplus
}
#endif

#endif
