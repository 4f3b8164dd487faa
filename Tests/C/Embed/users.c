/* A chat whose users have tokens: some are decided about at once, others by a thread. `users HANDSHAKE_TIMEOUT_MS` */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>

static int data;
static pthread_t clerk;
static confab_admission *waiting, *forgotten[2];
static int forgotten_count;

static void *decide(void *argument) {
  confab_identity identity;
  (void)argument;
  CHECK(confab_identity_init(&identity, sizeof identity) == CONFAB_OK);
  identity.id = "2";
  CHECK(confab_admit(waiting, &identity) == CONFAB_OK);
  return NULL;
}

static void check_errors(confab_admission *admission, confab_identity *identity) {
  const char *const rooms[] = {"team", NULL};
  char id[258];
  memset(id, 'x', sizeof id);
  id[257] = 0;
  FAILS(confab_admit(admission, NULL), CONFAB_ERROR_ARGUMENT, "NULL");
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "id is NULL");
  identity->id = "";
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "1 to 256 bytes");
  identity->id = id;
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "not 257");
  identity->id = "1";
  identity->rights = 16;
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "rights");
  identity->rights = -1;
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "rights");
  identity->rights = CONFAB_RIGHT_READ | CONFAB_RIGHT_MODERATE;
  identity->expires_ms = -1;
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "expires_ms");
  identity->expires_ms = 0;
  identity->rooms = rooms;
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "a room must begin with '/'");
  identity->rooms = NULL;
  identity->name = "\xff";
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_ARGUMENT, "UTF-8");
  identity->name = NULL;
  FAILS(confab_admit(NULL, identity), CONFAB_ERROR_ARGUMENT, "the admission is NULL");
  FAILS(confab_reject_admission(admission, 0, NULL), CONFAB_ERROR_ARGUMENT, "enum confab_admission_error");
  FAILS(confab_reject_admission(admission, CONFAB_ADMISSION_FORBIDDEN, ""), CONFAB_ERROR_ARGUMENT, "1 to 120 bytes");
  FAILS(confab_reject_admission(admission, CONFAB_ADMISSION_FORBIDDEN, id), CONFAB_ERROR_ARGUMENT, "1 to 120 bytes");
  identity->size = 3;
  FAILS(confab_admit(admission, identity), CONFAB_ERROR_SIZE, "confab_identity");
  identity->size = sizeof *identity;
}

static void admit(confab_admission *admission, const confab_request *request, const char *token, void *admit_data) {
  const char *const rooms[] = {"/tea", "/team/*", NULL};
  confab_identity identity;
  CHECK(admit_data == &data);
  CHECK(confab_request_path(request)[0] == '/' && confab_request_header(request, "host") != NULL);
  CHECK(confab_identity_init(&identity, sizeof identity) == CONFAB_OK);
  CHECK(identity.rights == (CONFAB_RIGHT_READ | CONFAB_RIGHT_SAY | CONFAB_RIGHT_HISTORY) && identity.id == NULL);
  if (token == NULL) {
    CHECK(confab_reject_admission(admission, CONFAB_ADMISSION_TOKEN_REQUIRED, NULL) == CONFAB_OK);
  } else if (strcmp(token, "ann") == 0) {
    identity.id = "1";
    identity.name = "Ann";
    identity.rooms = rooms;
    CHECK(confab_admit(admission, &identity) == CONFAB_OK);
    FAILS(confab_admit(admission, &identity), CONFAB_ERROR_STATE, "decided already");
  } else if (strcmp(token, "later") == 0) {
    waiting = admission;
    CHECK(pthread_create(&clerk, NULL, decide, NULL) == 0);
    CHECK(pthread_detach(clerk) == 0);
  } else if (strcmp(token, "never") == 0) {
    CHECK(forgotten_count < 2);
    forgotten[forgotten_count++] = admission;
  } else if (strcmp(token, "errors") == 0) {
    check_errors(admission, &identity);
    CHECK(confab_admit(admission, &identity) == CONFAB_OK);
  } else {
    CHECK(confab_reject_admission(admission, CONFAB_ADMISSION_FORBIDDEN, "banned") == CONFAB_OK);
  }
}

int main(int argc, char **argv) {
  confab_config config;
  confab_server *server;
  confab_identity identity;
  CHECK(argc == 2);
  FAILS(confab_identity_init(&identity, 3), CONFAB_ERROR_SIZE, "confab_identity");
  CHECK(confab_config_init(&config, sizeof config) == CONFAB_OK);
  CHECK(config.admit == NULL && config.token_cookie == NULL && config.token_grace_ms == 30000);
  config.port = 0;
  config.loops = 1;
  config.handshake_timeout_ms = atoi(argv[1]);
  config.token_cookie = "chat";
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "token_cookie needs admit");
  config.admit = admit;
  config.admit_data = &data;
  config.token_cookie = "a b";
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "'a b'");
  config.token_cookie = "chat";
  config.token_grace_ms = -1;
  FAILS(confab_chat_create(&config, NULL, NULL, &server), CONFAB_ERROR_CONFIGURATION, "token_grace_ms");
  config.token_grace_ms = 500;
  CHECK(confab_chat_create(&config, NULL, NULL, &server) == CONFAB_OK);
  printf("%s\n", confab_server_url(server));
  fflush(stdout);
  CHECK(confab_start(server) == CONFAB_OK);
  while (getchar() != EOF) {}
  CHECK(confab_stop(server, 1000) == CONFAB_OK);
  CHECK(confab_wait(server) == CONFAB_OK);
  CHECK(confab_destroy(server) == CONFAB_OK);
  /* An admission is valid until it is decided. */
  CHECK(confab_identity_init(&identity, sizeof identity) == CONFAB_OK);
  identity.id = "3";
  CHECK(forgotten_count == 2);
  while (forgotten_count > 0) {
    FAILS(confab_admit(forgotten[--forgotten_count], &identity), CONFAB_ERROR_CLOSED, "not waiting");
  }
  return 0;
}
