/* Authorization over TLS: a token in the query decides at once, a thread decides for the other clients. Also serves a
 * generated page and a folder. `door FOLDER CERTIFICATE KEY` */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>

static confab_server *server;
static pthread_t porter;
static confab_authorization *knocking, *forgotten;
static int guest;
/* The number of release() calls. */
static int released;

static void release(void *pointer) { __sync_fetch_and_add((int *)pointer, 1); }

static int rejections;

static void note(int level, const char *line, void *user_data) {
  CHECK(level == CONFAB_LOG_NOTICE && user_data == &rejections);
  if (strstr(line, "peer=127.0.0.1:") && strstr(line, " reason=rejectedByHandler: ")) rejections++;
}

static void *decide(void *argument) {
  const char *name = (const char *)argument;
  const char *const bad[] = {"Bad Name", "value", NULL};
  FAILS(confab_reject(knocking, 200, bad, NULL, 0), CONFAB_ERROR_ARGUMENT, "is not a valid header");
  if (strcmp(name, "friend") == 0) {
    CHECK(confab_add_header(knocking, "X-Decided", "later") == CONFAB_OK);
    CHECK(confab_accept(knocking, &guest, release) == CONFAB_OK);
  } else {
    CHECK(confab_reject(knocking, 403, NULL, "not today\n", 10) == CONFAB_OK);
  }
  free(argument);
  return NULL;
}

static void authorize(confab_authorization *authorization, const confab_request *request, void *user_data) {
  const char *token = confab_request_query(request, "token");
  const char *name = confab_request_query(request, "name");
  const char *const challenge[] = {"WWW-Authenticate", "Bearer", NULL};
  (void)user_data;
  FAILS(confab_respond(request, 200, NULL, "", 0), CONFAB_ERROR_STATE, "http");
  if (token != NULL && strcmp(token, "secret") == 0) {
    char value[1100];
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = 0;
    CHECK(confab_add_header(authorization, "set-cookie", "seen=0") == CONFAB_OK);
    CHECK(confab_add_header(authorization, "Set-Cookie", "seen=1; HttpOnly") == CONFAB_OK);
    FAILS(confab_add_header(authorization, "X-Value", value), CONFAB_ERROR_ARGUMENT, "the limit is 1024");
    FAILS(confab_add_header(authorization, "X-Value", "a\r\nb"), CONFAB_ERROR_ARGUMENT, "not a valid header");
    FAILS(confab_add_header(authorization, "upgrade", "h2c"), CONFAB_ERROR_ARGUMENT, "the handshake itself");
    FAILS(confab_add_header(NULL, "X-Value", "1"), CONFAB_ERROR_ARGUMENT, "NULL");
    CHECK(confab_accept(authorization, NULL, NULL) == CONFAB_OK);
    FAILS(confab_accept(authorization, NULL, NULL), CONFAB_ERROR_STATE, "decided already");
  } else if (name != NULL && strcmp(name, "nobody") == 0) {
    forgotten = authorization;
  } else if (name != NULL) {
    char *copy = (char *)malloc(strlen(name) + 1);
    knocking = authorization;
    CHECK(pthread_create(&porter, NULL, decide, strcpy(copy, name)) == 0);
  } else {
    FAILS(confab_reject(authorization, 101, NULL, "", 0), CONFAB_ERROR_ARGUMENT, "status");
    FAILS(confab_reject(authorization, 401, challenge + 1, "", 0), CONFAB_ERROR_ARGUMENT, "'Bearer' has no value");
    FAILS(confab_reject(authorization, 401, NULL, NULL, 1), CONFAB_ERROR_ARGUMENT, "body is NULL");
    CHECK(confab_reject(authorization, 401, challenge, "who are you?\n", 13) == CONFAB_OK);
  }
}

static void http(const confab_request *request, void *user_data) {
  const char *const type[] = {"Content-Type", "application/json", NULL};
  (void)user_data;
  if (strcmp(confab_request_path(request), "/health") != 0) return;
  CHECK(confab_respond(request, 200, type, "{}", 2) == CONFAB_OK);
  FAILS(confab_respond(request, 200, NULL, "", 0), CONFAB_ERROR_STATE, "once");
}

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  int isGuest = confab_connection_user_pointer(connection) == &guest;
  const char *subprotocol = confab_request_subprotocol(request);
  (void)user_data;
  CHECK(isGuest ? subprotocol == NULL : strcmp(subprotocol, "door.v1") == 0);
  CHECK(isGuest == (confab_request_query(request, "name") != NULL));
  if (isGuest) pthread_join(porter, NULL);
  confab_send(connection, CONFAB_TEXT, isGuest ? "a guest" : "welcome", 7);
}

/* Called on the loop's thread when the server has ended: destroys the server there. */
static void stopped(confab_server *ended, void *argument) {
  CHECK(ended == server);
  FAILS(confab_accept(forgotten, &released, release), CONFAB_ERROR_CLOSED, "not waiting");
  CHECK(confab_server_rejections(ended, CONFAB_REJECTION_REJECTED_BY_HANDLER) == 3);
  CHECK(confab_destroy(ended) == CONFAB_OK);
  pthread_mutex_unlock((pthread_mutex_t *)argument);
}

int main(int argc, char **argv) {
  const char *const subprotocols[] = {"other.v1", "door.v1", NULL};
  const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
  const char *const origins[] = {"https://example.org", NULL};
  confab_config config;
  confab_mount mount;
  confab_callbacks callbacks;
  pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;
  CHECK(argc == 4);
  confab_mount_init(&mount, sizeof mount);
  mount.path = "/files";
  mount.directory = argv[1];
  confab_config_init(&config, sizeof config);
  config.mounts = &mount;
  config.mount_count = 1;
  config.tls_certificate_file = argv[2];
  config.tls_key_file = argv[3];
  config.subprotocols = subprotocols;
  config.allowed_hosts = hosts;
  config.allowed_origins = origins;
  config.port = 0;
  config.loops = 1;
  config.log = note;
  config.log_user_data = &rejections;
  confab_callbacks_init(&callbacks, sizeof callbacks);
  callbacks.authorize = authorize;
  callbacks.http = http;
  callbacks.opened = opened;
  FAILS(confab_accept(NULL, &released, release), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_reject(NULL, 403, NULL, NULL, 0), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_respond(NULL, 200, NULL, NULL, 0), CONFAB_ERROR_ARGUMENT, "NULL");
  CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  CHECK(confab_start(server) == CONFAB_OK);
  CHECK(confab_reload_certificate(server) == CONFAB_OK);
  CHECK(strcmp(confab_rejection_name(CONFAB_REJECTION_REJECTED_BY_HANDLER), "rejectedByHandler") == 0);
  while (getchar() != EOF) {}
  pthread_mutex_lock(&running);
  CHECK(confab_when_stopped(server, stopped, &running) == CONFAB_OK);
  CHECK(confab_stop(server, 100) == CONFAB_OK);
  pthread_mutex_lock(&running);
  CHECK(rejections == 3);
  CHECK(released == 2);
  return 0;
}
