/* Makes Swift's Mutex known to ThreadSanitizer: it sees the lock's fast path, which is compiled into the program, but
 * not the slow path in libswiftSynchronization, where a thread waits for another in the kernel. Without this, data that
 * a contended lock protects is reported as a race. To be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define SYMBOL(name) "$s15Synchronization12_MutexHandleV" name
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *mutex

/* Missing in programs without ThreadSanitizer, such as the one that runs the tests. */
__attribute__((weak)) void __tsan_acquire(void *);
__attribute__((weak)) void __tsan_release(void *);

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(SYMBOL("9_lockSlowyys6UInt32VF"));
SWIFT void unlock_slow(SELF) __asm__(SYMBOL("11_unlockSlowyyF"));

SWIFT void lock_slow(uint32_t thread, SELF)
{
    SWIFT void (*original)(uint32_t, SELF) = dlsym(RTLD_NEXT, SYMBOL("9_lockSlowyys6UInt32VF"));
    original(thread, mutex);
    if (__tsan_acquire)
        __tsan_acquire(mutex);
}

SWIFT void unlock_slow(SELF)
{
    SWIFT void (*original)(SELF) = dlsym(RTLD_NEXT, SYMBOL("11_unlockSlowyyF"));
    if (__tsan_release)
        __tsan_release(mutex);
    original(mutex);
}
