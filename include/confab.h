/*
 * confab.h - Confab for C: a WebSocket and group-chat server on libwebsockets and libuv.
 *
 * A server has one or more event loops. Each connection belongs to one loop, and the connection's callbacks run on that
 * loop's thread. confab_start() creates a thread for each loop. confab_run() runs the first loop on the calling thread,
 * and creates threads for the other loops. With confab_config.uv_loop, the server runs on your libuv loop. With
 * confab_config.is_polled, any other event loop of your program runs the server in steps, see confab_poll_step(). A
 * turn is one iteration of a loop: the loop reads the data that has arrived, runs callbacks and jobs, and writes.
 *
 * THREADS. The comment of each function ends with the threads that may call it:
 *   "Any thread."  Any thread, including callbacks, and concurrently with any other call.
 *   "Loop thread." Only the thread of the connection's loop: in a callback, or in a job that confab_execute() runs
 *                  there. On other threads the function does nothing and returns CONFAB_ERROR_THREAD.
 * Each server has one more thread, which runs the callbacks of the functions whose names begin with confab_chat, one at
 * a time. If such a callback blocks, it delays the other callbacks on this thread, but not the loops. Only `each` of
 * confab_chat_members() and confab_chat_restrictions() is called on the calling thread.
 * Callbacks on the thread of a loop must not block, because a blocked callback stalls all connections of the loop. With
 * several loops, callbacks for connections of different loops run concurrently.
 * No function may be called from a signal handler.
 *
 * OWNERSHIP. Arguments (structs, strings, bytes) belong to the caller; functions copy them before they return. Callback
 * arguments (requests, strings, bytes) belong to Confab and are freed when the callback returns: copy the data that you
 * need later. The caller owns a server from confab_create() or confab_chat_create() to confab_destroy(). Confab owns
 * connections. A connection pointer is valid from the call of `opened` until `closed` has returned, and longer with
 * confab_connection_retain(). If a required pointer is NULL, functions return an error.
 *
 * ERRORS. On failure, functions that return int or int64_t do nothing and return a negative number from enum
 * confab_error. confab_strerror() describes the number. confab_last_error() describes the last failure in detail.
 *
 * VERSIONS. Structs begin with their size. The init function sets the size and the defaults. Later versions of the
 * library only append members to structs, so programs that were compiled with this header work with later versions,
 * too.
 *
 *   confab_config config;
 *   confab_server *server;
 *   int rc;
 *
 *   confab_config_init(&config, sizeof config);
 *   config.port = 8080;
 *   rc = confab_chat_create(&config, NULL, NULL, &server);
 *   if (rc == 0) rc = confab_run(server);
 *   if (rc != 0) fprintf(stderr, "%s\n", confab_last_error());
 *
 * SIGNALS. The threads that confab_start() creates are named "confab-loop-0", "confab-loop-1" and so on. These threads,
 * the thread of the chat's callbacks and the thread of the history file block all signals except SIGPROF and the
 * signals of faults (SIGSEGV and similar), so your signal handlers run on your threads. libwebsockets makes the process
 * ignore SIGPIPE when the first server is created.
 *
 * FORK. A server, its connections and its requests belong to the process that called confab_create(). A child of fork()
 * does not have the server's threads. In the child, all functions that take a server, a connection or a request,
 * including confab_destroy(), do nothing and return CONFAB_ERROR_FORKED, or NULL if they return a pointer. The child
 * has copies of the server's sockets, so connections and the port stay open until the child exits or calls exec, even
 * if the parent closes them. A daemon should call fork() before confab_create().
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

/* A WebSocket connection to a client, from the call of `opened` until `closed` has returned. */
typedef struct confab_connection confab_connection;

/* A pending authorization of a client, from the call of `authorize` to confab_accept() or confab_reject(). */
typedef struct confab_authorization confab_authorization;

/* A pending admission of a client of the chat, from the call of confab_config.admit to confab_admit() or
 * confab_reject_admission(). */
typedef struct confab_admission confab_admission;

/* An HTTP request, valid during the callback that receives it. */
typedef struct confab_request confab_request;

/* A libuv loop, uv_loop_t. This header does not include uv.h. */
struct uv_loop_s;

/* ------------------------------------------------------------------------------------------------------------ Errors */

typedef enum confab_error {
  /* Success. */
  CONFAB_OK = 0,
  /* An argument is NULL or out of range. */
  CONFAB_ERROR_ARGUMENT = -1,
  /* The size at the beginning of a struct is unknown to this library. Set the size with the init function, and use a
   * library that is at least as new as the header. */
  CONFAB_ERROR_SIZE = -2,
  /* A member of confab_config has an invalid value. */
  CONFAB_ERROR_CONFIGURATION = -3,
  /* The host cannot be resolved. */
  CONFAB_ERROR_HOST = -4,
  /* Another program listens on the port. */
  CONFAB_ERROR_ADDRESS_IN_USE = -5,
  /* The server cannot listen on the address for another reason. */
  CONFAB_ERROR_LISTEN = -6,
  /* The certificate or key is unusable. */
  CONFAB_ERROR_CERTIFICATE = -7,
  /* libwebsockets or libuv could not be initialized, or a thread could not be created. */
  CONFAB_ERROR_LIBRARY = -8,
  /* The function was called on the wrong thread. */
  CONFAB_ERROR_THREAD = -9,
  /* The server is in the wrong state for this call: it is already started, not started yet, or running. */
  CONFAB_ERROR_STATE = -10,
  /* The connection is closing or closed, or the loop has ended. */
  CONFAB_ERROR_CLOSED = -11,
  /* The number of rooms has reached confab_config.max_rooms, or max_rooms_per_connection for one connection. */
  CONFAB_ERROR_ROOMS = -12,
  /* The function was called in a child of fork(). A server belongs to the process that created it. */
  CONFAB_ERROR_FORKED = -13,
  /* The history file cannot be opened, is not a history file, or is open in another process. */
  CONFAB_ERROR_HISTORY = -14,
  /* Too many messages or calls are pending. Try again later. */
  CONFAB_ERROR_PENDING = -15,
  /* The room was not opened within 10 s. For a kick, mute or ban: see confab_chat_kick(). */
  CONFAB_ERROR_UNAVAILABLE = -16,
  /* The stored history was replaced while the message was pending, for example because NATS has lost messages. So the
   * server does not know whether the message was stored. If you publish the message again with the same key, the
   * message is not stored twice. For a kick, mute or ban: see confab_chat_kick(). */
  CONFAB_ERROR_UNKNOWN = -17,
  /* Some messages after the position are no longer stored, so a reader that continues from the position has missed
   * them. */
  CONFAB_ERROR_HISTORY_GONE = -18,
  /* The room has a new epoch: its messages are numbered from a new start, so the position is invalid. */
  CONFAB_ERROR_EPOCH = -19,
  /* The room does not have the member, or the mute or ban does not exist. */
  CONFAB_ERROR_NOT_FOUND = -20,
  /* There are max_restrictions mutes and bans. */
  CONFAB_ERROR_RESTRICTIONS = -21
} confab_error;

/* Returns a short description of a result code. The string is a constant. Any thread. */
CONFAB_API const char *confab_strerror(int code);

/* Describes the last failure of a function of this header on the calling thread, in one sentence that names the wrong
 * value and the remedy. Returns "" if no function has failed on this thread. The string is valid until the next failure
 * on this thread. Any thread. */
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
  /* Within 100 ms after its delivery. If the process is killed, messages that it has not written are lost. If the
   * machine fails, messages that the system has not written to the disk are lost. */
  CONFAB_DURABILITY_NORMAL = 0,
  /* Before its delivery to any member, including the sender. Delivered messages survive a killed process and a failed
   * machine. While the file cannot be written, messages are delivered anyway. */
  CONFAB_DURABILITY_FULL = 1
} confab_durability;

/* All settings of a server. Flags are 0 (no) or any other value (yes). Sizes are in bytes. Members whose names end with
 * _ms are in milliseconds. Servers from confab_create() do not use the members from max_history_messages to
 * max_rename_rate, nor those in the sections History, Users and Several servers. The rich protocol is the chat's
 * subprotocol chat.confab.v1, see Protocol.md. Clients that do not request this subprotocol use the plain protocol:
 * each message is a text or binary message without JSON. */
