/* A child of fork(): calls fail because the server belongs to the parent, and nothing waits for missing threads. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKED(call) FAILS(call, CONFAB_ERROR_FORKED, "child of fork()")

static confab_server *server;
static const confab_request *asked;

static void nothing(confab_server *unused, void *argument) { (void)unused, (void)argument; }

/* Calls that fail in a child. */
static void try_server(void) {
  confab_statistics statistics;
  FORKED(confab_start(server));
  FORKED(confab_run(server));
  FORKED(confab_stop(server, 0));
  FORKED(confab_wait(server));
  FORKED(confab_when_stopped(server, nothing, NULL));
  FORKED(confab_execute(server, 0, nothing, NULL));
  FORKED(confab_publish(server, "/", CONFAB_TEXT, "", 0));
  FORKED(confab_chat_edit(server, "/", "e", 1, "Bot", "a", 1, NULL, NULL));
  FORKED(confab_chat_remove(server, "/", "e", 1, "Bot", NULL, NULL));
  FORKED(confab_chat_publish(server, "/", "Bot", "a", 1, NULL, NULL, NULL));
  FORKED(confab_chat_members(server, "/", NULL, NULL));
  FORKED(confab_server_close_connections(server, 1000, NULL, NULL, NULL, NULL));
  FORKED(confab_reload_certificate(server));
  FORKED(confab_server_port(server));
  FORKED(confab_server_loops(server));
  FORKED(confab_server_statistics(server, &statistics, sizeof statistics));
  FORKED(confab_server_rejections(server, 0));
  FAILS(confab_server_url(server), NULL, "child of fork()");
  FORKED(confab_destroy(server));
  CHECK(strcmp(confab_strerror(CONFAB_ERROR_FORKED), "called in a child of fork()") == 0);
}

/* Runs `body` in a child. Checks its exit code, and that it takes less than 20 s. */
static void in_child(void (*body)(void *), void *argument) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(20);
    body(argument);
    _Exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void child_of_main(void *argument) {
  (void)argument;
  try_server();
}

/* Runs on a loop's thread, which the child has a copy of. */
static void child_of_loop(void *argument) {
  confab_connection *connection = (confab_connection *)argument;
  try_server();
  FORKED(confab_send(connection, CONFAB_TEXT, "from the child", 14));
  FORKED(confab_close(connection, 1000, NULL));
  FORKED(confab_join(connection, "/"));
  FORKED(confab_leave(connection, "/"));
  FORKED(confab_pause(connection));
  FORKED(confab_resume(connection));
  FORKED(confab_connection_backlog(connection));
  FORKED(confab_connection_retain(connection));
  FORKED(confab_connection_release(connection));
  FORKED(confab_connection_loop(connection));
  FAILS(confab_request_path(asked), NULL, "child of fork()");
}

static void child_that_decides(void *argument) {
  FORKED(confab_reject((confab_authorization *)argument, 403, NULL, NULL, 0));
  FORKED(confab_accept((confab_authorization *)argument, NULL, NULL));
}

static void authorize(confab_authorization *authorization, const confab_request *request, void *user_data) {
  (void)request, (void)user_data;
  in_child(child_that_decides, authorization);
  CHECK(confab_accept(authorization, NULL, NULL) == CONFAB_OK);
}

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  (void)user_data;
  asked = request;
  in_child(child_of_loop, connection);
  CHECK(confab_send(connection, CONFAB_TEXT, "from the parent", 15) == CONFAB_OK);
}

int main(void) {
  confab_config config;
  confab_callbacks callbacks;
  confab_config_init(&config, sizeof config);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  config.port = 0;
  config.loops = 2;
  callbacks.authorize = authorize;
  callbacks.opened = opened;
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  in_child(child_of_main, NULL);
  CHECK(confab_start(server) == CONFAB_OK);
  in_child(child_of_main, NULL);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  while (getchar() != EOF) {}
  CHECK(confab_destroy(server) == CONFAB_OK);
  return 0;
}
