/*
 * imap/pool_core.h - what the files of the pool share: the workers' states and who may do what
 * when.
 *
 * Only pool*.c include it. Everything ending in _locked needs the pool's lock; nothing here waits
 * for the network but pool_worker.c, without the lock.
 */
#ifndef IMAPFS_IMAP_POOL_CORE_H
#define IMAPFS_IMAP_POOL_CORE_H

#include <pthread.h>

#include "base/lock.h"
#include "base/waker.h"
#include "imap/pool.h"

enum { CONNECTIONS_MAX = 16 };

/* clang-format off */
/*
 *   state       job            session       leaves by
 *   COLD        no             no            given a job or a probe -> ASSIGNED; lent to pool_connect -> CONNECTING; -> ENDED
 *   WARM        no             kept          given a job -> ASSIGNED; idle for too long -> CLOSING; -> ENDED
 *   ASSIGNED    yes, or probe  perhaps       taken up -> RUNNING, CONNECTING; cancelled before -> COLD, WARM
 *   CONNECTING  perhaps        no            success -> RUNNING, WARM (lent); failure -> COLD
 *   RUNNING     yes, or probe  in use        done -> WARM, COLD (it died); dead before the work began -> CONNECTING
 *   CLOSING     no             being closed  -> COLD
 *   ENDED       no             no            never
 */
/* clang-format on */
enum worker_state {
    WORKER_COLD,
    WORKER_WARM,
    WORKER_ASSIGNED,
    WORKER_CONNECTING,
    WORKER_RUNNING,
    WORKER_CLOSING,
    WORKER_ENDED
};

struct worker {
    /* const after create */
    struct pool *pool;
    pthread_t thread;
    struct waker waker; /* ends the waits of the session and of connecting */
    struct cond assigned;

    /* guarded by the pool's lock */
    enum worker_state state;
    struct pool_job *job;
    bool probe;              /* connects for the sake of connecting */
    bool cancelled;          /* the job is not wanted any more */
    struct session *session; /* touched only by who runs it */
    int64_t affinity;        /* of the last job */
    int64_t idle_since_ms;
    uint64_t booked_in, booked_out; /* bytes of the session that are in the pool's sums */
};

/* A job that ends without having run. */
struct finished {
    struct finished *next;
    struct pool_job *job;
    int result;
    struct err why;
};

struct job_list {
    struct pool_job *first, *last;
};

enum job_state { JOB_QUEUED = 1, JOB_GIVEN, JOB_FINISHED };

struct pool {
    /* const after create */
    struct account account;
    unsigned connections;
    int64_t idle_ms;
    pthread_t clerk;
    struct lock lock;
    struct cond clerk_news;   /* something finished, or the clerk would sleep for too long */
    struct cond connect_news; /* an attempt to connect ended */

    /* guarded by lock */
    struct worker workers[CONNECTIONS_MAX];
    struct job_list queues[PRIORITY_COUNT];
    unsigned queued;
    struct finished *finished_first, *finished_last;
    int64_t clerk_wakes_ms;
    enum pool_state state;
    unsigned failures;       /* attempts in a row that failed */
    bool auth_failure;       /* of the last one */
    int64_t next_attempt_ms; /* clock: none earlier */
    struct err last_error;
    int64_t last_error_wall_s;
    uint64_t connects, bytes_in, bytes_out;
    bool ending, clerk_may_end;
};

/* ---- pool_plan.c: the decisions ---- */

void worker_set_state_locked(struct pool *pool, struct worker *worker, enum worker_state state)
    REQUIRES(pool->lock);
/* Asserts the table above. */
void pool_check_locked(struct pool *pool) REQUIRES(pool->lock);

/* Gives queued jobs to workers and fails those that have no hope. After every change. */
void pool_plan_locked(struct pool *pool) REQUIRES(pool->lock);

void pool_enqueue_locked(struct pool *pool, struct pool_job *job, bool in_front)
    REQUIRES(pool->lock);
/* Takes the job out of its queue; false if it is in none. Does not look into the job. */
bool pool_dequeue_locked(struct pool *pool, const struct pool_job *job) REQUIRES(pool->lock);
/* The clerk will call `done`. */
void pool_finish_job_locked(struct pool *pool, struct pool_job *job, int result,
    const struct err *why) REQUIRES(pool->lock);
/* Ends the jobs that have waited past their deadline; the next deadline of those that wait. */
int64_t pool_expire_locked(struct pool *pool) REQUIRES(pool->lock);
void pool_cancel_queued_locked(struct pool *pool) REQUIRES(pool->lock);

/* Whether a connection may be attempted now. */
bool pool_may_connect_locked(struct pool *pool) REQUIRES(pool->lock);
bool pool_is_connecting_locked(struct pool *pool) REQUIRES(pool->lock);
unsigned pool_sessions_locked(struct pool *pool) REQUIRES(pool->lock);
void pool_attempt_succeeded_locked(struct pool *pool) REQUIRES(pool->lock);
void pool_attempt_failed_locked(struct pool *pool, const struct err *why) REQUIRES(pool->lock);

/* ---- pool_worker.c: the threads ---- */

void *pool_worker_run(void *arg); /* a struct worker */
void *pool_clerk_run(void *arg);  /* a struct pool */
/* Adds what the session moved since the last time to the pool's sums. Only by who runs the session.
 */
void worker_book_bytes_locked(struct pool *pool, struct worker *worker) REQUIRES(pool->lock);

#endif