typedef struct confab_config {
  /* sizeof(confab_config), set by confab_config_init(). */
  size_t size;

  /* Listening */

  /* Host name or numeric address to listen on. "0.0.0.0" and "::" listen on all addresses. Default: NULL, loopback
   * only: 127.0.0.1 and ::1, or one of them if the other does not exist. With "unix:" and a path, such as
   * "unix:/run/confab/chat.sock", the server listens on a Unix domain socket (unix(7)), and ignores `port`. The path
   * has at most 107 bytes on Linux. Programs of the server's user and group may connect. Their address is 127.0.0.1,
   * also for `trusted_proxies`. The socket of a server that has crashed is replaced. The server removes the socket when
   * it begins to stop. */
  const char *host;
  /* TCP port, 0 to 65535. 0 picks a free port, see confab_server_port(). Default: 8080. */
  int port;
  /* libuv loop (uv_loop_t) on which the server runs, together with your own handles. The server then has one event
   * loop, `loops` is ignored, and no loop threads are created. confab_start() adds the server's handles to the loop:
   * call it on the thread that runs the loop, or while the loop is not running. When the server has stopped (see
   * confab_when_stopped()), its handles are removed and the loop may be closed. Default: NULL: the server creates its
   * own loops. */
  struct uv_loop_s *uv_loop;
  /* Number of event loops, 1 to 64. Each loop has a thread and a listener. The kernel spreads connections over the
   * loops. All clients get the messages of a room in the same order, on all loops. With one loop, callbacks of
   * connections never run concurrently. Default: the number of cores available to the process, at most 4. */
  int loops;
  /* PEM files: the certificate chain, beginning with the server's certificate, and its unencrypted private key. With
   * both set, the server speaks https and wss instead of http and ws. Page requests without TLS are redirected to https
   * with status 308; other requests without TLS get status 400. Default: NULL for both. */
  const char *tls_certificate_file;
  const char *tls_key_file;

  /* Content */

  /* Folders served over HTTP: an array of `mount_count` mounts, at most 256. All mounts must have the same `size`.
   * Default: none; confab_chat_create() then serves the chat's page at "/". */
  const confab_mount *mounts;
  size_t mount_count;
  /* Subprotocols of the server (RFC 6455, section 1.9), ended by NULL: tokens of at most 62 bytes that do not begin
   * with a digit. The server selects the first subprotocol in the client's list that is one of these. A client that
   * requests none of these is accepted without a subprotocol. Default: NULL, none. */
  const char *const *subprotocols;
  /* Whether messages of 128 bytes and more are compressed for clients that offer permessage-deflate (RFC 7692). All
   * clients share one compressed message. If some clients have requested a smaller window, the message is compressed a
   * second time for them. Default: 1. */
  int offers_compression;

  /* Access */

  /* Web origins whose pages may connect, as browsers send them ("https://example.org"), ended by NULL. "*" allows every
   * origin. If the server listens on loopback only, clients on this machine may also connect from pages of loopback, at any
   * port, and from pages opened from a file ("null" or "file://"). If the server listens on other addresses, pages whose origin has the host
   * and port of the request may also connect. Other origins get status 403. Clients that are not browsers usually send
   * no origin. Such clients are accepted unless requires_origin is set. Default: NULL, none. */
  const char *const *allowed_origins;
  /* Whether a client that sends no origin gets status 403. Default: 0. */
  int requires_origin;
  /* Host names that are allowed in the Host header, without port, ended by NULL. Other names get status 403. Default:
   * NULL, any. */
  const char *const *allowed_hosts;

  /* Limits */

  /* Maximum message size. Larger messages close the connection with 1009. The connection is closed as soon as the size
   * is known, without storing the message. Range: 1 byte to 1 GiB. Default: 1 MiB. */
  int64_t max_message_size;
  /* Maximum number of fragments per message, including empty ones. Messages with more fragments close the connection
   * with 1008. Range: 1 to 2^30. Default: 16384. */
  int64_t max_fragments;
  /* Maximum memory for incomplete messages of all connections. A connection whose data would exceed the limit is closed
   * with 1013. Each event loop gets an equal share. Range: 1 byte to 1 TiB. Default: 256 MiB. */
  int64_t max_unfinished_bytes;
  /* Maximum backlog of one client: bytes that the server has accepted for the client and not yet handed to the kernel.
   * A client whose backlog exceeds the limit is evicted: its connection is closed with 1013. Other clients are not
   * delayed. Bytes that were added to the client's rooms in the current turn are not counted. The server pauses reading
   * from a client whose backlog is more than half of the limit, so that a client is not evicted because of messages
   * that it has sent itself. Range: 0 to 1 GiB. Default: 8 MiB. */
  int64_t max_backlog;
  /* Maximum memory for the backlogs of all clients. The clients with the largest backlogs are evicted: their
   * connections are closed with 1013. The limit applies to all servers of the process together. The backlog
   * limit of each client is max_backlog or the unused part of this memory, whichever is smaller. Range: 0 to 1 TiB.
   * Default: 256 MiB. */
  int64_t max_total_backlog;
  /* Maximum number of rooms that one connection is in. At the limit, the connection cannot join another room. In the
   * chat, the client gets the error tooManyRooms. Without the chat, confab_join() returns CONFAB_ERROR_ROOMS. Range: 1
   * to 1024. Default: 64. */
  int64_t max_rooms_per_connection;
  /* Maximum number of connections. Additional connections get status 503. The number of file descriptors that the
   * process may open also limits the number of connections. Range: 1 to 2^30. Default: 16384. */
  int64_t max_connections;
  /* Maximum number of connections from one IPv4 address or one /64 network of IPv6. Additional connections get status
   * 429. Clients on loopback are exempt, see limits_loopback. 0 means no limit. Range: 0 to 2^30. Default: 256. */
  int64_t max_connections_per_address;
  /* Maximum number of new connections per second. Additional connections wait in the kernel's queue. Clients on
   * loopback are exempt. 0 means no limit. Range: 0 to 2^30. Default: 1000. */
  int64_t max_accept_rate;
  /* Maximum size of the request header section. Larger requests get status 431. The size also limits the number of
   * headers. With TLS, header names are not counted, and headers that libwebsockets does not know by name have a
   * separate limit of twice this size. A connection that exceeds the separate limit is dropped without a response.
   * Range: 1 KiB to 16 KiB. Default: 8 KiB. */
  int64_t max_header_size;
  /* Maximum length of the decoded request path. Longer paths get status 414. Range: 1 byte to 16 KiB. Default: 1 KiB. */
  int64_t max_path_length;
  /* Maximum time from accepting the TCP connection to receiving the complete first request. Slower clients get status
   * 408. Clients that have not completed the TLS handshake are dropped without a response. Range: 1 ms to 1 day.
   * Default: 10 s. */
  int64_t handshake_timeout_ms;
  /* Maximum number of messages per second from one connection. If a client sends faster, the server reads from it at
   * this rate. TCP flow control then slows the client down. No messages are lost. Clients on loopback are exempt. 0
   * means no limit. Range: 0 to 2^30. Default: 500. */
  int64_t max_message_rate;
  /* Maximum number of message bytes per second from one connection. If a client sends faster, the server reads from it
   * at this rate. Bytes are counted after inflating, and a fragment counts as at least 8 KiB. Clients on loopback are
   * exempt. 0 means no limit. Range: 0 to 1 GiB. Default: 4 MiB. */
  int64_t max_byte_rate;
  /* Maximum number of pings per second from one connection. If a client sends faster, the server reads from it at this
   * rate. Clients on loopback are exempt. 0 means no limit. Range: 0 to 2^30. Default: 50. */
  int64_t max_ping_rate;
  /* Time without activity before the server sends a ping. The ping interval must be less than the idle timeout. 0 means
   * no pings. Range: 0 to 1 day. Default: 30 s. */
  int64_t ping_interval_ms;
  /* Time without activity after which a connection is dropped. Received data, including pongs, and TCP acknowledgements
   * of sent data count as activity. An acknowledgement of the ping itself does not count. 0 means no limit. Range: 0 to
   * 1 day. Default: 60 s. */
  int64_t idle_timeout_ms;
  /* Maximum time for a closing handshake. A connection that takes longer is dropped. Within this time, the client must
   * read all data that was sent before the close frame, and answer the close frame. Range: 0 to 1 day. Default: 5 s. */
  int64_t close_timeout_ms;
  /* Whether max_connections_per_address and the rate limits, including max_accept_rate, apply to clients on loopback,
   * too. By default, clients on loopback are exempt, because a proxy on the same machine may connect for many clients.
   * The limits of the chat apply to all clients. Default: 0. */
  int limits_loopback;
  /* Maximum number of rooms. At the limit, opening a room removes the room that has been empty longest. If no room is
   * empty, a client that opens another room gets status 503. For a server without the chat, confab_join() returns
   * CONFAB_ERROR_ROOMS at the limit. In the chat, the rooms that clients of the rich protocol enter over one connection
   * occupy at most three quarters of the limit. 0 means no limit. Range: 0 to 2^30. Default: 10000. */
  int64_t max_rooms;
  /* Maximum number of messages in a room's history. At the limit, the oldest messages are deleted. 0 means no history.
   * Range: 0 to 2^30. Default: 1000. */
  int64_t max_history_messages;
  /* Maximum memory for a room's history. At the limit, the oldest messages are deleted. The size of a message is that
   * of its JSON plus 64 bytes. Range: 0 to 1 GiB. Default: 1 MiB. */
  int64_t max_history_bytes;
  /* Maximum memory for the history of all rooms. At the limit, empty rooms are removed first, then the oldest messages
   * are deleted. A room without clients counts with the size of its messages, the length of its name, and 4 KiB. Range:
   * 0 to 1 TiB. Default: 256 MiB. */
  int64_t max_total_history_bytes;
  /* Maximum age of a message in a room's history. Older messages are deleted. The age is rounded down to whole seconds.
   * 0 means no limit. Range: 0 to 36600 days. Default: 0 s. */
  int64_t max_history_age_ms;
  /* Number of recent messages that a joining client gets. A client can request a different number, and can request
   * older messages later. Range: 0 to 100. Default: 50. */
  int64_t join_messages;
  /* Maximum length of a text in the rich protocol, in characters (grapheme clusters). Longer texts are rejected with
   * the error textTooLong. Range: 1 to 2^24. Default: 4000. */
  int64_t max_text_length;
  /* Maximum length of a name in the rich protocol, in characters (grapheme clusters). Longer names are rejected with
   * the error nameInvalid. Range: 1 to 256. Default: 32. */
  int64_t max_name_length;
  /* Maximum number of events per second from one client of the rich protocol. Additional events are ignored, and the
   * client gets the error rateLimited. 0 means no limit. Range: 0 to 2^30. Default: 10. */
  int64_t max_event_rate;
  /* Maximum number of events in one burst from one client of the rich protocol. Additional events are ignored, and the
   * client gets the error rateLimited. Range: 1 to 2^30. Default: 20. */
  int64_t max_event_burst;
  /* Maximum number of renames per minute by one client of the rich protocol. Additional renames are ignored, and the
   * client gets the error rateLimited. At most 10 renames may be in one burst. 0 means no limit. Range: 0 to 2^30.
   * Default: 60. */
  int64_t max_rename_rate;
  /* High-water mark of a connection's backlog, in bytes. confab_send() returns CONFAB_BACKLOGGED while the backlog is
   * larger. Default: 64 KiB. */
  int64_t backlog_mark;
  /* Time after which a stopping server drops the connections that are still open. The close timeout also applies to
   * each closing handshake. See confab_stop(). Range: 0 to 1 day. Default: 5 s. */
  int64_t stop_timeout_ms;
  /* Time over which a stopping server spreads the closing of its connections. The stop timeout begins after this time.
   * See the callback `moving` of confab_callbacks. 0 means no delay. Range: 0 to 1 day. Default: 0 s. */
  int64_t drain_time_ms;
  /* Size of the kernel's send buffer for each connection. The size limits the memory for a client that does not read,
   * and the throughput to one client. Linux doubles the value (SO_SNDBUF), and limits the value to net.core.wmem_max.
   * The throughput is at most twice this size per round trip. 0 means the size that the kernel chooses, up to 4 MiB.
   * Range: 0 to 1 GiB. Default: 128 KiB. */
  int64_t send_buffer_size;

  /* Logging */

  /* Minimum level of logged lines, from enum confab_log_level. Default: CONFAB_LOG_NOTICE. */
  int log_level;
  /* Function that receives log lines. A line is UTF-8 without a line break, and is freed when the function returns. The
   * line consists of metadata, like "peer=192.0.2.1:4242 reason=messageTooBig: ", and a sentence. Lines caused by
   * clients are limited to 10 per second for each confab_rejection; non-printable characters in the data of clients are
   * replaced. The function is called on any thread, one call at a time, until confab_destroy() has returned. It must
   * not call functions of this header. Default: NULL, log lines go to standard error. */
  void (*log)(int level, const char *line, void *log_user_data);
  /* Argument for `log`. Default: NULL. */
  void *log_user_data;

  /* Proxies */

  /* Addresses ("192.0.2.1") and networks ("10.0.0.0/8") of trusted proxies, ended by NULL. For connections from these
   * addresses, the client's address comes from the PROXY header if proxy_protocol is set. Otherwise the client's
   * address is the rightmost address in X-Forwarded-For that is not a trusted proxy. Limits, logs and requests use the
   * client's address. A malformed X-Forwarded-For gets status 400. A request of a trusted proxy without X-Forwarded-For
   * has the proxy's address. X-Forwarded-For from other addresses is ignored. Default: NULL, none. */
  const char *const *trusted_proxies;
  /* Whether each connection of a trusted proxy must begin with a PROXY protocol header, version 1 or 2, before any TLS.
   * If a trusted proxy does not send a valid header within handshake_timeout_ms, the connection is dropped. Default:
   * 0. */
  int proxy_protocol;

  /* History */

  /* SQLite file that stores the history of the chat, so that rooms survive a restart. The file is created if necessary.
   * No other server may have the file open. While the server exists, there is a second file with the suffix "-wal". A
   * third file with the suffix "-delivered" remains when the server has stopped: keep it in the same folder as the
   * history file. Default: NULL, the history is in memory. */
  const char *history_file;
  /* The time when a message is written to history_file, from enum confab_durability. Default: CONFAB_DURABILITY_NORMAL. */
  int durability;
  /* Maximum size of history_file. If the file would be larger, the rooms that have been inactive longest are deleted.
   * Range: 1 MiB to 1 TiB. Default: 1 GiB. */
  int64_t max_history_file_size;
  /* Maximum memory for messages that are pending because the history file or NATS has not stored them yet. Above the
   * limit, the server pauses reading from the senders of these messages until the messages are published. If the
   * pending messages exceed the limit by 16 MiB, messages of clients without pending messages are rejected. A rejected
   * message gets the error rateLimited in the rich protocol; in the plain protocol, the connection is closed with 1013.
   * confab_chat_publish() passes CONFAB_ERROR_PENDING to `done`. Range: 0 to 1 TiB. Default: 64 MiB. */
  int64_t max_pending_bytes;
  /* Maximum age of a message that a client of the rich protocol may edit or remove. Later changes are rejected with the
   * error forbidden. Moderators may remove messages of any age. 0 means that only moderators may remove messages.
   * Range: 0 to 36600 days. Default: 900 s. */
  int64_t max_change_age_ms;
  /* Maximum number of mutes and bans. At the limit, new mutes and bans are rejected with an error until a mute or ban
   * is lifted or ends. All servers of one chat should have the same limit. Range: 0 to 100000. Default: 10000. */
  int64_t max_restrictions;
  /* Maximum time of a mute or ban of a guest by a client with the right moderate. Longer mutes and bans are shortened,
   * because they also apply to all other guests with the guest's IPv4 address, or in its /64 of IPv6. 0 means no limit,
   * and mutes and bans then apply only to the guest's session. Range: 0 to 36600 days. Default: 86400 s. */
  int64_t max_guest_restriction_ms;

  /* Users */

  /* Decides which user a client of the chat is, from the client's request and token. Call confab_admit() or
   * confab_reject_admission(), within the callback or later, from any thread. `admission` is valid until you decide. If
   * you have not decided within handshake_timeout_ms, the client is rejected. `request` and `token` are freed when the
   * callback returns; with TLS, the request has only those headers that libwebsockets knows by name.
   *
   * `token` is 1 to 8192 visible ASCII characters, or NULL if the client has none. The token comes from the first of
   * these that is present: the header "Authorization: Bearer", the query "?token=", the hello event of the rich
   * protocol, the cookie token_cookie. For clients of the plain protocol, and for clients with a token in the header or
   * the query, the callback is called before the server answers the handshake. For other clients of the rich protocol,
   * the callback is called when their hello arrives. When a client sends a new token, the callback is called again,
   * with the client's first request.
   *
   * Loop thread. Default: NULL: every client may enter every room, with any name that is not in use. */
  void (*admit)(confab_admission *admission, const confab_request *request, const char *token, void *admit_data);
  /* The last argument of `admit`. The target must stay valid until the server is destroyed. Default: NULL. */
  void *admit_data;
  /* Name of the cookie with the token. The cookie is used only if the Origin of the request is the server's own or is
   * named in allowed_origins. The cookie is ignored if the Origin is "null" or "file://", or is only allowed by "*".
   * Default: NULL, no cookie. */
  const char *token_cookie;
  /* Time for a client of the rich protocol to send a new token after its identity has expired. If the client sends
   * none in this time, its connection is closed with 4002. Clients of the plain protocol are closed at once. Range: 0
   * to 1 day. Default: 30 s. */
  int64_t token_grace_ms;

  /* Several servers */

  /* URLs of servers of one NATS cluster, like "nats://host:4222" or "tls://user:password@host:4222", ended by NULL.
   * JetStream stores the history of the chat. All servers with the same stream form one chat. nats_urls and
   * history_file cannot be used together. In NATS, each message has up to 8 KiB of additional headers. Set
   * max_message_size to at most max_payload of the NATS servers (1 MiB by default) minus 8 KiB. The server
   * connects to NATS in the background. Until it is connected, the handshakes of clients are pending. Default: NULL,
   * none. */
  const char *const *nats_urls;
  /* Name of the stream: 1 to 32 letters, digits, "-" and "_". A missing stream is created. Default: NULL, "CONFAB". */
  const char *nats_stream;
  /* Number of NATS servers that store each message: 1, 3 or 5. Applies only when Confab creates the stream. Default: 1. */
  int nats_replicas;
  /* Maximum disk space of the stream. At the limit, the oldest messages are deleted. Applies only when Confab creates
   * the stream. 0 means no limit. Default: 1 GiB. */
  int64_t nats_max_bytes;
  /* NATS credentials file (.creds), which contains a JWT and the private key (seed) of the NATS user. Default: NULL,
   * none. */
  const char *nats_credentials_file;
  /* CA certificates (PEM) that verify the NATS server. Default: NULL, those of the system. */
  const char *nats_ca_file;
  /* PEM files: the certificate chain that Confab presents to the NATS servers, and its private key. Default: NULL for
   * both. */
  const char *nats_certificate_file;
  const char *nats_key_file;

  /* Sockets and event loops of the program */

  /* Descriptors of listening TCP or Unix domain sockets that the server uses instead of `host` and `port`: an array of
   * `listening_socket_count` descriptors, at most 64. The server owns the sockets when it has been created: do not use
   * or close them afterwards. If the server cannot be created, you still own the sockets. All event loops accept from
   * all of these sockets. Default: NULL, none. */
  const int *listening_sockets;
  size_t listening_socket_count;
  /* Whether other servers may listen on the same port at the same time (SO_REUSEPORT), so that the next server can
   * start before this one stops. The other servers need this setting, too, and must run as the same user. Default: 0, a
   * port that is in use is an error. */
  int shares_port;
  /* Whether your program runs the server in steps, from an event loop of any kind, such as epoll's or GLib's. The
   * server then has one event loop, `loops` is ignored, and no loop threads are created. Call confab_start(), and then
   * confab_poll_step() until the server has stopped. is_polled and uv_loop cannot be used together. Default: 0. */
  int is_polled;
} confab_config;

