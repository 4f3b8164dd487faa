/* A chat that prints its connections and the changes of the members of "/tea". It ends when its input ends. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

static int context = 1, connections;

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  CHECK(user_data == &context && confab_request_path(request)[0] == '/');
  CHECK(confab_connection_user_pointer(connection) == NULL);
  CHECK(confab_connection_set_user_pointer(connection, &connections) == CONFAB_OK);
  printf("opened %d\n", ++connections);
  fflush(stdout);
  if (strcmp(confab_request_path(request), "/closed") == 0) CHECK(confab_close(connection, 4000, "not here") == CONFAB_OK);
}

static void closed(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data) {
  CHECK(user_data == &context && reason != NULL && (is_clean == 0 || is_clean == 1));
  CHECK(confab_connection_user_pointer(connection) == &connections);
  printf("closed %d\n", code);
  fflush(stdout);
}

static void http(const confab_request *request, void *user_data) {
  CHECK(user_data == &context);
  if (strcmp(confab_request_path(request), "/hello") == 0)
    CHECK(confab_respond(request, 200, NULL, "from the program\n", 17) == CONFAB_OK);
}

static void changed(int result, const confab_chat_member *member, void *user_data) {
  static const char *const changes[] = {"joined", "left", "renamed"};
  CHECK(result == CONFAB_OK && user_data == &context && member->size == sizeof *member);
  CHECK(member->change >= 0 && member->change <= 2 && strlen(member->id) == 16);
  CHECK((member->old_name != NULL) == (member->change == CONFAB_CHAT_RENAMED) && member->user == NULL);
  printf("%s %s%s%s\n", changes[member->change], member->name, member->old_name ? " from " : "",
         member->old_name ? member->old_name : "");
  fflush(stdout);
}

static void decide(confab_authorization *authorization, const confab_request *request, void *user_data) {
  CHECK(authorization == NULL && request == NULL && user_data == NULL);
}

static void read_one(confab_connection *connection, int kind, const void *data, size_t length, void *user_data) {
  CHECK(connection == NULL && kind == 0 && data == NULL && length == 0 && user_data == NULL);
}

int main(void) {
  confab_config config;
  confab_callbacks callbacks;
  confab_server *server;
  confab_chat_subscription *subscription, *failed;
  char line[8];
  confab_config_init(&config, sizeof config);
  confab_callbacks_init(&callbacks, sizeof callbacks);
  config.port = 0;
  callbacks.authorize = decide;
  FAILS(confab_chat_create(&config, &callbacks, NULL, &server), CONFAB_ERROR_ARGUMENT, "authorize and message");
  callbacks.authorize = NULL;
  callbacks.message = read_one;
  FAILS(confab_chat_create(&config, &callbacks, NULL, &server), CONFAB_ERROR_ARGUMENT, "authorize and message");
  callbacks.message = NULL;
  callbacks.opened = opened;
  callbacks.closed = closed;
  callbacks.http = http;
  CHECK(confab_chat_create(&config, &callbacks, &context, &server) == CONFAB_OK);
  FAILS(confab_chat_watch_members(server, "tea", changed, NULL, &failed), CONFAB_ERROR_ARGUMENT, "begins with '/'");
  CHECK(failed == NULL);
  FAILS(confab_chat_watch_members(server, "/tea", NULL, NULL, &failed), CONFAB_ERROR_ARGUMENT, "callback is NULL");
  FAILS(confab_chat_watch_members(server, "/tea", changed, NULL, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_chat_watch_members(NULL, "/tea", changed, NULL, &failed), CONFAB_ERROR_ARGUMENT, "NULL");
  CHECK(confab_chat_watch_members(server, "/tea", changed, &context, &subscription) == CONFAB_OK);
  CHECK(confab_start(server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  CHECK(fgets(line, sizeof line, stdin) != NULL);
  CHECK(confab_chat_unsubscribe(subscription) == CONFAB_OK);
  puts("ended");
  fflush(stdout);
  CHECK(fgets(line, sizeof line, stdin) == NULL);
  /* One that is not ended before. */
  CHECK(confab_chat_watch_members(server, "/tea", changed, &context, &subscription) == CONFAB_OK);
  CHECK(confab_destroy(server) == CONFAB_OK);
  return 0;
}
