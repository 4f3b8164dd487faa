/* Preloaded into a server: libwebsockets cannot write to the pair of sockets through which it sends a file. */
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int socketpair(int domain, int type, int protocol, int pair[2]) {
  int failure = (int)syscall(SYS_socketpair, domain, type, protocol, pair);
  if (failure == 0) shutdown(pair[1], SHUT_RDWR);
  return failure;
}