/* Sets the size and the defaults. `size` is sizeof *config. Any thread. */
CONFAB_API int confab_config_init(confab_config *config, size_t size);

/* --------------------------------------------------------------------------------------------------------- Callbacks */

/* Type of a message. The values are the opcodes of RFC 6455, section 5.2. */
typedef enum confab_kind {
  /* UTF-8 text. Confab validates received text (RFC 6455, section 8.1). Confab does not validate sent text: a client
   * that receives invalid text closes the connection. */
  CONFAB_TEXT = 1,
  /* Any bytes. */
  CONFAB_BINARY = 2
} confab_kind;

/* The program's functions for events of connections. For each connection, the calls are: `opened` once; then any number
 * of calls of `message` and `drained`, and at most one call of `moving`; then `closed` once. The calls for one
 * connection run one after the other, on the thread of the connection's loop. Any member may be NULL, which is the
 * default. `user_data` is the argument of confab_create(). */
typedef struct confab_callbacks {
  /* sizeof(confab_callbacks), set by confab_callbacks_init(). */
  size_t size;
  /* Decides whether a client may connect. Called before `opened`, when the request has passed all checks of the server.
   * Call confab_accept() or confab_reject(), within the callback or later, from any thread. `authorization` is valid
   * until you decide. `request` is freed when the callback returns; its subprotocol is not known yet. If this member is
   * NULL, every client is accepted. */
  void (*authorize)(confab_authorization *authorization, const confab_request *request, void *user_data);
  /* Answers a GET or HEAD request that is not for a WebSocket: call confab_respond() within the callback. If the
   * callback returns without that call, the server answers with a file of confab_config.mounts, or with status 404. Use
   * this callback for small responses that are available at once. */
  void (*http)(const confab_request *request, void *user_data);
  /* A client has connected. `request` is its opening request, freed when the callback returns. `connection` is valid
   * until `closed` has returned. With TLS, if confab_accept() was called after `authorize` had returned, the request
   * has only those headers that libwebsockets knows by name. */
  void (*opened)(confab_connection *connection, const confab_request *request, void *user_data);
  /* A complete message has arrived: `length` bytes, 0 to max_message_size, of `kind` CONFAB_TEXT or CONFAB_BINARY.
   * `data` is not NULL, is not zero-terminated, and is freed when the callback returns. */
  void (*message)(confab_connection *connection, int kind, const void *data, size_t length, void *user_data);
  /* Called after confab_send() has returned CONFAB_BACKLOGGED, when all messages of the connection have been handed to
   * the kernel. */
  void (*drained)(confab_connection *connection, void *user_data);
  /* The server is about to stop. It closes the connection with 1001 after `after_ms` milliseconds, or up to two seconds
   * later. Send the client a message of your protocol that requests it to reconnect after `after_ms`. The time differs
   * between connections, so that clients do not all reconnect at once. Until the connection is closed, it works as
   * before. Called once, if confab_config.drain_time_ms is not 0. */
  void (*moving)(confab_connection *connection, int64_t after_ms, void *user_data);
  /* The connection is closed. `code` and `reason` are those of the first close frame, which either side may have sent.
   * `reason` is UTF-8 of at most 123 bytes, empty if the frame had none, and is freed when the callback returns. `code`
   * is 1005 if the close frame had none, and 1006 if the connection closed without a close frame. libwebsockets 4.1
   * reports 1012, 1013 and 1014 from a client as 1002. `is_clean` is 1 if both sides sent a close frame. libwebsockets
   * does not report a client's answer to the server's close frame: if the server began the closing handshake and the
   * client has already closed the TCP connection, `is_clean` is 0 even if the client answered. */
  void (*closed)(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data);
} confab_callbacks;

