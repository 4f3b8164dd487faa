/* The differences between operating systems and C libraries. With Sources/Confab/Platform, this is all that a port changes.
 *
 * Swift code uses declarations of the C library that are the same everywhere; they come with this header. It uses the
 * functions below where names, types or flags differ, and for macros and variadic functions, which Swift does not import.
 *
 * Tested: Linux with Glibc. The branches for musl are checked by its compiler, those for macOS only by reading. */
#ifndef CLIBWEBSOCKETS_SYSTEM_H
#define CLIBWEBSOCKETS_SYSTEM_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <malloc/malloc.h>
#else
#include <malloc.h>
#endif

static inline int shim_errno(void) { return errno; }
static inline void shim_set_errno(int number) { errno = number; }

/* Sockets. Elsewhere than on Linux, a socket gets its flags after it was made, and a flag of the socket keeps a write to
 * a broken connection from raising SIGPIPE. */

enum { shim_STREAM = SOCK_STREAM, shim_DATAGRAM = SOCK_DGRAM };

#ifdef __linux__
#define SHIM_NO_SIGNAL MSG_NOSIGNAL
/* Declared under _GNU_SOURCE only, which a module cannot define for another one. */
extern int accept4(int, struct sockaddr *, socklen_t *, int);
#else
#define SHIM_NO_SIGNAL 0
static inline int shim_prepare_socket(int made, int blocks)
{
    int on = 1;
    if (made < 0) return made;
    fcntl(made, F_SETFD, FD_CLOEXEC);
    if (!blocks) fcntl(made, F_SETFL, O_NONBLOCK);
    setsockopt(made, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
    return made;
}
#endif

static inline int shim_socket(int family, int type, int blocks)
{
#ifdef __linux__
    return socket(family, type | SOCK_CLOEXEC | (blocks ? 0 : SOCK_NONBLOCK), 0);
#else
    return shim_prepare_socket(socket(family, type, 0), blocks);
#endif
}

static inline int shim_accept(int listener, struct sockaddr *address, socklen_t *length)
{
#ifdef __linux__
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    return shim_prepare_socket(accept(listener, address, length), 0);
#endif
}

/* Makes two sockets that are connected to each other. */
static inline int shim_socket_pair(int pair[2])
{
#ifdef __linux__
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
#else
    int result = socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    if (result == 0) {
        shim_prepare_socket(pair[0], 0);
        shim_prepare_socket(pair[1], 0);
    }
    return result;
#endif
}

/* send and sendto without SIGPIPE, and without waiting. */
static inline ssize_t shim_send(int socket, const void *bytes, size_t count)
{
    return send(socket, bytes, count, SHIM_NO_SIGNAL | MSG_DONTWAIT);
}
static inline ssize_t shim_send_to(int socket, const void *bytes, size_t count, const struct sockaddr *address, socklen_t length)
{
    return sendto(socket, bytes, count, SHIM_NO_SIGNAL, address, length);
}

/* Whether the kernel distributes connections among sockets that listen on one port. On macOS, the last one gets all. */
static inline int shim_balances_port(void)
{
#ifdef __linux__
    return 1;
#else
    return 0;
#endif
}

static inline void shim_set_nonblocking(int descriptor) { fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK); }
static inline void shim_close_on_exec(int descriptor) { fcntl(descriptor, F_SETFD, FD_CLOEXEC); }
static inline int shim_duplicate(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 0); }

/* The kernel's state of a TCP connection. struct tcp_info differs between systems, and Glibc's lacks members of Linux
 * 4.6 (include/uapi/linux/tcp.h). Members that the kernel does not provide are zero. */
struct shim_tcp {
    unsigned silence;    /* milliseconds since data was received */
    unsigned acked;      /* bytes acknowledged by the peer, modulo 2^32 */
    int is_outstanding;  /* whether bytes are unacknowledged or unsent */
};

#ifdef __linux__
/* The members up to Linux 4.6, because the headers of C libraries have fewer or more. */
struct shim_linux_tcp_info {
    uint8_t state[8];
    uint32_t rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets;
    uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering, rcv_rtt, rcv_space, total_retrans;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes;
};
#endif

