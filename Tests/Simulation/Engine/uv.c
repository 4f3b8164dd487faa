/* libuv: loops that run one iteration at a time, in the order of uv_run() (src/unix/core.c). */
#include "internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

sim_choose choose;
sim_interleave interleave;
static uint64_t now;
static uintptr_t thread = 1;
static int open_handles;
static uint64_t steps;
/* A host polls an embedded loop by a descriptor, which stands for the loop's index. */
enum { FIRST_LOOP = 20000, LOOPS = 64 };
static sim_loop *loops[LOOPS];

/* A handle, in `uv_handle_t.u.reserved[0]`. */
typedef struct sim_handle {
    struct sim_handle *next;
    uv_handle_t *uv;
    bool is_active, is_pending, is_closing;
    uint64_t due, period;
    int descriptor, events;
    void (*callback)(uv_handle_t *);
    uv_poll_cb poll;
    uv_close_cb closed;
} sim_handle;

/* Discards what a world that ended with a fault has left. */
void sim_begin(sim_choose chooser, sim_interleave interleaver)
{
    memset(loops, 0, sizeof loops);
    forget_clients();
    open_handles = 0;
    choose = chooser;
    interleave = interleaver;
    now = 1000;
}

uintptr_t sim_thread(void) { return thread; }
void sim_enter_thread(uintptr_t other) { thread = other; }
uv_thread_t uv_thread_self(void) { return (uv_thread_t)thread; }

uint64_t sim_now(void) { return now; }
void sim_advance(uint64_t milliseconds) { now += milliseconds; }
uint64_t uv_now(const uv_loop_t *loop) { return loop->time; }
void uv_update_time(uv_loop_t *loop) { loop->time = now; }
uint64_t uv_hrtime(void) { return now * 1000000; }
int sim_open_handles(void) { return open_handles; }
uint64_t sim_steps(void) { return steps; }

static sim_loop *loop_of(const uv_loop_t *loop) { return loop->data; }
static sim_handle *handle_of(const void *handle) { return ((const uv_handle_t *)handle)->u.reserved[0]; }

int uv_backend_fd(const uv_loop_t *loop) { return FIRST_LOOP + loop_of(loop)->index; }

int uv_loop_init(uv_loop_t *loop)
{
    sim_loop *sim = calloc(1, sizeof *sim);
    memset(loop, 0, sizeof *loop);
    while (loops[sim->index]) sim->index++;
    loops[sim->index] = sim;
    sim->uv = loop;
    loop->data = sim;
    loop->time = now;
    loop->watchers = (void *)sim->watchers;
    loop->nwatchers = FIRST_DESCRIPTOR + DESCRIPTORS;
    *(void **)&loop->watcher_queue = &loop->watcher_queue;
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    if (loop_of(loop)->handles) return UV_EBUSY;
    loops[loop_of(loop)->index] = NULL;
    free(loop->data);
    loop->data = NULL;
    return 0;
}

int uv_loop_configure(uv_loop_t *loop, uv_loop_option option, ...) { (void)loop; return option == UV_METRICS_IDLE_TIME ? 0 : UV_ENOSYS; }
void uv_stop(uv_loop_t *loop) { (void)loop; }
/* lws's own handles are not simulated. */
void uv_walk(uv_loop_t *loop, uv_walk_cb callback, void *argument) { (void)loop; (void)callback; (void)argument; }
int uv_thread_create(uv_thread_t *made, uv_thread_cb entry, void *argument) { (void)made; (void)entry; (void)argument; return UV_EAGAIN; }

/* Handles. */

static int init(uv_loop_t *loop, void *handle, uv_handle_type type)
{
    sim_handle *sim = calloc(1, sizeof *sim), **end = &loop_of(loop)->handles;
    uv_handle_t *uv = handle;
    void *data = uv->data;
    memset(uv, 0, sizeof *uv);
    uv->data = data;
    uv->loop = loop;
    uv->type = type;
    uv->u.reserved[0] = sim;
    sim->uv = uv;
    while (*end) end = &(*end)->next;
    *end = sim;
    open_handles++;
    return 0;
}