/* Sets the size, and all other members to NULL. `size` is sizeof *callbacks. Any thread. */
CONFAB_API int confab_callbacks_init(confab_callbacks *callbacks, size_t size);

/* ------------------------------------------------------------------------------------------------------------ Server */

/* Creates a server and binds its port. Clients can then connect, but the server does not answer them until it
 * is started. The caller owns `*server` until confab_destroy(); it is NULL on failure. `config` and `callbacks` are
 * copied. The target of `user_data` must stay valid until the server is destroyed. Any thread. */
CONFAB_API int confab_create(
    const confab_config *config, const confab_callbacks *callbacks, void *user_data, confab_server **server);

/* Creates a server like confab_create(), with the group chat and its page. The path of a request is the name of the
 * room. A message goes to all members of its room, including the sender. Clients that request the subprotocol
 * chat.confab.v1 use the rich protocol, which has names, presence and history. `subprotocols` need not contain
 * chat.confab.v1.
 *
 * `callbacks` is NULL, or has any of the callbacks `http`, `opened`, `drained`, `moving` and `closed`. The server calls
 * them as for confab_create(). `opened` is called when the client's handshake has been accepted. A client of the rich
 * protocol becomes a member of the room later: use confab_chat_watch_members(). The chat does not use the user pointers
 * of connections. CONFAB_ERROR_ARGUMENT means that `authorize` or `message` is set: use confab_config.admit and
 * confab_chat_subscribe(). Any thread. */
CONFAB_API int confab_chat_create(
    const confab_config *config, const confab_callbacks *callbacks, void *user_data, confab_server **server);

/* Starts the event loops, and returns at once. Each loop runs on a new thread or, with confab_config.uv_loop or
 * is_polled, as part of your loop. Returns CONFAB_ERROR_STATE if the server has been started before. Any thread; with
 * uv_loop, only the thread that runs that loop, or any thread while the loop is not running; with is_polled, only the
 * thread that will call confab_poll_step(). */
CONFAB_API int confab_start(confab_server *server);

/* Starts the server and returns when it has stopped. The first loop runs on the calling thread, each other loop on a
 * new thread. Callbacks may call confab_stop(). Returns CONFAB_ERROR_STATE if the server has been started before, or
 * has confab_config.uv_loop or is_polled, which require confab_start(). Any thread. */
CONFAB_API int confab_run(confab_server *server);

/* Returns the descriptor that is readable when confab_poll_step() has something to do. Do not read from the descriptor.
 * This function and the next two return CONFAB_ERROR_STATE unless confab_config.is_polled is set and the server has
 * been started:
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
 * limit, other negative numbers are errors. Messages that the program has sent or published since the last step are
 * written by this call or, if it returns 0, by the next step. Therefore call this function directly before each poll,
 * after all other work. Loop thread. */
CONFAB_API int confab_poll_timeout(confab_server *server);

/* Runs one turn, without waiting: reads what has arrived, runs callbacks and jobs, and writes. Returns 1 while the
 * server is running, and 0 when it has stopped. Calls within a callback have no effect. Loop thread, which is the
 * thread that has called confab_start(). */
CONFAB_API int confab_poll_step(confab_server *server);

/* Begins to stop the server, and returns at once. The server accepts no new connections, and closes the existing ones
 * with 1001. `deadline_ms` is -1, or 0 to 86400000 (one day). Connections that are still open after `deadline_ms`
 * milliseconds are dropped. With -1, the server spreads the closing over confab_config.drain_time_ms. After
 * that time, it waits for confab_config.stop_timeout_ms, and then drops the connections that are still open. If
 * confab_stop() is called again, the earlier of the deadlines applies. A server that has not been started stops as soon
 * as it is started. Any thread. */
CONFAB_API int confab_stop(confab_server *server, int64_t deadline_ms);

/* Waits until the server has stopped: `closed` has been called for every connection, and every loop has ended. Returns
 * CONFAB_ERROR_STATE if the server has not been started. Any thread except those of the loops, where the function
 * returns CONFAB_ERROR_THREAD. */
CONFAB_API int confab_wait(confab_server *server);

