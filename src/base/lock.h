/*
 * base/lock.h - mutexes with a name and a rank, and condition variables that wait against clock.h's
 * deadlines.
 *
 * A thread may take a lock only while every lock it holds has a lower rank; debug builds (without
 * NDEBUG) assert it and lock_assert_none_held(), which stands before every network wait, callback
 * and reply.
 */
#ifndef IMAPFS_BASE_LOCK_H
#define IMAPFS_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#if defined(__clang__)
#define CAPABILITY(x) __attribute__((capability(x)))
#define REQUIRES(x) __attribute__((requires_capability(x)))
#define ACQUIRES(x) __attribute__((acquire_capability(x)))
#define RELEASES(x) __attribute__((release_capability(x)))
#define ASSERTS_HELD(x) __attribute__((assert_capability(x)))
#define NO_LOCK_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(x)
#define REQUIRES(x)
#define ACQUIRES(x)
#define RELEASES(x)
#define ASSERTS_HELD(x)
#define NO_LOCK_ANALYSIS
#endif

/* For the reader: in C, clang cannot yet resolve a neighbouring member in guarded_by(). */
#define GUARDED_BY(x)

/* Every lock of the program, lowest rank first. */
enum lock_rank {
    RANK_FS = 1,     /* fs: handles and parked operations */
    RANK_NOTIFY,     /* fs: the queue of news for the kernel */
    RANK_CONTROL,    /* app: the control socket */
    RANK_ENGINE,     /* engine: flights, waits, freshness */
    RANK_POOL,       /* imap: jobs and workers */
    RANK_STREAM,     /* imap: resumable TLS sessions, a resolver's answer */
    RANK_CRED,       /* app: the password */
    RANK_STORE_POOL, /* store: the free database connections */
    RANK_STORE,      /* store: the one writer */
    RANK_BODY,       /* store: the sizes of the body cache */
    RANK_LOG
};

struct CAPABILITY("mutex") lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
    const char *name;
};

void lock_init(struct lock *lock, enum lock_rank rank, const char *name);
void lock_finish(struct lock *lock);
void lock_take(struct lock *lock) ACQUIRES(lock);
void lock_release(struct lock *lock) RELEASES(lock);
/* Fails where this thread does not hold the lock, or any lock. Nothing with NDEBUG. */
void lock_assert_held(const struct lock *lock) ASSERTS_HELD(lock);
void lock_assert_none_held(void);

struct cond {
    pthread_cond_t cond;
};

void cond_init(struct cond *cond);
void cond_finish(struct cond *cond);
/*
 * Waits until woken (true, also without reason: ask the condition again) or the deadline of clock.h
 * passed (false). `lock` is the only one this thread may hold. A suspend of the machine lengthens
 * the wait by an hour at most.
 */
bool cond_wait(struct cond *cond, struct lock *lock, int64_t deadline_ms) REQUIRES(lock);
void cond_wake_one(struct cond *cond);
void cond_wake_all(struct cond *cond);

/*
 * Starts a thread with a name for debuggers (15 bytes), with all signals blocked but those of a
 * crash: signals are for main alone. 0 or -errno (EAGAIN).
 */
int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg) MUST_USE;

#endif
