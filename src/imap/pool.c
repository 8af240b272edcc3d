#include "imap/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "imap/pool_core.h"

enum { IDLE_DEFAULT_MS = 5 * 60 * 1000 };

/* ---- the pool's life ------------------------------------------------------------------------ */

static void init_pool(struct pool *pool, const struct pool_options *options)
{
    pool->account = options->account;
    pool->connections = options->connections;
    pool->idle_ms = options->idle_ms > 0 ? options->idle_ms : IDLE_DEFAULT_MS;
    pool->state = POOL_NEVER_CONNECTED;
    lock_init(&pool->lock, RANK_POOL, "pool");
    cond_init(&pool->clerk_news);
    cond_init(&pool->connect_news);
}

static void finish_pool(struct pool *pool)
{
    cond_finish(&pool->connect_news);
    cond_finish(&pool->clerk_news);
    lock_finish(&pool->lock);
    free(pool);
}

static void finish_worker(struct worker *worker)
{
    cond_finish(&worker->assigned);
    waker_finish(&worker->waker);
}

static int start_worker(struct pool *pool, unsigned index)
{
    struct worker *worker = &pool->workers[index];
    char name[16];
    worker->pool = pool;
    int rc = waker_init(&worker->waker);
    if (rc != 0) {
        return rc;
    }
    cond_init(&worker->assigned);
    (void)snprintf(name, sizeof name, "imap-%u", index);
    rc = thread_start(&worker->thread, name, pool_worker_run, worker);
    if (rc != 0) {
        finish_worker(worker);
    }
    return rc;
}

/* Ends the first `workers` workers and the clerk, if there is one. */
static void end_threads(struct pool *pool, unsigned workers, bool clerk)
{
    lock_take(&pool->lock);
    pool->ending = true;
    pool_cancel_queued_locked(pool);
    for (unsigned i = 0; i < workers; i++) {
        pool->workers[i].cancelled = true;
        waker_wake(&pool->workers[i].waker);
        cond_wake_all(&pool->workers[i].assigned);
    }
    lock_release(&pool->lock);
    for (unsigned i = 0; i < workers; i++) {
        (void)pthread_join(pool->workers[i].thread, NULL);
    }
    lock_take(&pool->lock);
    pool->clerk_may_end = true;
    cond_wake_all(&pool->clerk_news);
    lock_release(&pool->lock);
    if (clerk) {
        (void)pthread_join(pool->clerk, NULL);
    }
    for (unsigned i = 0; i < workers; i++) {
        finish_worker(&pool->workers[i]);
    }
}

int pool_create(struct pool **ret, const struct pool_options *options, struct err *why)
{
    if (options->connections < 1 || options->connections > CONNECTIONS_MAX) {
        return err_set(why, ERR_LOCAL, EINVAL, "there may be 1 to %d connections", CONNECTIONS_MAX);
    }
    struct pool *pool = alloc_zeroed(1, sizeof *pool);
    unsigned started = 0;
    init_pool(pool, options);
    int rc = thread_start(&pool->clerk, "imap-clerk", pool_clerk_run, pool);
    bool clerk = rc == 0;
    while (rc == 0 && started < pool->connections) {
        rc = start_worker(pool, started);
        started += rc == 0 ? 1 : 0;
    }
    if (rc != 0) {
        end_threads(pool, started, clerk);
        finish_pool(pool);
        return err_set(why, ERR_LOCAL, -rc, "the threads for the connections do not start");
    }
    *ret = pool;
    return 0;
}