/* Calls `job(server, argument)` when the server has stopped, on the thread of the loop that ended last. If the server
 * has stopped already, the function calls `job` on the calling thread, and then returns. `job` may destroy the server.
 * Returns CONFAB_ERROR_STATE if the server has not been started. Any thread. */
CONFAB_API int confab_when_stopped(
    confab_server *server, void (*job)(confab_server *server, void *argument), void *argument);

/* Frees the server. A running server is stopped first, as with confab_stop(server, -1) and confab_wait(). When the
 * function returns, all callbacks have returned, all messages are in history_file unless the file cannot be written,
 * and `server` is invalid. If NATS cannot be reached for 5 s, pending calls of the chat end with CONFAB_ERROR_UNKNOWN.
 * Any thread except the threads of a running server's loops and the thread of the chat's callbacks, where the function
 * returns CONFAB_ERROR_THREAD. */
CONFAB_API int confab_destroy(confab_server *server);

/* Runs `job(server, argument)` on the thread of loop `loop`, 0 to confab_server_loops() - 1, in a later turn of the
 * loop. Jobs run in the order of the calls. The target of `argument` must stay valid until the job has run. If the
 * function succeeds, the job runs, unless the server is destroyed without having been started. If the function fails,
 * the job does not run; CONFAB_ERROR_CLOSED means that the loop has ended. Any thread. */
CONFAB_API int confab_execute(
    confab_server *server, int loop, void (*job)(confab_server *server, void *argument), void *argument);

/* Reads the certificate and key files again. When the function returns, all loops use the new certificate for new
 * handshakes; existing connections keep the old one. On failure the server keeps the old certificate. Does nothing
 * without TLS. Any thread. */
CONFAB_API int confab_reload_certificate(confab_server *server);

/* Returns the port of the server, 1 to 65535. If confab_config.port is 0, this is the port that the system chose. For a
 * Unix domain socket, returns 0. Any thread. */
CONFAB_API int confab_server_port(const confab_server *server);

/* Returns the URL of the server's page, "http://127.0.0.1:8080/"; NULL on failure. The string is valid until the server
 * is destroyed. Any thread. */
CONFAB_API const char *confab_server_url(const confab_server *server);

/* Returns the number of event loops. Any thread. */
CONFAB_API int confab_server_loops(const confab_server *server);

/* Closes the open connections for which `predicate(connection, user_data)` is not 0, as confab_close() does with `code`
 * and `reason`. `predicate` is called once for each open connection, on the thread of the connection's loop, in a later
 * turn. With NULL, all connections are closed. To visit all connections without closing any, let `predicate` always
 * return 0. `done(closed, user_data)` is called exactly once, on any thread, unless `done` is NULL. The call comes when
 * all loops have called `predicate` for their connections or have ended. `closed` is the number of closed connections.
 * If the server is never started, `done` is called during confab_destroy(), with 0. If the function fails, neither
 * `predicate` nor `done` is called. Any thread. */
CONFAB_API int confab_server_close_connections(
    confab_server *server, int code, const char *reason,
    int (*predicate)(confab_connection *connection, void *user_data),
    void (*done)(int64_t closed, void *user_data), void *user_data);

/* ------------------------------------------------------------------------------------------------------- Connections */

/* Result of confab_send() when the message is queued, but the backlog exceeds confab_config.backlog_mark. Wait for
 * `drained` before sending more. */
enum { CONFAB_BACKLOGGED = 1 };

/* Sends a message to one client, after all messages that were published to its rooms before. `data` is copied: `length`
 * bytes, at most 2^30. `kind` is CONFAB_TEXT or CONFAB_BINARY. Returns CONFAB_OK or CONFAB_BACKLOGGED when the message
 * is queued. The message is written after the callback or job has returned, once all earlier messages have been handed
 * to the kernel. Returns CONFAB_ERROR_CLOSED and does not send the message in two cases. First, the connection is
 * closing or closed. Second, the messages that were sent with this function and not yet handed to the kernel would
 * exceed max_backlog: then the connection is closed with 1013, and its backlog is discarded. If no such earlier
 * messages are pending, a message of any size is accepted. Because messages are only written after the callback has
 * returned, one callback must not send more than max_backlog in total. Loop thread. */
CONFAB_API int confab_send(confab_connection *connection, int kind, const void *data, size_t length);

/* Begins the closing handshake (RFC 6455, section 7.1.2) once all earlier messages have been written. From this call
 * on, messages from the client are ignored. `closed` is called when the client has answered, or after close_timeout_ms.
 * `code` is 1000 to 1003, 1007 to 1014, or 3000 to 4999. `reason` is UTF-8, truncated to 123 bytes at a character
 * boundary; NULL means no reason. Returns CONFAB_ERROR_CLOSED if the connection is closing or closed. Loop thread. */
CONFAB_API int confab_close(confab_connection *connection, int code, const char *reason);

/* Stops reading from the connection until confab_resume(). TCP flow control then slows the client down. Until
 * confab_resume(), the server does not detect that the client has closed the connection, and idle_timeout_ms does not
 * apply. Returns CONFAB_ERROR_CLOSED if the connection is closing or closed. Loop thread. */
CONFAB_API int confab_pause(confab_connection *connection);

/* Undoes confab_pause(): the loop reads from the connection again, beginning with its next turn. Does nothing if the
 * connection is not paused. Returns CONFAB_ERROR_CLOSED if the connection is closing or closed. Loop thread. */
CONFAB_API int confab_resume(confab_connection *connection);

/* Returns the backlog of the connection: bytes accepted for the client, including frame headers, and not yet handed to
 * the kernel. Loop thread. */
CONFAB_API int64_t confab_connection_backlog(const confab_connection *connection);

/* Set and get the program's pointer for this connection. The pointer is initially NULL, or the one given to
 * confab_accept(). Confab does not use the pointer. Both functions may be called until `closed` has returned. Free the
 * pointer's target in `closed`. The getter returns NULL on failure. Loop thread. */
CONFAB_API int confab_connection_set_user_pointer(confab_connection *connection, void *pointer);
CONFAB_API void *confab_connection_user_pointer(const confab_connection *connection);

/* Returns the server of the connection; NULL on failure, and after `closed` has returned. Loop thread. */
CONFAB_API confab_server *confab_connection_server(const confab_connection *connection);

/* Returns a number that is unique in the process and is never reused; 0 on failure. Any thread. */
CONFAB_API uint64_t confab_connection_id(const confab_connection *connection);

/* Returns the number of the connection's loop, for confab_execute(). Any thread. */
CONFAB_API int confab_connection_loop(const confab_connection *connection);

/* Add and remove a reference, which keeps the connection pointer valid after `closed`. Use a reference to pass the
 * pointer to another thread, which can use the connection in a job of confab_execute(). The pointer is valid until
 * every reference is released. A reference does not keep the connection open: after `closed`, calls on the loop's
 * thread return CONFAB_ERROR_CLOSED; calls on other threads return CONFAB_ERROR_THREAD as before. Any thread. */
CONFAB_API int confab_connection_retain(confab_connection *connection);
CONFAB_API int confab_connection_release(confab_connection *connection);

/* ------------------------------------------------------------------------------------------------------------- Rooms */

/* Makes the connection a member of a room: the client gets all messages that are published to the room after this call.
 * A connection may be in several rooms. It gets the messages of each room in order, and those of different rooms in any
 * order. `room` is any UTF-8 text. A room exists while it has members. When a connection is closed, it leaves its rooms.
 * Returns CONFAB_ERROR_ROOMS at the limits max_rooms and max_rooms_per_connection. Not available in the chat. Loop
 * thread. */
CONFAB_API int confab_join(confab_connection *connection, const char *room);

/* Removes the connection from a room, if it is a member. Messages that were published before are still delivered.
 * confab_leave() closes the connection with 1013 if its backlog is larger than max_backlog. Loop thread. */
CONFAB_API int confab_leave(confab_connection *connection, const char *room);

/* Sends a message to all members of a room, on all loops. `data` is copied once: `length` bytes, at most 2^30. `kind`
 * is CONFAB_TEXT or CONFAB_BINARY. All members get the messages of a room in the same order. Each loop writes the
 * message when its current turn ends. Does nothing if the room has no members. Returns CONFAB_ERROR_STATE in the chat,
 * see confab_chat_publish(). Any thread. */
CONFAB_API int confab_publish(confab_server *server, const char *room, int kind, const void *data, size_t length);

/* -------------------------------------------------------------------------------------------------------------- Chat */

