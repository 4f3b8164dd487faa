/* Reports each name that the program resolves, and resolves numeric addresses only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    unsigned char address[16];
    if (node && (inet_pton(AF_INET, node, address) == 1 || inet_pton(AF_INET6, node, address) == 1))
        return ((lookup *)dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, result);
    *result = NULL;
    fprintf(stderr, "getaddrinfo: %s\n", node ? node : "");
    return EAI_FAIL;
}
