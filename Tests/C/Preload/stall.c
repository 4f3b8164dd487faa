/* Preloaded into a server: an event loop that accepts a connection from 127.0.0.66 blocks for ever. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags) {
  int accepted = (int)syscall(SYS_accept4, listener, address, length, flags);
  if (accepted >= 0 && ((struct sockaddr_in *)address)->sin_addr.s_addr == inet_addr("127.0.0.66"))
    for (;;) pause();
  return accepted;
}