static int start(void *handle, void *callback)
{
    handle_of(handle)->callback = (void (*)(uv_handle_t *))callback;
    handle_of(handle)->is_active = true;
    return 0;
}

static int stop(void *handle)
{
    handle_of(handle)->is_active = false;
    return 0;
}

int uv_prepare_init(uv_loop_t *loop, uv_prepare_t *handle) { return init(loop, handle, UV_PREPARE); }
int uv_prepare_start(uv_prepare_t *handle, uv_prepare_cb callback) { return start(handle, callback); }
int uv_check_init(uv_loop_t *loop, uv_check_t *handle) { return init(loop, handle, UV_CHECK); }
int uv_check_start(uv_check_t *handle, uv_check_cb callback) { return start(handle, callback); }
int uv_idle_init(uv_loop_t *loop, uv_idle_t *handle) { return init(loop, handle, UV_IDLE); }
int uv_idle_start(uv_idle_t *handle, uv_idle_cb callback) { return start(handle, callback); }
int uv_idle_stop(uv_idle_t *handle) { return stop(handle); }
int uv_timer_init(uv_loop_t *loop, uv_timer_t *handle) { return init(loop, handle, UV_TIMER); }
int uv_timer_stop(uv_timer_t *handle) { return stop(handle); }
int uv_is_active(const uv_handle_t *handle) { return handle_of(handle)->is_active; }

int uv_timer_start(uv_timer_t *handle, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)
{
    handle_of(handle)->due = handle->loop->time + timeout;
    handle_of(handle)->period = repeat;
    return start(handle, callback);
}

int uv_async_init(uv_loop_t *loop, uv_async_t *handle, uv_async_cb callback)
{
    init(loop, handle, UV_ASYNC);
    return start(handle, callback);
}

/* Any thread. */
int uv_async_send(uv_async_t *handle)
{
    handle_of(handle)->is_pending = true;
    return 0;
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int descriptor)
{
    init(loop, handle, UV_POLL);
    handle_of(handle)->descriptor = descriptor;
    return 0;
}

int uv_poll_start(uv_poll_t *handle, int events, uv_poll_cb callback)
{
    handle_of(handle)->events = events;
    handle_of(handle)->poll = callback;
    handle_of(handle)->is_active = true;
    return 0;
}

int uv_poll_stop(uv_poll_t *handle) { return stop(handle); }

void uv_close(uv_handle_t *handle, uv_close_cb callback)
{
    handle_of(handle)->is_closing = true;
    handle_of(handle)->is_active = false;
    handle_of(handle)->closed = callback;
}

/* Running. */

static bool has_events(const sim_loop *loop);

static bool is_ready(const sim_handle *handle)
{
    const sim_client *client;
    if (!handle->is_active) return false;
    if (handle->uv->type == UV_ASYNC) return handle->is_pending;
    if (handle->uv->type != UV_POLL) return false;
    if ((client = client_of(handle->descriptor)))
        return (handle->events & UV_READABLE && is_client_readable(client))
            || (handle->events & UV_WRITABLE && is_client_writable(client));
    if (handle->descriptor < FIRST_LOOP) return has_waiting(handle->descriptor);
    return loops[handle->descriptor - FIRST_LOOP] && has_events(loops[handle->descriptor - FIRST_LOOP]);
}

static bool has_events(const sim_loop *loop)
{
    const sim_handle *handle;
    if (loop->context && lws_has_events(loop->context)) return true;
    for (handle = loop->handles; handle; handle = handle->next)
        if (is_ready(handle)) return true;
    return false;
}

static bool run_type(sim_loop *loop, uv_handle_type type)
{
    bool was_any = false;
    sim_handle *handle;
    for (handle = loop->handles; handle; handle = handle->next) {
        if (handle->uv->type != type || !handle->is_active) continue;
        was_any = true;
        handle->callback(handle->uv);
    }
    return was_any;
}