/* These functions publish and read in the rooms of a server from confab_chat_create(). For other servers they return
 * CONFAB_ERROR_STATE. The functions also work before the server is started. `room` is the path of the room, such as
 * "/tea": UTF-8 that begins with '/', at most 1024 bytes. The room is opened if necessary. CONFAB_ERROR_ROOMS means
 * that there are max_rooms rooms, and none is empty.
 *
 * An offset is the position of a message in its room, from 1; 0 is the position before all messages. An epoch is the
 * name of one numbering of the room's messages. An offset is valid only together with its epoch. With history_file or
 * nats_urls, the epoch of a room survives a restart.
 *
 * Callbacks run one at a time on the server's thread for chat callbacks, except `each` of confab_chat_members() and
 * confab_chat_restrictions(). The callbacks may call all functions that are for any thread, except confab_destroy(),
 * which returns CONFAB_ERROR_THREAD in these callbacks. If `result` is an error, confab_last_error() describes the
 * error when it is called in the callback. At most 16384 calls for each server may be pending: calls whose callbacks
 * have not returned yet. Additional calls return CONFAB_ERROR_PENDING.
 *
 * confab_destroy() waits for the callbacks of all calls, and ends all subscriptions. While it waits, calls of chat
 * functions in callbacks return CONFAB_ERROR_CLOSED. No callback runs after confab_destroy() has returned. */

/* Kind of an entry of a room's history. */
typedef enum confab_chat_entry {
  CONFAB_CHAT_MESSAGE = 0,
  /* The text of an earlier message was replaced by the text of this entry. */
  CONFAB_CHAT_EDIT = 1,
  /* The content of an earlier message was removed. */
  CONFAB_CHAT_REMOVAL = 2
} confab_chat_entry;

/* A message of a room, or a change of an earlier message. The library sets the size, which may be larger than
 * sizeof(confab_chat_message). Strings are zero-terminated UTF-8. */
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
  /* Identifier that the sender has given the message: the tag of a client, or the key of confab_chat_publish(). NULL
   * for a client of the plain protocol. */
  const char *key;
  /* The text, and its length in bytes; NULL for a binary message (the history does not contain its bytes), for a
   * removal, and for an edit of a message that was changed again afterwards. A text of the plain protocol may contain
   * zero bytes. If a text of the plain protocol needs more than 32 * max_text_length bytes as JSON, the history has
   * only the beginning of the text, and message_size is larger than `length`. */
  const char *text;
  size_t length;
  /* Size of the message in bytes. */
  int64_t message_size;
  /* Kind of the entry, from enum confab_chat_entry. For an edit or a removal, `name` is the name of the member or
   * program that made the change. */
  int entry;
  /* Offset of the changed message; 0 for a message. */
  int64_t changed_offset;
  /* Whether the text of a message was edited. */
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
  /* Position of the newest message of the room, even if that message is no longer stored. */
  const char *end_epoch;
  int64_t end_offset;
} confab_chat_page;

/* Publishes a text to all members of a room. `text` is UTF-8 of `length` bytes, 1 to max_text_length characters;
 * control characters other than newlines and tabs are removed. `name` is the sender's name, 1 to max_name_length
 * characters; a client may have the same name. `key` is an identifier of the message: 1 to 64 ASCII letters, digits, -
 * and _. If the room still stores a message that the program has published with this key, no second message is
 * published, and `done` gets the position of the stored message. NULL means a random key. Messages that one thread
 * publishes keep their order, but the calls of `done` may be in a different order.
 *
 * Returns CONFAB_ERROR_ARGUMENT if an argument is invalid. If the function succeeds, `done(result, epoch, offset,
 * user_data)` is called exactly once, unless `done` is NULL. When the message has its position, `result` is CONFAB_OK,
 * and `epoch` and `offset` are the position of the message. With nats_urls or CONFAB_DURABILITY_FULL, the message is
 * then also stored. On failure `result` is an error, `epoch` is NULL, and `offset` is 0. The errors are
 * CONFAB_ERROR_ROOMS, CONFAB_ERROR_PENDING, CONFAB_ERROR_UNAVAILABLE or CONFAB_ERROR_UNKNOWN. `epoch` is freed when the
 * callback returns. Any thread. */
CONFAB_API int confab_chat_publish(
    confab_server *server, const char *room, const char *name, const char *text, size_t length, const char *key,
    void (*done)(int result, const char *epoch, int64_t offset, void *user_data), void *user_data);

/* Replaces the text of a message for all members, on all servers and in the history. `epoch` and `offset` are the
 * position of the message. `name` is the name of the member or program that edits the message. `text`, `length` and
 * `done` are as for confab_chat_publish(). `done` gets the position of the edit. The errors are those of
 * confab_chat_publish(), CONFAB_ERROR_EPOCH, and CONFAB_ERROR_HISTORY_GONE if the message is not stored, or has been
 * removed. Clients of the plain protocol do not get the edit. Any thread. */
CONFAB_API int confab_chat_edit(
    confab_server *server, const char *room, const char *epoch, int64_t offset, const char *name, const char *text,
    size_t length, void (*done)(int result, const char *epoch, int64_t offset, void *user_data), void *user_data);

/* Removes the content of a message for all members, on all servers and from the history. The arguments and errors are
 * those of confab_chat_edit(). `done` gets the position of the removal. Any thread. */
CONFAB_API int confab_chat_remove(
    confab_server *server, const char *room, const char *epoch, int64_t offset, const char *name,
    void (*done)(int result, const char *epoch, int64_t offset, void *user_data), void *user_data);

/* Reads a page of a room's history. A page has at most `count` messages, and at most 256 KiB, but one message may be
 * larger. `count` is 1 to 100. If `after` is an offset, the page has the oldest messages after that offset. If `before`
 * is an offset, the page has the newest messages before that offset. `epoch` is the epoch of the offset, and the other
 * of the two is -1. If both are -1, the page has the newest messages of the room, and `epoch` is ignored. If neither is
 * -1, the function returns CONFAB_ERROR_ARGUMENT.
 *
 * If the function succeeds, `done(result, page, user_data)` is called exactly once. Either `result` is CONFAB_OK, and
 * `page` is freed when the callback returns; or `result` is an error, and `page` is NULL. The errors are
 * CONFAB_ERROR_ROOMS, CONFAB_ERROR_UNAVAILABLE, CONFAB_ERROR_EPOCH or, with `after`, CONFAB_ERROR_HISTORY_GONE. Any
 * thread. */
CONFAB_API int confab_chat_history(
    confab_server *server, const char *room, const char *epoch, int64_t after, int64_t before, int count,
    void (*done)(int result, const confab_chat_page *page, void *user_data), void *user_data);

/* Kicks, mutes and bans. They apply on all servers of the chat. With history_file or nats_urls, mutes and bans are
 * stored. */

/* The clients that a kick, mute or ban applies to. */
typedef enum confab_chat_target {
  /* The connections of the user with this confab_identity.id. */
  CONFAB_CHAT_TARGET_USER = 0,
  /* The member of the room with this name. If the member is not a guest, the target is its user. If the member is a
   * guest, the target is its session; mutes and bans also apply to all other guests with the member's IPv4 address, or
   * in the member's /64 of IPv6. Guests are clients without an identity, or with is_guest. */
  CONFAB_CHAT_TARGET_MEMBER = 1,
  /* All clients whose address is in a network, such as "192.0.2.0/24", "192.0.2.7" or "2001:db8::/48". The prefix has
   * at least 8 bits of IPv4, or 16 of IPv6. Behind a trusted proxy, a client has the address that the proxy names. */
  CONFAB_CHAT_TARGET_NETWORK = 2
} confab_chat_target;

/* A mute or ban. The library sets the size, which may be larger than sizeof(confab_chat_restriction). Strings are
 * zero-terminated UTF-8. */
typedef struct confab_chat_restriction {
  /* Size of the struct. */
  size_t size;
  /* Identifier, for confab_chat_lift(). */
  const char *id;
  /* 1 for a ban, 0 for a mute. */
  int is_ban;
  /* The user; NULL for a mute or ban of a guest or a network. */
  const char *user;
  /* The guest's session, as 16 hexadecimal digits; NULL for a mute or ban of a user or a network. */
  const char *guest;
  /* The network, also that of a guest; NULL for none. */
  const char *network;
  /* The room; NULL means all rooms. */
  const char *room;
  /* Time at which the mute or ban ends, in milliseconds since 1970, UTC; 0 means never. */
  int64_t until_ms;
  /* The reason; NULL for none. */
  const char *reason;
  /* Name that the client had; NULL if the name is unknown. */
  const char *name;
  /* Name of the member or program that made the mute or ban. */
  const char *by;
  /* Whether a client with CONFAB_RIGHT_MODERATE made the mute or ban. If so, it does not apply to other clients with
   * this right. */
  int is_by_moderator;
} confab_chat_restriction;

/* Closes clients with 4003, on all servers. Their sessions are void for 24 hours: if the clients come back, they are
 * new members. `room` is NULL for all rooms. `target_kind` is a value of enum confab_chat_target. `reason` is NULL, or
 * a text of at most 300 bytes that the clients get. `name` is the name of the member or program that kicks them.
 *
 * Returns CONFAB_ERROR_ARGUMENT if an argument is wrong, and CONFAB_ERROR_NOT_FOUND if the room does not have the
 * member. If the function succeeds, `done(result, user_data)` is called exactly once, unless `done` is NULL.
 * CONFAB_OK means that the kick is stored for the other servers. CONFAB_ERROR_UNAVAILABLE means that the kick is in
 * effect on this server only. CONFAB_ERROR_UNKNOWN means that the kick is in effect on this server, and may have been
 * stored. Any thread. */