static inline struct shim_tcp shim_tcp_state(int socket)
{
    struct shim_tcp state = { 0, 0, 0 };
#ifdef __linux__
    struct shim_linux_tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) == 0) {
        state.silence = info.last_data_recv;
        state.acked = (unsigned)info.bytes_acked;
        state.is_outstanding = info.unacked > 0 || info.notsent_bytes > 0;
    }
#endif
    (void)socket;
    return state;
}

/* Files. */

static inline int shim_open(const char *path, int flags, mode_t mode) { return open(path, flags | O_CLOEXEC, mode); }

enum shim_file_kind { shim_FILE, shim_FOLDER, shim_SOCKET, shim_OTHER_KIND };
static inline enum shim_file_kind shim_kind(const struct stat *status)
{
    switch (status->st_mode & S_IFMT) {
    case S_IFREG: return shim_FILE;
    case S_IFDIR: return shim_FOLDER;
    case S_IFSOCK: return shim_SOCKET;
    default: return shim_OTHER_KIND;
    }
}

#ifdef __APPLE__
static inline struct timespec shim_modified(const struct stat *status) { return status->st_mtimespec; }
static inline struct timespec shim_changed(const struct stat *status) { return status->st_ctimespec; }
#else
static inline struct timespec shim_modified(const struct stat *status) { return status->st_mtim; }
static inline struct timespec shim_changed(const struct stat *status) { return status->st_ctim; }
#endif

/* Waits until the content of a file is on the disk. macOS has it only in the disk's cache after fsync. */
static inline int shim_synchronize(int descriptor)
{
#ifdef __APPLE__
    return fcntl(descriptor, F_FULLFSYNC);
#else
    return fdatasync(descriptor);
#endif
}

/* dladdr and its struct are declared under _GNU_SOURCE only. */
struct shim_image { const char *file; void *start; const char *symbol; void *address; };
extern int shim_dladdr(const void *address, struct shim_image *image)
#ifdef __APPLE__
    __asm__("_dladdr");
#else
    __asm__("dladdr");
#endif

/* Limits and memory. */

static inline int shim_get_descriptor_limit(struct rlimit *limit) { return getrlimit(RLIMIT_NOFILE, limit); }
static inline int shim_set_descriptor_limit(const struct rlimit *limit) { return setrlimit(RLIMIT_NOFILE, limit); }

/* Size of all addresses that the process may have (ulimit -v). */
static inline uint64_t shim_address_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : UINT64_MAX;
}

/* Reserves addresses that take no memory until they are made usable, and written to. NULL if there are too few. */
static inline void *shim_reserve(size_t size)
{
    void *region = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) return NULL;
#ifdef MADV_NOHUGEPAGE
    /* A huge page would take 2 MiB for the first byte that is written. */
    madvise(region, size, MADV_NOHUGEPAGE);
#endif
    return region;
}
static inline int shim_make_usable(void *start, size_t size) { return mprotect(start, size, PROT_READ | PROT_WRITE); }

static inline size_t shim_allocated_size(const void *memory)
{
#ifdef __APPLE__
    return malloc_size(memory);
#else
    return malloc_usable_size((void *)memory);
#endif
}

/* Time and threads. */

/* The time of day as of the kernel's last tick, where that is cheaper to read. */
static inline void shim_coarse_time(struct timespec *time)
{
#ifdef CLOCK_REALTIME_COARSE
    clock_gettime(CLOCK_REALTIME_COARSE, time);
#else
    clock_gettime(CLOCK_REALTIME, time);
#endif
}
static inline void shim_time(struct timespec *time) { clock_gettime(CLOCK_REALTIME, time); }

/* pthread_setname_np is declared under _GNU_SOURCE only. On macOS it can only name the calling thread. */
#ifdef __linux__
extern int pthread_setname_np(pthread_t, const char *);
#endif
static inline void shim_name_thread(const char *name)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), name);
#else
    pthread_setname_np(name);
#endif
}
static inline void shim_detach_thread(void) { pthread_detach(pthread_self()); }

/* pthread_t is a number or a pointer. */
static inline uintptr_t shim_thread(pthread_t thread) { return (uintptr_t)thread; }

#endif