void pool_destroy(struct pool **pool)
{
    if (*pool == NULL) {
        return;
    }
    end_threads(*pool, (*pool)->connections, true);
    finish_pool(*pool);
    *pool = NULL;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

void pool_submit(struct pool *pool, struct pool_job *job)
{
    lock_take(&pool->lock);
    job->next = NULL;
    if (pool->ending) {
        struct err why = ERR_INIT;
        int rc = err_set(&why, ERR_CANCELLED, EINTR, "the connections are being closed");
        pool_finish_job_locked(pool, job, rc, &why);
    } else {
        pool_enqueue_locked(pool, job, false);
        pool_plan_locked(pool);
    }
    lock_release(&pool->lock);
}

void pool_cancel(struct pool *pool, struct pool_job *job)
{
    lock_take(&pool->lock);
    if (pool_dequeue_locked(pool, job)) {
        struct err why = ERR_INIT;
        int rc = err_set(&why, ERR_CANCELLED, EINTR, "the request was given up while it waited");
        pool_finish_job_locked(pool, job, rc, &why);
    }
    for (unsigned i = 0; i < pool->connections; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->job == job) {
            worker->cancelled = true;
            waker_wake(&worker->waker);
        }
    }
    lock_release(&pool->lock);
}

/* ---- connecting without a job --------------------------------------------------------------- */

static struct worker *cold_worker_locked(struct pool *pool) REQUIRES(pool->lock)
{
    for (unsigned i = 0; i < pool->connections; i++) {
        if (pool->workers[i].state == WORKER_COLD) {
            return &pool->workers[i];
        }
    }
    return NULL;
}

void pool_retry_now(struct pool *pool)
{
    lock_take(&pool->lock);
    pool->next_attempt_ms = 0;
    pool_plan_locked(pool);
    struct worker *worker = cold_worker_locked(pool);
    if (!pool->ending && pool->state != POOL_ONLINE && worker != NULL &&
        !pool_is_connecting_locked(pool)) {
        worker->probe = true;
        worker_set_state_locked(pool, worker, WORKER_ASSIGNED);
        cond_wake_one(&worker->assigned);
    }
    lock_release(&pool->lock);
}

/* Opens a session in the caller's thread and leaves it with the worker. */
static int connect_lent_locked(struct pool *pool, struct worker *worker, struct err *why)
    REQUIRES(pool->lock)
{
    struct session *session = NULL;
    struct err reason = ERR_INIT;
    worker_set_state_locked(pool, worker, WORKER_CONNECTING);
    lock_release(&pool->lock);
    lock_assert_none_held();
    int rc = session_open(&session, &pool->account, &worker->waker, &reason);
    lock_take(&pool->lock);
    if (rc == 0) {
        worker->session = session;
        worker->idle_since_ms = clock_now_ms();
        worker_book_bytes_locked(pool, worker);
        worker_set_state_locked(pool, worker, WORKER_WARM);
        pool_attempt_succeeded_locked(pool);
        cond_wake_one(&worker->assigned); /* it watches over idleness now */
    } else {
        worker_set_state_locked(pool, worker, WORKER_COLD);
        pool_attempt_failed_locked(pool, &reason);
        if (why != NULL) {
            *why = reason;
        }
    }
    pool_plan_locked(pool);
    return rc;
}

int pool_connect(struct pool *pool, struct err *why)
{
    int rc = 0;
    lock_take(&pool->lock);
    while (pool_sessions_locked(pool) == 0) {
        struct worker *worker = cold_worker_locked(pool);
        if (worker != NULL && !pool_is_connecting_locked(pool)) {
            rc = connect_lent_locked(pool, worker, why);
            break;
        }
        (void)cond_wait(&pool->connect_news, &pool->lock, DEADLINE_NEVER);
    }
    lock_release(&pool->lock);
    return rc;
}

void pool_get_status(struct pool *pool, struct pool_status *ret)
{
    struct pool_status status = {.last_error = ERR_INIT};
    lock_take(&pool->lock);
    status.state = pool->state;
    status.sessions = pool_sessions_locked(pool);
    for (unsigned i = 0; i < pool->connections; i++) {
        status.busy += pool->workers[i].job != NULL ? 1 : 0;
    }
    status.queued = pool->queued;
    status.bytes_in = pool->bytes_in;
    status.bytes_out = pool->bytes_out;
    status.connects = pool->connects;
    status.last_error = pool->last_error;
    status.last_error_wall_s = pool->last_error_wall_s;
    int64_t wait = pool->next_attempt_ms - clock_now_ms();
    status.next_attempt_in_ms = pool->next_attempt_ms != 0 && wait > 0 ? wait : 0;
    lock_release(&pool->lock);
    *ret = status;
}