CONFAB_API int confab_chat_kick(
    confab_server *server, const char *room, int target_kind, const char *target, const char *reason, const char *name,
    void (*done)(int result, void *user_data), void *user_data);

/* Mutes clients: they can read, but cannot send or edit messages, rename themselves, or send typing events. Messages of
 * clients of the plain protocol are dropped. `until_ms` is the time at which the mute ends, in milliseconds since 1970,
 * UTC; 0 means never. The other arguments and errors are those of confab_chat_kick(), and `done` may also get
 * CONFAB_ERROR_RESTRICTIONS. A later mute of the same target and room replaces this one. Any thread. */
CONFAB_API int confab_chat_mute(
    confab_server *server, const char *room, int target_kind, const char *target, int64_t until_ms, const char *reason,
    const char *name, void (*done)(int result, void *user_data), void *user_data);

/* Bans clients: closes them with 4003, and rejects them afterwards. The arguments and errors are those of
 * confab_chat_mute(). Any thread. */
CONFAB_API int confab_chat_ban(
    confab_server *server, const char *room, int target_kind, const char *target, int64_t until_ms, const char *reason,
    const char *name, void (*done)(int result, void *user_data), void *user_data);

/* Lifts the mute of a target in a room; if `room` is NULL, the mute in all rooms. `done` gets CONFAB_ERROR_NOT_FOUND if
 * the mute does not exist. The other arguments and errors are those of confab_chat_kick(). Any thread. */
CONFAB_API int confab_chat_unmute(
    confab_server *server, const char *room, int target_kind, const char *target,
    void (*done)(int result, void *user_data), void *user_data);

/* Lifts the ban of a target from a room; if `room` is NULL, the ban from all rooms. The arguments and errors are those
 * of confab_chat_unmute(). Any thread. */
CONFAB_API int confab_chat_unban(
    confab_server *server, const char *room, int target_kind, const char *target,
    void (*done)(int result, void *user_data), void *user_data);

/* Lifts the mute or ban with this id. `done` is that of confab_chat_unmute(). Any thread. */
CONFAB_API int confab_chat_lift(
    confab_server *server, const char *id, void (*done)(int result, void *user_data), void *user_data);

/* Returns the number of mutes and bans that are in effect in a room; if `room` is NULL, the number of all mutes and
 * bans. Before it returns, the function calls `each(restriction, user_data)`, unless `each` is NULL, for each mute and
 * ban, on the calling thread, in the order of their ids. The restriction is freed when the callback returns. Any
 * thread. */
CONFAB_API int64_t confab_chat_restrictions(
    confab_server *server, const char *room, void (*each)(const confab_chat_restriction *restriction, void *user_data),
    void *user_data);

/* Returns the number of members of a room, including those of the plain protocol; 0 if the room does not exist. Before
 * it returns, the function calls `each(name, user_data)`, unless NULL, for each member that uses the rich protocol, on
 * the calling thread. `name` is freed when the callback returns. Any thread. */
CONFAB_API int64_t confab_chat_members(
    confab_server *server, const char *room, void (*each)(const char *name, void *user_data), void *user_data);

/* A sequence of a room's messages or of the changes of its members, from confab_chat_subscribe() or
 * confab_chat_watch_members() to confab_chat_unsubscribe(). */
typedef struct confab_chat_subscription confab_chat_subscription;

/* Calls `callback(result, message, user_data)` with CONFAB_OK for each message of a room after a position, and then for
 * each new message, in the order of the offsets. `message` is freed when the callback returns. The next message is read
 * after the callback has returned, so messages do not accumulate in memory if the callback is slow. If `epoch` is NULL,
 * `offset` is ignored, and the sequence begins with the first message that is published after this call. To continue
 * after a page, begin at the position `end_epoch` and `end_offset` of the page. If a program stores the position of
 * each message that it has handled, and begins at the stored position after a restart, the program handles each message
 * at least once.
 *
 * If the sequence cannot be continued, `callback` is called once more, with NULL and an error: CONFAB_ERROR_ROOMS,
 * CONFAB_ERROR_UNAVAILABLE, CONFAB_ERROR_EPOCH, or CONFAB_ERROR_HISTORY_GONE if the callback is so slow that the next
 * message is no longer stored. If the sequence is ended by confab_chat_unsubscribe() or confab_destroy(), `callback` is
 * not called for that.
 *
 * `*subscription` is set before the first callback; on failure it is NULL. The subscription is valid until
 * confab_chat_unsubscribe() or confab_destroy(). Any thread. */
CONFAB_API int confab_chat_subscribe(
    confab_server *server, const char *room, const char *epoch, int64_t offset,
    void (*callback)(int result, const confab_chat_message *message, void *user_data), void *user_data,
    confab_chat_subscription **subscription);

/* Kind of a change of a room's members. */
typedef enum confab_chat_change {
  CONFAB_CHAT_JOINED = 0,
  CONFAB_CHAT_LEFT = 1,
  CONFAB_CHAT_RENAMED = 2
} confab_chat_change;

/* A change of the members of a room. The library sets the size, which may be larger than sizeof(confab_chat_member).
 * Strings are zero-terminated UTF-8. */
typedef struct confab_chat_member {
  /* Size of the struct. */
  size_t size;
  /* A value of enum confab_chat_change. */
  int change;
  /* Identifier of the member in this room, 16 hexadecimal digits. */
  const char *id;
  /* Name of the member. If the member has left, its last name. */
  const char *name;
  /* Name before a rename; otherwise NULL. */
  const char *old_name;
  /* confab_identity.id of the user; NULL for a guest. */
  const char *user;
} confab_chat_member;

/* Calls `callback(result, member, user_data)` with CONFAB_OK and CONFAB_CHAT_JOINED for each member that is in the
 * room, on any server, and then for each change. A program that applies the changes to an empty list always has the
 * members of the room. `member` is freed when the callback returns. The server looks for changes at most every 200 ms
 * and after the callback has returned. Therefore a member that joins and leaves in the meantime is not reported, and
 * changes do not accumulate in memory if the callback is slow. Clients of the plain protocol have no names and are not
 * reported.
 *
 * If the room cannot be opened, `callback` is called once, with NULL and an error: CONFAB_ERROR_ROOMS or
 * CONFAB_ERROR_UNAVAILABLE. `*subscription` is set before the first callback; on failure it is NULL. The room stays open
 * until confab_chat_unsubscribe() or confab_destroy(). Any thread. */
CONFAB_API int confab_chat_watch_members(
    confab_server *server, const char *room,
    void (*callback)(int result, const confab_chat_member *member, void *user_data), void *user_data,
    confab_chat_subscription **subscription);

/* Ends and frees a subscription, also after an error. If the subscription's callback is running on another thread, the
 * function waits until the callback has returned. Afterwards the callback is not called again. Within a callback of the
 * chat, the function returns at once. Within the subscription's own callback, the current call is the last one. Any
 * thread. */
CONFAB_API int confab_chat_unsubscribe(confab_chat_subscription *subscription);

/* ---------------------------------------------------------------------------------------------------------- Requests */

/* These functions read a request during the callback that receives it. Strings are zero-terminated UTF-8, and are freed
 * when the callback returns. A function returns NULL on failure, or if the value does not exist. */

/* Returns the percent-decoded path, which begins with '/' and has no "." or ".." segments and no "//". Bytes that are
 * not UTF-8 stay percent-encoded. Loop thread. */
CONFAB_API const char *confab_request_path(const confab_request *request);

/* Returns the percent-decoded value of the first query parameter named `name`; "" if the parameter has no value. Loop
 * thread. */
CONFAB_API const char *confab_request_query(const confab_request *request, const char *name);

/* Returns the value of the header named `name`. The name is not case-sensitive. If the request has several such
 * headers, their values are joined by commas. Loop thread. */
CONFAB_API const char *confab_request_header(const confab_request *request, const char *name);

/* Returns the negotiated subprotocol, one of confab_config.subprotocols. Loop thread. */
CONFAB_API const char *confab_request_subprotocol(const confab_request *request);

/* Returns the client's numeric address; "" if the client has disconnected. Loop thread. */
CONFAB_API const char *confab_request_remote_host(const confab_request *request);

/* Returns the client's port; 0 if the client has disconnected. Loop thread. */
CONFAB_API int confab_request_remote_port(const confab_request *request);

/* Accepts a client. `user_pointer` becomes the connection's pointer, see confab_connection_user_pointer(). `release`,
 * unless NULL, is called with `user_pointer` exactly once, on any thread, in one of three cases: `closed` has returned
 * and the last reference is released; the client disconnects before `opened`; or this function fails. Returns
 * CONFAB_ERROR_CLOSED if the authorization is no longer pending: handshake_timeout_ms has passed, the server is
 * stopping, or the client has disconnected. In the first two cases, the server has rejected the client with status 503.
 * Afterwards, `authorization` is invalid. Any thread. */
CONFAB_API int confab_accept(
    confab_authorization *authorization, void *user_pointer, void (*release)(void *user_pointer));

