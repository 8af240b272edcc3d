#include "base/lock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"

/* Waits are cut into slices, since the condition's clock stands still in a suspend and the
 * deadline's does not. */
enum { SLICE_MAX_MS = 3600 * 1000, THREAD_NAME_SIZE = 16 };

#ifndef NDEBUG
struct held_locks {
    const struct lock *locks[RANK_LOG]; /* ranks rise, so there are never more than ranks */
    int count;
};

/* Each thread's own, only for assertions. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static _Thread_local struct held_locks held;

static bool is_held(const struct lock *lock)
{
    for (int i = 0; i < held.count; i++) {
        if (held.locks[i] == lock) {
            return true;
        }
    }
    return false;
}

/* Before the mutex is asked, so that a wrong order is told and not a deadlock. */
static void note_take(const struct lock *lock)
{
    for (int i = 0; i < held.count; i++) {
        assert(held.locks[i]->rank < lock->rank && "locks are taken in the order of their ranks");
    }
    assert(held.count < RANK_LOG);
    held.locks[held.count++] = lock;
}

static void note_release(const struct lock *lock)
{
    assert(is_held(lock) && "only a held lock is released");
    int kept = 0;
    for (int i = 0; i < held.count; i++) {
        if (held.locks[i] != lock) {
            held.locks[kept++] = held.locks[i];
        }
    }
    held.count = kept;
}
#endif

/* A failing pthread call here is a mistake of ours (a mutex that is none): going on would break
 * every promise. */
static void must(int rc)
{
    if (rc != 0) {
        abort();
    }
}

void lock_init(struct lock *lock, enum lock_rank rank, const char *name)
{
    must(pthread_mutex_init(&lock->mutex, NULL));
    lock->rank = rank;
    lock->name = name;
}

void lock_finish(struct lock *lock)
{
    must(pthread_mutex_destroy(&lock->mutex));
}

void lock_take(struct lock *lock) NO_LOCK_ANALYSIS
{
#ifndef NDEBUG
    note_take(lock);
#endif
    must(pthread_mutex_lock(&lock->mutex));
}

void lock_release(struct lock *lock) NO_LOCK_ANALYSIS
{
#ifndef NDEBUG
    note_release(lock);
#endif
    must(pthread_mutex_unlock(&lock->mutex));
}

void lock_assert_held(const struct lock *lock) NO_LOCK_ANALYSIS
{
#ifndef NDEBUG
    assert(is_held(lock) && "the caller holds the lock");
#else
    (void)lock;
#endif
}

void lock_assert_none_held(void)
{
#ifndef NDEBUG
    assert(held.count == 0 && "nothing waits for others while it holds a lock");
#endif
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes));
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
    must(pthread_cond_init(&cond->cond, &attributes));
    must(pthread_condattr_destroy(&attributes));
}

void cond_finish(struct cond *cond)
{
    must(pthread_cond_destroy(&cond->cond));
}

static struct timespec monotonic_in(int64_t wait_ms)
{
    struct timespec moment = {0, 0};
    must(clock_gettime(CLOCK_MONOTONIC, &moment));
    moment.tv_sec += (time_t)(wait_ms / 1000);
    moment.tv_nsec += (long)(wait_ms % 1000) * 1000000L;
    if (moment.tv_nsec >= 1000000000L) {
        moment.tv_sec++;
        moment.tv_nsec -= 1000000000L;
    }
    return moment;
}

bool cond_wait(struct cond *cond, struct lock *lock, int64_t deadline_ms)
{
#ifndef NDEBUG
    assert(held.count == 1 && held.locks[0] == lock && "a wait holds its own lock and no other");
#endif
    if (deadline_ms == DEADLINE_NEVER) {
        must(pthread_cond_wait(&cond->cond, &lock->mutex));
        return true;
    }
    for (;;) {
        int64_t left_ms = deadline_left_ms(deadline_ms);
        if (left_ms == 0) {
            return false;
        }
        struct timespec until = monotonic_in(left_ms < SLICE_MAX_MS ? left_ms : SLICE_MAX_MS);
        int rc = pthread_cond_timedwait(&cond->cond, &lock->mutex, &until);
        if (rc != ETIMEDOUT) {
            must(rc);
            return true;
        }
    }
}

void cond_wake_one(struct cond *cond)
{
    must(pthread_cond_signal(&cond->cond));
}

void cond_wake_all(struct cond *cond)
{
    must(pthread_cond_broadcast(&cond->cond));
}

struct start {
    void *(*run)(void *);
    void *arg;
    char name[THREAD_NAME_SIZE];
};

static void *thread_main(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    (void)pthread_setname_np(pthread_self(), start.name); /* only debuggers miss it */
    return start.run(start.arg);
}

int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked;
    sigset_t before;
    (void)sigfillset(&blocked); /* these cannot fail on a set and numbers that exist */
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        (void)sigdelset(&blocked, crashes[i]);
    }
    struct start *start = alloc_zeroed(1, sizeof *start);
    start->run = run;
    start->arg = arg;
    (void)snprintf(start->name, sizeof start->name, "%.15s", name); /* a longer name is cut */
    must(pthread_sigmask(SIG_BLOCK, &blocked, &before)); /* the new thread inherits the mask */
    int rc = pthread_create(ret_thread, NULL, thread_main, start);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (rc != 0) {
        free(start);
    }
    return -rc;
}