static void run_timers(sim_loop *loop)
{
    for (;;) {
        sim_handle *handle, *first = NULL;
        for (handle = loop->handles; handle; handle = handle->next)
            if (handle->uv->type == UV_TIMER && handle->is_active && handle->due <= loop->uv->time
                && (!first || handle->due < first->due)) first = handle;
        if (!first) return;
        first->is_active = first->period > 0;
        first->due = loop->uv->time + first->period;
        first->callback(first->uv);
    }
}

static void serve(sim_handle *handle)
{
    if (handle->uv->type == UV_POLL) {
        handle->poll((uv_poll_t *)handle->uv, 0, handle->events);
    } else {
        handle->is_pending = false;
        handle->callback(handle->uv);
    }
}

/* Serves ready handles in an order that the scheduler chooses. It may leave some for the next iteration, as if they had
 * become ready later. */
static void poll_events(sim_loop *loop)
{
    for (;;) {
        sim_handle *handle, *ready[64];
        uint32_t count = 0, choice;
        bool of_lws = loop->context && lws_has_events(loop->context);
        for (handle = loop->handles; handle && count < 63; handle = handle->next)
            if (is_ready(handle)) ready[count++] = handle;
        if (count + of_lws == 0) return;
        /* A host's loop has a single source of events. */
        choice = loop->is_host ? 0 : choose(count + of_lws + 1);
        if (choice == count + of_lws) return;
        if (of_lws && choice == 0) lws_serve_events(loop->context);
        else serve(ready[choice - of_lws]);
        if (loop->is_host) return;
        steps++;
        interleave();
    }
}

static void close_handles(sim_loop *loop)
{
    sim_handle **place = &loop->handles;
    while (*place) {
        sim_handle *handle = *place;
        if (!handle->is_closing) {
            place = &handle->next;
            continue;
        }
        *place = handle->next;
        open_handles--;
        if (handle->closed) {
            handle->closed(handle->uv);
            place = &loop->handles;
        }
        free(handle);
    }
}

int uv_run(uv_loop_t *uv, uv_run_mode mode)
{
    sim_loop *loop = loop_of(uv);
    do {
        uv->time = now;
        run_timers(loop);
        run_type(loop, UV_IDLE);
        run_type(loop, UV_PREPARE);
        if (!loop->is_host) interleave();
        poll_events(loop);
        run_type(loop, UV_CHECK);
        close_handles(loop);
        steps++;
    } while (mode == UV_RUN_DEFAULT && loop->handles);
    return loop->handles != NULL;
}

int uv_backend_timeout(const uv_loop_t *uv)
{
    uint64_t due = sim_next_timer((uv_loop_t *)uv);
    if (sim_has_work((uv_loop_t *)uv)) return 0;
    return due == UINT64_MAX ? -1 : (int)(due - uv->time);
}

bool sim_has_work(uv_loop_t *uv)
{
    const sim_handle *handle;
    if (!loop_of(uv)) return false;
    if (has_events(loop_of(uv))) return true;
    for (handle = loop_of(uv)->handles; handle; handle = handle->next) {
        if (handle->is_closing) return true;
        if (handle->uv->type == UV_IDLE && handle->is_active) return true;
        if (handle->uv->type == UV_TIMER && handle->is_active && handle->due <= now) return true;
    }
    return false;
}

uint64_t sim_next_timer(uv_loop_t *uv)
{
    const sim_handle *handle;
    uint64_t due = UINT64_MAX;
    if (!loop_of(uv)) return due;
    if (loop_of(uv)->context) due = lws_next_timer(loop_of(uv)->context);
    for (handle = loop_of(uv)->handles; handle; handle = handle->next)
        if (handle->uv->type == UV_TIMER && handle->is_active && handle->due < due) due = handle->due;
    return due;
}

void sim_step(uv_loop_t *host)
{
    loop_of(host)->is_host = true;
    uv_run(host, UV_RUN_NOWAIT);
}

bool sim_is_empty(uv_loop_t *uv) { return !loop_of(uv) || !loop_of(uv)->handles; }
