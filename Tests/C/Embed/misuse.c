/* Every kind of misuse returns an error and has no other effect. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>
#include <unistd.h>

static confab_server *server;
static confab_connection *kept;
static int closures;

static const confab_request *arrived;

static void *elsewhere(void *argument) {
  confab_connection *connection = (confab_connection *)argument;
  int loop = confab_connection_loop(connection);
  CHECK(loop == 0 && confab_connection_id(connection) > 0);
  FAILS(confab_send(connection, CONFAB_TEXT, "", 0), CONFAB_ERROR_THREAD, "the thread of loop 0");
  FAILS(confab_close(connection, 1000, NULL), CONFAB_ERROR_THREAD, "confab_execute()");
  FAILS(confab_join(connection, "/"), CONFAB_ERROR_THREAD, "");
  FAILS(confab_leave(connection, "/"), CONFAB_ERROR_THREAD, "");
  FAILS(confab_pause(connection), CONFAB_ERROR_THREAD, "");
  FAILS(confab_resume(connection), CONFAB_ERROR_THREAD, "");
  FAILS(confab_connection_backlog(connection), CONFAB_ERROR_THREAD, "");
  FAILS(confab_connection_set_user_pointer(connection, NULL), CONFAB_ERROR_THREAD, "");
  FAILS(confab_connection_user_pointer(connection), NULL, "thread");
  FAILS(confab_connection_server(connection), NULL, "thread");
  FAILS(confab_request_path(arrived), NULL, "the thread of its callback");
  FAILS(confab_request_remote_port(arrived), CONFAB_ERROR_THREAD, "");
  return NULL;
}

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  pthread_t thread;
  (void)user_data;
  FAILS(confab_request_header(request, NULL), NULL, "name is NULL");
  FAILS(confab_request_query(request, "\xFF"), NULL, "not UTF-8");
  CHECK(confab_request_header(request, "no such header") == NULL && confab_request_query(request, "none") == NULL);
  CHECK(confab_request_subprotocol(request) == NULL);
  CHECK(strcmp(confab_request_header(request, "HOST"), confab_request_header(request, "host")) == 0);
  CHECK(strcmp(confab_request_path(request), "/a b") == 0);
  CHECK(strcmp(confab_request_query(request, "name"), "Zo\xC3\xAB") == 0);
  CHECK(strcmp(confab_request_query(request, "flag"), "") == 0);
  CHECK(strcmp(confab_request_remote_host(request), "127.0.0.1") == 0 && confab_request_remote_port(request) > 0);
  CHECK(confab_connection_user_pointer(connection) == NULL);
  arrived = request;
  pthread_create(&thread, NULL, elsewhere, connection);
  pthread_join(thread, NULL);
}

static void message(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  (void)user_data;
  CHECK(data != NULL && kind == CONFAB_BINARY && length == 0);
  FAILS(confab_send(connection, 0, "", 0), CONFAB_ERROR_ARGUMENT, "kind");
  FAILS(confab_send(connection, 258, "", 0), CONFAB_ERROR_ARGUMENT, "kind");
  FAILS(confab_send(connection, CONFAB_TEXT, NULL, 1), CONFAB_ERROR_ARGUMENT, "data is NULL");
  FAILS(confab_send(connection, CONFAB_TEXT, "", (size_t)-1), CONFAB_ERROR_ARGUMENT, "length");
  FAILS(confab_send(connection, CONFAB_TEXT, "", ((size_t)1 << 30) + 1), CONFAB_ERROR_ARGUMENT, "length");
  FAILS(confab_close(connection, 1005, NULL), CONFAB_ERROR_ARGUMENT, "1005");
  FAILS(confab_close(connection, 999, NULL), CONFAB_ERROR_ARGUMENT, "999");
  FAILS(confab_close(connection, 70000, NULL), CONFAB_ERROR_ARGUMENT, "70000");
  FAILS(confab_close(connection, -1, NULL), CONFAB_ERROR_ARGUMENT, "-1");
  FAILS(confab_close(connection, 1000, "\xC3"), CONFAB_ERROR_ARGUMENT, "reason is not UTF-8");
  FAILS(confab_join(connection, NULL), CONFAB_ERROR_ARGUMENT, "room is NULL");
  FAILS(confab_leave(connection, NULL), CONFAB_ERROR_ARGUMENT, "room is NULL");
  FAILS(confab_publish(server, "/", 3, "", 0), CONFAB_ERROR_ARGUMENT, "kind");
  FAILS(confab_destroy(server), CONFAB_ERROR_THREAD, "confab_when_stopped()");
  FAILS(confab_wait(server), CONFAB_ERROR_THREAD, "its own end");
  FAILS(confab_run(server), CONFAB_ERROR_STATE, "started before");
  FAILS(confab_start(server), CONFAB_ERROR_STATE, "started before");
  CHECK(confab_join(connection, "a room") == CONFAB_OK && confab_join(connection, "a room") == CONFAB_OK);
  CHECK(confab_join(connection, "another") == CONFAB_OK);
  FAILS(confab_join(connection, "one too many"), CONFAB_ERROR_ROOMS, "max_rooms_per_connection");
  CHECK(confab_leave(connection, "one too many") == CONFAB_OK && confab_leave(connection, "a room") == CONFAB_OK);
  CHECK(confab_join(connection, "one too many") == CONFAB_OK);
  CHECK(confab_send(connection, CONFAB_TEXT, NULL, 0) == CONFAB_OK);
  CHECK(confab_connection_retain(connection) == CONFAB_OK);
  kept = connection;
  CHECK(confab_close(connection, 4000, "enough") == CONFAB_OK);
  FAILS(confab_close(connection, 4000, NULL), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_send(connection, CONFAB_TEXT, "", 0), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_join(connection, "a room"), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_leave(connection, "a room"), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_pause(connection), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_resume(connection), CONFAB_ERROR_CLOSED, "closed");
}

static void after(confab_server *running, void *argument) {
  confab_connection *connection = (confab_connection *)argument;
  CHECK(running == server);
  FAILS(confab_send(connection, CONFAB_TEXT, "", 0), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_connection_server(connection), NULL, "closed");
  CHECK(confab_connection_id(connection) > 0 && confab_connection_backlog(connection) == 0);
  CHECK(confab_connection_release(connection) == CONFAB_OK);
  CHECK(confab_stop(server, 0) == CONFAB_OK && confab_stop(server, -1) == CONFAB_OK);
}

static void closed(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data) {
  (void)user_data, (void)is_clean;
  CHECK(connection == kept && code == 4000 && strcmp(reason, "enough") == 0);
  FAILS(confab_send(connection, CONFAB_TEXT, "", 0), CONFAB_ERROR_CLOSED, "closed");
  FAILS(confab_close(connection, 1000, ""), CONFAB_ERROR_CLOSED, "closed");
  CHECK(confab_connection_server(connection) == server);
  CHECK(confab_execute(server, 0, after, connection) == CONFAB_OK);
  closures++;
}

static void nothing(confab_server *unused, void *argument) { (void)unused, (void)argument; }

static void null_pointers(void) {
  confab_config config;
  confab_callbacks callbacks;
  confab_server *made = (confab_server *)&config;
  confab_statistics statistics;
  FAILS(confab_config_init(NULL, sizeof config), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_mount_init(NULL, sizeof(confab_mount)), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_callbacks_init(NULL, sizeof callbacks), CONFAB_ERROR_ARGUMENT, "NULL");
  CHECK(confab_config_init(&config, sizeof config) == CONFAB_OK);
  CHECK(confab_callbacks_init(&callbacks, sizeof callbacks) == CONFAB_OK);
  FAILS(confab_create(NULL, &callbacks, NULL, &made), CONFAB_ERROR_ARGUMENT, "NULL");
  CHECK(made == NULL);
  FAILS(confab_create(&config, NULL, NULL, &made), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_create(&config, &callbacks, NULL, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_chat_create(NULL, NULL, NULL, &made), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_chat_create(&config, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
  config.host = "unix:";
  FAILS(confab_create(&config, &callbacks, NULL, &made), CONFAB_ERROR_HOST, "1 to 107 bytes");
  config.host = "unix:misuse.sock";
  CHECK(confab_create(&config, &callbacks, NULL, &made) == CONFAB_OK && confab_server_port(made) == 0);
  CHECK(strcmp(confab_server_url(made), "unix:misuse.sock") == 0 && access("misuse.sock", F_OK) == 0);
  CHECK(confab_destroy(made) == CONFAB_OK && access("misuse.sock", F_OK) != 0);
  config.host = NULL;
  FAILS(confab_start(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_run(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_stop(NULL, 0), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_wait(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_when_stopped(NULL, nothing, NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_destroy(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_execute(NULL, 0, nothing, NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_publish(NULL, "", CONFAB_TEXT, "", 0), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_chat_edit(NULL, "/", "e", 1, "Bot", "a", 1, NULL, NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_chat_remove(NULL, "/", "e", 1, "Bot", NULL, NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_chat_publish(NULL, "/", "Bot", "a", 1, NULL, NULL, NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_chat_members(NULL, "/", NULL, NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_reload_certificate(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_server_port(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_server_loops(NULL), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_server_url(NULL), NULL, "the server is NULL");
  FAILS(confab_server_statistics(NULL, &statistics, sizeof statistics), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_server_rejections(NULL, 0), CONFAB_ERROR_ARGUMENT, "the server is NULL");
  FAILS(confab_send(NULL, CONFAB_TEXT, "", 0), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_close(NULL, 1000, ""), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_join(NULL, ""), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_pause(NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_resume(NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_leave(NULL, ""), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_connection_backlog(NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_connection_loop(NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_connection_id(NULL), 0, "the connection is NULL");
  FAILS(confab_connection_server(NULL), NULL, "the connection is NULL");
  FAILS(confab_connection_user_pointer(NULL), NULL, "the connection is NULL");
  FAILS(confab_connection_set_user_pointer(NULL, NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_connection_retain(NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_connection_release(NULL), CONFAB_ERROR_ARGUMENT, "the connection is NULL");
  FAILS(confab_request_path(NULL), NULL, "the request is NULL");
  FAILS(confab_request_query(NULL, ""), NULL, "the request is NULL");
  FAILS(confab_request_header(NULL, ""), NULL, "the request is NULL");
  FAILS(confab_request_subprotocol(NULL), NULL, "the request is NULL");
  FAILS(confab_request_remote_host(NULL), NULL, "the request is NULL");
  FAILS(confab_request_remote_port(NULL), CONFAB_ERROR_ARGUMENT, "the request is NULL");
  FAILS(confab_rejection_name(-1), NULL, "reason");
}

static void sizes(void) {
  confab_config config;
  confab_callbacks callbacks;
  confab_mount mount;
  confab_server *made;
  size_t wrong[4] = {0, 3, sizeof config - 1, sizeof config + 8};
  int index;
  confab_callbacks_init(&callbacks, sizeof callbacks);
  for (index = 0; index < 4; index++) {
    FAILS(confab_config_init(&config, wrong[index]), CONFAB_ERROR_SIZE, "confab_config");
    confab_config_init(&config, sizeof config);
    config.size = wrong[index];
    FAILS(confab_create(&config, &callbacks, NULL, &made), CONFAB_ERROR_SIZE, "confab_config");
    FAILS(confab_chat_create(&config, NULL, NULL, &made), CONFAB_ERROR_SIZE, "confab_config");
    CHECK(made == NULL);
  }
  FAILS(confab_config_init(&config, sizeof config - 1), CONFAB_ERROR_SIZE, "");
  CHECK(config.size == 0);
  confab_config_init(&config, sizeof config);
  callbacks.size = 1000;
  FAILS(confab_create(&config, &callbacks, NULL, &made), CONFAB_ERROR_SIZE, "confab_callbacks");
  confab_mount_init(&mount, sizeof mount);
  mount.size = 0;
  config.mounts = &mount;
  config.mount_count = 1;
  FAILS(confab_chat_create(&config, NULL, NULL, &made), CONFAB_ERROR_SIZE, "confab_mount");
}

/* Checks that a setting with an invalid value is an error. */
#define BAD(member, bad, code, part) \
  do { \
    confab_config_init(&config, sizeof config); \
    config.port = 0; \
    config.member = bad; \
    FAILS(confab_chat_create(&config, NULL, NULL, &made), code, part); \
    CHECK(made == NULL); \
  } while (0)