/* Adds a header to the response that accepts the client, "Set-Cookie" for example, in place of an earlier header with the
 * same name. Call it before confab_accept(). Returns CONFAB_ERROR_ARGUMENT for headers that the handshake itself needs,
 * and if the added headers of one response would exceed 1024 bytes in total, counting 4 bytes more for each header. Any
 * thread. */
CONFAB_API int confab_add_header(confab_authorization *authorization, const char *name, const char *value);

/* Rejects a client with an HTTP response, for instance with status 401 or 403. `status`, `headers`, `body` and `length`
 * are as for confab_respond(). Returns CONFAB_ERROR_CLOSED if the authorization is no longer pending, see
 * confab_accept(). Afterwards, `authorization` is invalid, except after CONFAB_ERROR_ARGUMENT. Any thread. */
CONFAB_API int confab_reject(
    confab_authorization *authorization, int status, const char *const *headers, const void *body, size_t length);

/* Rights of a client in the rooms of the chat. */
typedef enum confab_right {
  /* The client may enter rooms, and gets their messages. A client without this right cannot connect. */
  CONFAB_RIGHT_READ = 1,
  /* The client may send messages and typing events, and edit and remove its own messages. */
  CONFAB_RIGHT_SAY = 2,
  /* The client gets messages that were sent before it joined. */
  CONFAB_RIGHT_HISTORY = 4,
  /* The client may remove any message, at any time. It may kick, mute and ban other clients of its room. */
  CONFAB_RIGHT_MODERATE = 8
} confab_right;

/* A user and its rights. */
typedef struct confab_identity {
  /* sizeof(confab_identity), set by confab_identity_init(). */
  size_t size;
  /* Stable identifier of the user, 1 to 256 bytes of UTF-8. All connections of one user have the same identifier. Other
   * clients do not see the identifier. Required. */
  const char *id;
  /* Verified name. The client has this name in every room, and cannot change it. While the client is in a room, other
   * users cannot take the name there. If another client without a verified name already has the name, the server
   * renames that other client. A client whose verified name is not a valid name of the chat is rejected. Default: NULL,
   * the client chooses a name. */
  const char *name;
  /* Values of enum confab_right, combined by "|". Default: CONFAB_RIGHT_READ | CONFAB_RIGHT_SAY | CONFAB_RIGHT_HISTORY.
   */
  int rights;
  /* Rooms that the client may enter, ended by NULL: "/tea" stands for the room "/tea", and "/team/" followed by "*"
   * stands for all rooms whose path begins with "/team/". Each entry has at most 1024 bytes. Default: NULL, all rooms.
   * */
  const char *const *rooms;
  /* Time at which the identity expires: milliseconds since 1970, UTC. Default: 0, never. */
  int64_t expires_ms;
  /* Whether the client is a guest, whose `id` is valid for this connection only. A mute or ban of a guest applies to
   * its session and its network instead of its `id`. Default: 0. */
  int is_guest;
} confab_identity;

/* Sets the size and the defaults. `size` is sizeof *identity. Any thread. */
CONFAB_API int confab_identity_init(confab_identity *identity, size_t size);

/* Admits a client of the chat as a user, if the user may enter the room. `identity` is copied. Returns
 * CONFAB_ERROR_CLOSED if the admission is no longer pending: handshake_timeout_ms has passed, the client has
 * disconnected, or the server is stopping. Afterwards, `admission` is invalid, except after CONFAB_ERROR_ARGUMENT and
 * CONFAB_ERROR_SIZE. Any thread. */
CONFAB_API int confab_admit(confab_admission *admission, const confab_identity *identity);

/* Reasons to reject a client of the chat. The comments name the HTTP status that rejects the handshake, and the error
 * event of the rich protocol. Clients of the rich protocol that are rejected in their hello get the error event, and
 * are then closed with 4003. */
typedef enum confab_admission_error {
  /* 401, error tokenRequired: the client has no token, and needs one. */
  CONFAB_ADMISSION_TOKEN_REQUIRED = 1,
  /* 401, error tokenInvalid: the token is malformed, or is not valid. */
  CONFAB_ADMISSION_TOKEN_INVALID = 2,
  /* 401, error tokenExpired: the token has expired. */
  CONFAB_ADMISSION_TOKEN_EXPIRED = 3,
  /* 403, error forbidden: the user is known, but may not enter the room. */
  CONFAB_ADMISSION_FORBIDDEN = 4,
  /* 503, error unavailable: the decision cannot be made now. In this case, clients are closed with 1013 instead of
   * 4003. */
  CONFAB_ADMISSION_UNAVAILABLE = 5
} confab_admission_error;

/* Rejects a client of the chat. `error` is a value of enum confab_admission_error. `message` is a short text for the
 * client, 1 to 120 bytes of UTF-8, which must not help an attacker; NULL means a standard text for `error`. Returns
 * CONFAB_ERROR_CLOSED if the admission is no longer pending, see confab_admit(). Afterwards, `admission` is invalid,
 * except after CONFAB_ERROR_ARGUMENT. Any thread. */
CONFAB_API int confab_reject_admission(confab_admission *admission, int error, const char *message);

/* Answers a request within the callback `http`. `status` is 200 to 599. `headers` is NULL, or an array of alternating
 * names and values, ended by NULL. Each response has Date, Content-Length (except with 204 and 304), Connection and
 * X-Content-Type-Options, which `headers` cannot replace. Content-Type is "text/plain; charset=utf-8" and
 * Cache-Control is "no-store", unless `headers` contains another value. `body` has `length` bytes, at most 2^30,
 * and is copied. The body is not sent for HEAD, nor with 204 and 304. The response stays in memory until the client has
 * read it. A client that reads nothing for 5 s is dropped. Returns CONFAB_ERROR_STATE if the request was not passed to
 * `http`, or has been answered already. Loop thread. */
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
  /* Complete messages received. While the server runs, this member and all members below may be up to 250 ms old. */
  int64_t messages;
  /* Payload bytes of these messages. */
  int64_t received_bytes;
  /* Deliveries. A message that is sent to ten clients adds ten. */
  int64_t deliveries;
  /* Bytes of sent messages, including frame headers, after compression. */
  int64_t sent_bytes;
  /* Delay of the event loops in microseconds: the largest recent delay or, if a loop is stalled, its current delay. A
   * recent delay decays: its value falls by a tenth every 250 ms. */
  int64_t loop_lag_us;
  /* Current delay of the most delayed event loop, in microseconds; 0 if all loops run in time. */
  int64_t loop_stall_us;
  /* Sum of the backlogs of all clients: bytes accepted for them and not yet handed to the kernel. A message that is
   * stored once for several clients is counted for each client. */
  int64_t backlog;
  /* Time from publishing a message until it is handed to the kernel, as a histogram. Each delivery to a client that
   * keeps up is counted. Deliveries to slower clients are not counted here; their messages are part of `backlog`. For
   * all messages of one turn of an event loop, the time begins with the publication of the first one. The upper bounds
   * of the buckets are 100, 250 and 500 us, 1, 2.5, 5, 10, 25, 50, 100 and 250 ms, and 1 s; the last bucket has no
   * upper bound. The buckets are not cumulative. */
  int64_t delivery_latency[13];
  /* Sum of these times, in microseconds. */
  int64_t delivery_latency_sum_us;
} confab_statistics;

/* Fills in the statistics. `size` is sizeof *statistics. Any thread. */
CONFAB_API int confab_server_statistics(const confab_server *server, confab_statistics *statistics, size_t size);

/* Reasons why a server rejects a request, closes or drops a connection, or slows a client down. In this header, all of
 * these are called rejections. */
typedef enum confab_rejection {
  /* 400: the request is malformed. The response and the log contain the reason. */
  CONFAB_REJECTION_BAD_REQUEST = 0,
  /* 403: allowed_origins does not allow the origin. */
  CONFAB_REJECTION_ORIGIN_NOT_ALLOWED = 1,
  /* 403: allowed_hosts does not allow the host. */
  CONFAB_REJECTION_HOST_NOT_ALLOWED = 2,
  /* 308 for a page, 400 for other requests: the server uses TLS, and the request is not encrypted. */
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
  /* No response: the client has disconnected before it has sent a complete request, or the TLS handshake is invalid. */
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
  /* 1013: the client's backlog exceeds max_backlog, or its share of max_total_backlog. */
  CONFAB_REJECTION_TOO_FAR_BEHIND = 21,
  /* Dropped: the connection was idle for idle_timeout_ms. */
  CONFAB_REJECTION_IDLE = 22,
  /* Dropped: the closing handshake took longer than close_timeout_ms. */
  CONFAB_REJECTION_CLOSE_TIMEOUT = 23,
  /* New connections are accepted later, because they exceed max_accept_rate. */
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

/* Returns the number of rejections so far for a reason from enum confab_rejection. Any thread. */
CONFAB_API int64_t confab_server_rejections(const confab_server *server, int reason);

/* Returns the name of a reason, as the log shows it; NULL if the reason does not exist. The string is a constant. The
 * numbers of the reasons begin with 0 and have no gaps. Any thread. */
CONFAB_API const char *confab_rejection_name(int reason);

#ifdef __cplusplus
}
#endif

#endif
