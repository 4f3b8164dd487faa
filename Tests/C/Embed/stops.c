/* Stops servers while clients connect: each accepted client's pointer is released, each `opened` has its `closed`. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 40, CLIENTS = 3 };

static int port, is_over;
static int accepted, released, openings, closures;
/* Posted when a client has been accepted. */
static sem_t acceptance;

static void release(void *pointer) {
  free(pointer);
  __sync_fetch_and_add(&released, 1);
}

static void authorize(confab_authorization *authorization, const confab_request *request, void *user_data) {
  (void)request, (void)user_data;
  __sync_fetch_and_add(&accepted, 1);
  CHECK(confab_accept(authorization, malloc(8), release) == CONFAB_OK);
  sem_post(&acceptance);
}

static void opened(confab_connection *connection, const confab_request *request, void *user_data) {
  (void)connection, (void)request, (void)user_data;
  __sync_fetch_and_add(&openings, 1);
}

static void closed(confab_connection *connection, int code, const char *reason, int is_clean, void *user_data) {
  (void)connection, (void)code, (void)reason, (void)is_clean, (void)user_data;
  __sync_fetch_and_add(&closures, 1);
}

/* Connects repeatedly. */
static void *connect_all(void *argument) {
  static const char request[] =
      "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  (void)argument;
  while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
    struct sockaddr_in address;
    char answer[1000];
    int client = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0
        && send(client, request, sizeof request - 1, MSG_NOSIGNAL) > 0) {
      ssize_t count = recv(client, answer, sizeof answer, 0);
      (void)count;
    }
    close(client);
  }
  return NULL;
}

int main(void) {
  int round, index;
  CHECK(sem_init(&acceptance, 0, 0) == 0);
  for (round = 0; round < ROUNDS; round++) {
    confab_config config;
    confab_callbacks callbacks;
    confab_server *server;
    pthread_t clients[CLIENTS];
    confab_config_init(&config, sizeof config);
    confab_callbacks_init(&callbacks, sizeof callbacks);
    config.port = 0;
    config.loops = 1 + round % 2;
    config.log_level = CONFAB_LOG_NONE;
    callbacks.authorize = authorize;
    callbacks.opened = opened;
    callbacks.closed = closed;
    CHECK(confab_create(&config, &callbacks, NULL, &server) == CONFAB_OK);
    if (round == 0) {
      printf("%s\n", confab_server_url(server));
      fflush(stdout);
    }
    CHECK(confab_start(server) == CONFAB_OK);
    port = confab_server_port(server);
    __atomic_store_n(&is_over, 0, __ATOMIC_RELEASE);
    for (index = 0; index < CLIENTS; index++) CHECK(pthread_create(&clients[index], NULL, connect_all, NULL) == 0);
    for (index = 0; index <= round % 10; index++) sem_wait(&acceptance);
    CHECK(confab_stop(server, round % 3) == CONFAB_OK);
    CHECK(confab_destroy(server) == CONFAB_OK);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    for (index = 0; index < CLIENTS; index++) pthread_join(clients[index], NULL);
    while (sem_trywait(&acceptance) == 0) {}
    if (accepted != released || openings != closures) {
      fprintf(stderr, "round %d: %d accepted, %d released, %d opened, %d closed\n", round, accepted, released, openings, closures);
      return 1;
    }
  }
  return 0;
}
