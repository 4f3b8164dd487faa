/* Runs a server in the program's own loop around poll(), on a listening socket of the program, beside a timer of the
 * program that publishes messages. `steps PORT` */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static confab_server *server;
static int connections, steps_within;
static confab_connection *newest;
static pthread_t loop_thread;

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  (void)request;
  (void)user_data;
  CHECK(pthread_equal(pthread_self(), loop_thread));
  CHECK(confab_join(connection, "room") == CONFAB_OK);
  connections++;
  newest = connection;
}

static void message(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  (void)user_data;
  /* A step within a callback has no effect. */
  CHECK(confab_poll_step(server) == 1 && confab_poll_timeout(server) == 0);
  steps_within++;
  if (length == 4 && memcmp(data, "stop", 4) == 0) CHECK(confab_stop(server, 1000) == CONFAB_OK);
  else CHECK(confab_send(connection, kind, data, length) == CONFAB_OK);
}

static void closed(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data) {
  (void)connection;
  (void)code;
  (void)reason;
  (void)is_clean;
  (void)user_data;
  connections--;
}

static void job(confab_server *of, void *argument) {
  CHECK(of == server && pthread_equal(pthread_self(), loop_thread));
  ++*(int *)argument;
}

static void *execute(void *argument) {
  FAILS(confab_poll_step(server), CONFAB_ERROR_THREAD, "confab_start()");
  FAILS(confab_poll_timeout(server), CONFAB_ERROR_THREAD, "confab_start()");
  CHECK(confab_poll_fd(server) >= 0 && confab_execute(server, 0, job, argument) == CONFAB_OK);
  return NULL;
}

static int listen_on_loopback(void) {
  struct sockaddr_in address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
  return fd;
}

static long long milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

int main(void) {
  confab_config config;
  confab_callbacks callbacks;
  pthread_t other;
  int sockets[2], jobs = 0, ticks = 0, fd;
  long long next;
  loop_thread = pthread_self();
  CHECK(confab_config_init(&config, sizeof config) == CONFAB_OK);
  CHECK(confab_callbacks_init(&callbacks, sizeof callbacks) == CONFAB_OK);
  callbacks.opened = opened;
  callbacks.message = message;
  callbacks.closed = closed;
  config.is_polled = 1;
  config.loops = 4;
  sockets[0] = listen_on_loopback();
  sockets[1] = STDIN_FILENO;
  config.listening_sockets = sockets;
  config.listening_socket_count = 2;
  /* The program keeps its sockets if the server cannot be created. */
  FAILS(confab_create(&config, &callbacks, NULL, &server), CONFAB_ERROR_LISTEN, "is not a listening TCP or Unix socket");
  config.listening_socket_count = 65;
  FAILS(confab_create(&config, &callbacks, NULL, &server), CONFAB_ERROR_ARGUMENT, "0 to 64");
  config.listening_socket_count = 1;
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  FAILS(confab_poll_fd(server), CONFAB_ERROR_STATE, "not been started");
  FAILS(confab_run(server), CONFAB_ERROR_STATE, "is_polled");
  CHECK(confab_server_loops(server) == 1 && confab_server_port(server) > 0);
  CHECK(confab_start(server) == CONFAB_OK);
  fd = confab_poll_fd(server);
  CHECK(fd >= 0);
  CHECK(pthread_create(&other, NULL, execute, &jobs) == 0);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  next = milliseconds();
  do {
    struct pollfd ready = {0, POLLIN, 0};
    long long now = milliseconds();
    int timeout, wait;
    if (now >= next) {
      if (connections > 0) {
        CHECK(confab_publish(server, "room", CONFAB_TEXT, "tick", 4) == CONFAB_OK);
        ticks++;
      }
      next = now + 20;
    }
    wait = (int)(next - now);
    timeout = confab_poll_timeout(server);
    /* The message does not wait for something else that happens to the server. */
    if (connections > 0 && timeout != 0) CHECK(confab_connection_backlog(newest) == 0);
    CHECK(timeout >= -1 && timeout < 1000);
    if (timeout >= 0 && timeout < wait) wait = timeout;
    ready.fd = fd;
    CHECK(poll(&ready, 1, wait) >= 0);
  } while (confab_poll_step(server) == 1);
  CHECK(pthread_join(other, NULL) == 0);
  CHECK(jobs == 1 && connections == 0 && steps_within > 0 && ticks > 0);
  CHECK(confab_poll_step(server) == 0 && confab_poll_fd(server) == -1 && confab_poll_timeout(server) == -1);
  CHECK(confab_destroy(server) == CONFAB_OK);
  puts("stopped");
  return 0;
}