static void configurations(void) {
  const char *const spaced[] = {"fine", "not a token", NULL};
  const char *const origins[] = {"example.org", NULL};
  confab_config config;
  confab_mount mount;
  confab_server *made;
  confab_mount_init(&mount, sizeof mount);
  BAD(port, 65536, CONFAB_ERROR_CONFIGURATION, "port must be 0 to 65535, not 65536");
  BAD(loops, 0, CONFAB_ERROR_CONFIGURATION, "loops");
  BAD(drain_time_ms, -1, CONFAB_ERROR_CONFIGURATION, "drain_time_ms must be");
  BAD(max_text_length, 0, CONFAB_ERROR_CONFIGURATION, "max_text_length must be");
  BAD(max_history_age_ms, -1, CONFAB_ERROR_CONFIGURATION, "max_history_age_ms must be");
  BAD(loops, -1, CONFAB_ERROR_CONFIGURATION, "loops");
  BAD(host, "\xFF", CONFAB_ERROR_ARGUMENT, "host is not UTF-8");
  BAD(host, "no.such.host.invalid", CONFAB_ERROR_HOST, "no.such.host.invalid");
  BAD(host, "192.0.2.1", CONFAB_ERROR_LISTEN, "192.0.2.1");
  BAD(tls_certificate_file, "/no/such/file", CONFAB_ERROR_ARGUMENT, "tls_key_file is NULL");
  BAD(mount_count, 1, CONFAB_ERROR_ARGUMENT, "mounts is NULL");
  BAD(subprotocols, spaced, CONFAB_ERROR_CONFIGURATION, "not a token");
  BAD(allowed_origins, origins, CONFAB_ERROR_CONFIGURATION, "allowed_origins: 'example.org'");
  BAD(max_message_size, 0, CONFAB_ERROR_CONFIGURATION, "max_message_size must be 1 to");
  BAD(max_message_size, INT64_MIN, CONFAB_ERROR_CONFIGURATION, "max_message_size");
  BAD(max_unfinished_bytes, INT64_MAX, CONFAB_ERROR_CONFIGURATION, "max_unfinished_bytes");
  BAD(idle_timeout_ms, INT64_MAX, CONFAB_ERROR_CONFIGURATION, "idle_timeout_ms");
  BAD(idle_timeout_ms, INT64_MIN, CONFAB_ERROR_CONFIGURATION, "idle_timeout_ms");
  BAD(idle_timeout_ms, 1000, CONFAB_ERROR_CONFIGURATION, "ping_interval_ms must be less than idle_timeout_ms");
  BAD(max_rooms, -1, CONFAB_ERROR_CONFIGURATION, "max_rooms");
  BAD(history_file, "/no/such/folder/chat.db", CONFAB_ERROR_HISTORY, "/no/such/folder/chat.db");
  BAD(history_file, "\xFF", CONFAB_ERROR_ARGUMENT, "history_file is not UTF-8");
  BAD(durability, 2, CONFAB_ERROR_CONFIGURATION, "durability must be 0 or 1, not 2");
  BAD(max_history_file_size, 1000, CONFAB_ERROR_CONFIGURATION, "max_history_file_size must be 1048576 to");
  BAD(max_change_age_ms, -1, CONFAB_ERROR_CONFIGURATION, "max_change_age_ms must be");
  BAD(max_pending_bytes, -1, CONFAB_ERROR_CONFIGURATION, "max_pending_bytes must be");
  BAD(log_level, 8, CONFAB_ERROR_CONFIGURATION, "log_level");
  BAD(mounts, &mount; config.mount_count = (size_t)-1, CONFAB_ERROR_ARGUMENT, "mount_count");
  BAD(mounts, &mount; config.mount_count = 1, CONFAB_ERROR_ARGUMENT, "directory of a mount is NULL");
  mount.directory = "/no/such/folder";
  BAD(mounts, &mount; config.mount_count = 1, CONFAB_ERROR_CONFIGURATION, "there is no folder '/no/such/folder'");
  BAD(tls_certificate_file, "/no/such/file"; config.tls_key_file = "/no", CONFAB_ERROR_CERTIFICATE, "/no/such/file");
}

