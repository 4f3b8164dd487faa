/* Rooms by path on two loops, with a counter for each connection. A thread of the program publishes too. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <time.h>

typedef struct person {
  char room[64];
  int said;
} person;

static confab_server *server;
static volatile sig_atomic_t isDone;

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  person *one = (person *)calloc(1, sizeof *one);
  int rc;
  CHECK(user_data == &server && confab_connection_server(connection) == server);
  snprintf(one->room, sizeof one->room, "%s", confab_request_path(request));
  confab_connection_set_user_pointer(connection, one);
  rc = confab_join(connection, one->room);
  CHECK(rc == CONFAB_OK || rc == CONFAB_ERROR_ROOMS);
  if (rc != CONFAB_OK) confab_close(connection, 4000, confab_strerror(rc));
}

static void go_on(confab_server *running, void *argument) {
  (void)running;
  CHECK(confab_resume((confab_connection *)argument) == CONFAB_OK);
  CHECK(confab_connection_release((confab_connection *)argument) == CONFAB_OK);
}

/* Resumes reading from another thread. */
static void *wait_and_go_on(void *argument) {
  struct timespec pause = {0, 200 * 1000 * 1000};
  confab_connection *connection = (confab_connection *)argument;
  nanosleep(&pause, NULL);
  CHECK(confab_execute(server, confab_connection_loop(connection), go_on, connection) == CONFAB_OK);
  return NULL;
}

static void message(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  person *one = (person *)confab_connection_user_pointer(connection);
  (void)user_data;
  one->said++;
  if (length == 5 && memcmp(data, "leave", 5) == 0) {
    CHECK(confab_leave(connection, one->room) == CONFAB_OK);
    CHECK(confab_leave(connection, one->room) == CONFAB_OK);
    CHECK(confab_send(connection, CONFAB_TEXT, "left", 4) == CONFAB_OK);
  } else if (length == 4 && memcmp(data, "join", 4) == 0) {
    CHECK(confab_join(connection, "/news") == CONFAB_OK);
  } else if (length == 5 && memcmp(data, "pause", 5) == 0) {
    pthread_t thread;
    CHECK(confab_pause(connection) == CONFAB_OK && confab_connection_retain(connection) == CONFAB_OK);
    CHECK(pthread_create(&thread, NULL, wait_and_go_on, connection) == 0 && pthread_detach(thread) == 0);
  } else if (length == 5 && memcmp(data, "flood", 5) == 0) {
    char *much = (char *)calloc(1, 60000);
    int rc;
    while ((rc = confab_send(connection, CONFAB_BINARY, much, 60000)) == CONFAB_OK) {}
    free(much);
    CHECK(rc == CONFAB_BACKLOGGED && confab_connection_backlog(connection) > 65536);
  } else {
    CHECK(confab_publish(server, one->room, kind, data, length) == CONFAB_OK);
  }
}

static void drained(confab_connection *connection, void *user_data) {
  (void)user_data;
  CHECK(confab_connection_backlog(connection) == 0);
  confab_send(connection, CONFAB_TEXT, "drained", 7);
}

static void closed(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data) {
  person *one = (person *)confab_connection_user_pointer(connection);
  (void)user_data;
  printf("closed %d '%s' %s after %d\n", code, reason, is_clean ? "cleanly" : "abruptly", one->said);
  fflush(stdout);
  free(one);
}

static void stop(confab_server *stopped, void *argument) {
  (void)argument;
  CHECK(stopped == server);
  confab_stop(server, 1000);
}

static void *tell(void *argument) {
  struct timespec pause = {0, 20 * 1000 * 1000};
  (void)argument;
  while (!isDone) {
    CHECK(confab_publish(server, "/news", CONFAB_TEXT, "news", 4) == CONFAB_OK);
    nanosleep(&pause, NULL);
  }
  return NULL;
}

int main(void) {
  confab_config config;
  confab_callbacks callbacks;
  confab_statistics statistics;
  pthread_t thread;

  confab_config_init(&config, sizeof config);
  config.port = 0;
  config.loops = 2;
  config.max_rooms = 3;
  confab_callbacks_init(&callbacks, sizeof callbacks);
  callbacks.opened = opened;
  callbacks.message = message;
  callbacks.drained = drained;
  callbacks.closed = closed;
  CHECK(confab_create(&config, &callbacks, &server, &server) == CONFAB_OK);
  CHECK(confab_server_loops(server) == 2);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  pthread_create(&thread, NULL, tell, NULL);
  CHECK(confab_start(server) == CONFAB_OK);
  while (getchar() != EOF) {}
  CHECK(confab_execute(server, 1, stop, NULL) == CONFAB_OK);
  CHECK(confab_wait(server) == CONFAB_OK);
  isDone = 1;
  pthread_join(thread, NULL);
  CHECK(confab_server_statistics(server, &statistics, sizeof statistics) == CONFAB_OK);
  printf("%d accepted, %d now\n", (int)statistics.accepted, (int)statistics.connections);
  CHECK(confab_destroy(server) == CONFAB_OK);
  return 0;
}