static void states(void) {
  confab_config config;
  confab_server *made, *second;
  int code;
  confab_config_init(&config, sizeof config);
  config.port = 0;
  CHECK(confab_chat_create(&config, NULL, NULL, &made) == CONFAB_OK);
  CHECK(confab_server_port(made) > 0 && confab_server_loops(made) > 0);
  config.port = confab_server_port(made);
  FAILS(confab_chat_create(&config, NULL, NULL, &second), CONFAB_ERROR_ADDRESS_IN_USE, "another program listens");
  FAILS(confab_wait(made), CONFAB_ERROR_STATE, "not been started");
  FAILS(confab_when_stopped(made, nothing, NULL), CONFAB_ERROR_STATE, "not been started");
  FAILS(confab_when_stopped(made, NULL, NULL), CONFAB_ERROR_ARGUMENT, "job");
  FAILS(confab_execute(made, 64, nothing, NULL), CONFAB_ERROR_ARGUMENT, "loop");
  FAILS(confab_execute(made, 0, NULL, NULL), CONFAB_ERROR_ARGUMENT, "job");
  FAILS(confab_publish(made, "/", CONFAB_TEXT, "", 0), CONFAB_ERROR_STATE, "chat");
  FAILS(confab_stop(made, -2), CONFAB_ERROR_ARGUMENT, "deadline_ms");
  CHECK(confab_reload_certificate(made) == CONFAB_OK);
  CHECK(confab_destroy(made) == CONFAB_OK);
  config.port = 0;
  CHECK(confab_chat_create(&config, NULL, NULL, &made) == CONFAB_OK);
  CHECK(confab_stop(made, 0) == CONFAB_OK && confab_start(made) == CONFAB_OK);
  FAILS(confab_start(made), CONFAB_ERROR_STATE, "started before");
  CHECK(confab_stop(made, 0) == CONFAB_OK && confab_wait(made) == CONFAB_OK && confab_wait(made) == CONFAB_OK);
  CHECK(confab_when_stopped(made, nothing, NULL) == CONFAB_OK && confab_stop(made, -1) == CONFAB_OK);
  FAILS(confab_execute(made, 0, nothing, NULL), CONFAB_ERROR_CLOSED, "has ended");
  CHECK(confab_destroy(made) == CONFAB_OK);
  for (code = -100; code < 100; code++) CHECK(confab_strerror(code)[0] != 0);
}

int main(void) {
  confab_config config;
  confab_callbacks callbacks;
  CHECK(strcmp(confab_version(), CONFAB_VERSION) == 0 && strcmp(confab_last_error(), "") == 0);
  null_pointers();
  sizes();
  configurations();
  states();

  confab_config_init(&config, sizeof config);
  config.port = 0;
  config.loops = 1;
  config.max_rooms_per_connection = 2;
  confab_callbacks_init(&callbacks, sizeof callbacks);
  callbacks.opened = opened;
  callbacks.message = message;
  callbacks.closed = closed;
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  CHECK(confab_run(server) == CONFAB_OK && closures == 1);
  CHECK(confab_destroy(server) == CONFAB_OK);
  puts("all is told");
  return 0;
}
