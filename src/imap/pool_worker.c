#include "imap/pool_core.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

void worker_book_bytes_locked(struct pool *pool, struct worker *worker)
{
    lock_assert_held(&pool->lock);
    if (worker->session == NULL) {
        return;
    }
    uint64_t in = session_bytes_in(worker->session);
    uint64_t out = session_bytes_out(worker->session);
    pool->bytes_in += in - worker->booked_in;
    pool->bytes_out += out - worker->booked_out;
    worker->booked_in = in;
    worker->booked_out = out;
}

/* Takes the session out of the worker, to be destroyed without the lock. */
static struct session *take_session_locked(struct pool *pool, struct worker *worker)
    REQUIRES(pool->lock)
{
    struct session *session = worker->session;
    worker_book_bytes_locked(pool, worker);
    worker->session = NULL;
    worker->booked_in = 0;
    worker->booked_out = 0;
    worker->affinity = 0;
    return session;
}

static void close_idle_locked(struct pool *pool, struct worker *worker) REQUIRES(pool->lock)
{
    struct session *session = take_session_locked(pool, worker);
    worker_set_state_locked(pool, worker, WORKER_CLOSING);
    lock_release(&pool->lock);
    lock_assert_none_held();
    session_destroy(&session);
    lock_take(&pool->lock);
    worker_set_state_locked(pool, worker, WORKER_COLD);
    pool_plan_locked(pool);
}

/* ---- one job -------------------------------------------------------------------------------- */

/* A job on its way through a worker. */
struct errand {
    struct pool *pool;
    struct worker *worker;
    struct pool_job *job; /* NULL: a probe */
    bool fresh;           /* the session was opened for this very job */
    bool given_back;      /* the job waits again, or the clerk has it: not ours any more */
    int result;
    struct err why;
};

static void set_cancelled(struct errand *errand)
{
    errand->result =
        err_set(&errand->why, ERR_CANCELLED, EINTR, "the request was given up before it began");
}

/* Puts the job back to wait for a session that lives, or for the time of the next attempt. */
static void give_back_locked(struct errand *errand, struct pool *pool) REQUIRES(pool->lock)
{
    if (errand->job != NULL) {
        errand->worker->job = NULL;
        pool_enqueue_locked(pool, errand->job, true);
        errand->given_back = true;
    }
    errand->result = -EAGAIN; /* nothing to run */
}

/* What a failed attempt means for the job that made it. */
static void attempt_failed_locked(struct errand *errand, struct pool *pool) REQUIRES(pool->lock)
{
    if (errand->worker->cancelled || errand->why.class == ERR_CANCELLED) {
        cond_wake_all(&pool->connect_news); /* it says nothing about the server */
        return;
    }
    pool_attempt_failed_locked(pool, &errand->why);
    if (pool_sessions_locked(pool) > 0) {
        give_back_locked(errand, pool);
    }
}

/* From CONNECTING to RUNNING; else errand->result says why not. */
static bool connect_session(struct errand *errand)
{
    struct pool *pool = errand->pool;
    struct worker *worker = errand->worker;
    struct session *session = NULL;
    lock_assert_none_held();
    errand->result = session_open(&session, &pool->account, &worker->waker, &errand->why);
    errand->fresh = true;
    lock_take(&pool->lock);
    if (errand->result == 0) {
        worker->session = session;
        worker_book_bytes_locked(pool, worker);
        pool_attempt_succeeded_locked(pool);
        worker_set_state_locked(pool, worker, WORKER_RUNNING);
        pool_plan_locked(pool); /* others may connect too now */
    } else {
        attempt_failed_locked(errand, pool);
    }
    lock_release(&pool->lock);
    return errand->result == 0;
}

/* The session is of no use: closes it and goes to CONNECTING if that is allowed. */
static bool replace_session(struct errand *errand)
{
    struct pool *pool = errand->pool;
    struct worker *worker = errand->worker;
    lock_take(&pool->lock);
    struct session *session = take_session_locked(pool, worker);
    bool go = false;
    if (worker->cancelled || pool->ending) {
        set_cancelled(errand);
        worker_set_state_locked(pool, worker, WORKER_CONNECTING);
    } else {
        go = pool_may_connect_locked(pool);
        worker_set_state_locked(pool, worker, WORKER_CONNECTING);
        if (!go) {
            give_back_locked(errand, pool);
        }
    }
    lock_release(&pool->lock);
    session_destroy(&session);
    return go && connect_session(errand);
}

/* From ASSIGNED to a session that can be used. */
static bool get_ready(struct errand *errand)
{
    struct pool *pool = errand->pool;
    struct worker *worker = errand->worker;
    lock_take(&pool->lock);
    bool has_session = worker->session != NULL;
    bool cancelled = worker->cancelled || pool->ending;
    if (!cancelled) {
        worker_set_state_locked(pool, worker, has_session ? WORKER_RUNNING : WORKER_CONNECTING);
    }
    lock_release(&pool->lock);
    if (cancelled) {
        set_cancelled(errand);
        return false;
    }
    if (!has_session) {
        return connect_session(errand);
    }
    lock_assert_none_held();
    return session_is_alive(worker->session) || replace_session(errand);
}

static bool was_cancelled(struct errand *errand)
{
    struct pool *pool = errand->pool;
    lock_take(&pool->lock);
    bool cancelled = errand->worker->cancelled || pool->ending;
    lock_release(&pool->lock);
    return cancelled;
}

/* Runs the job; true if it may be run again because an idle connection was dead all along: it broke
 * before the server said a word. */
static bool run_once(struct errand *errand)
{
    struct session *session = errand->worker->session;
    uint64_t before = session_bytes_in(session);
    lock_assert_none_held();
    errand->why = (struct err)ERR_INIT;
    errand->result = errand->job->run(errand->job->arg, session, &errand->why);
    return errand->result != 0 && !errand->fresh && errand->why.class == ERR_RETRY &&
           session_is_dead(session) && session_bytes_in(session) == before &&
           !was_cancelled(errand);
}

/* The worker is free again: WARM or COLD. */
static void leave(struct errand *errand)
{
    struct pool *pool = errand->pool;
    struct worker *worker = errand->worker;
    struct session *dead = NULL;
    lock_take(&pool->lock);
    worker_book_bytes_locked(pool, worker);
    if (worker->session != NULL && session_is_dead(worker->session)) {
        dead = take_session_locked(pool, worker);
    }
    worker->job = NULL;
    worker->probe = false;
    worker->cancelled = false;
    if (!pool->ending) {
        waker_clear(&worker->waker);
    }
    if (worker->session != NULL && errand->job != NULL) {
        worker->affinity = errand->job->affinity;
    }
    worker->idle_since_ms = clock_now_ms();
    worker_set_state_locked(pool, worker, worker->session != NULL ? WORKER_WARM : WORKER_COLD);
    lock_release(&pool->lock);
    session_destroy(&dead);
}

static void serve(struct pool *pool, struct worker *worker)
{
    lock_take(&pool->lock);
    struct errand errand = {.pool = pool, .worker = worker, .job = worker->job, .why = ERR_INIT};
    lock_release(&pool->lock);
    if (get_ready(&errand) && errand.job != NULL && run_once(&errand) && replace_session(&errand)) {
        (void)run_once(&errand); /* fresh now: never a third time */
    }
    leave(&errand);
    if (errand.job != NULL && !errand.given_back) {
        lock_assert_none_held();
        errand.job->done(errand.job->arg, errand.result, &errand.why);
    }
    lock_take(&pool->lock);
    pool_plan_locked(pool);
    lock_release(&pool->lock);
}

/* ---- the threads ---------------------------------------------------------------------------- */

/* True when there is work, false when the pool ends. */
static bool await_work_locked(struct pool *pool, struct worker *worker) REQUIRES(pool->lock)
{
    while (worker->state != WORKER_ASSIGNED) {
        bool closable = worker->state == WORKER_WARM;
        int64_t close_at = closable ? worker->idle_since_ms + pool->idle_ms : DEADLINE_NEVER;
        if (pool->ending) {
            return false;
        }
        if (closable && clock_now_ms() >= close_at) {
            close_idle_locked(pool, worker);
            continue;
        }
        (void)cond_wait(&worker->assigned, &pool->lock, close_at);
    }
    return true;
}

void *pool_worker_run(void *arg)
{
    struct worker *worker = arg;
    struct pool *pool = worker->pool;
    lock_take(&pool->lock);
    while (await_work_locked(pool, worker)) {
        lock_release(&pool->lock);
        serve(pool, worker);
        lock_take(&pool->lock);
    }
    struct session *session = take_session_locked(pool, worker);
    worker_set_state_locked(pool, worker, WORKER_ENDED);
    lock_release(&pool->lock);
    session_destroy(&session);
    return NULL;
}

static void hand_out_locked(struct pool *pool) REQUIRES(pool->lock)
{
    while (pool->finished_first != NULL) {
        struct finished *finished = pool->finished_first;
        pool->finished_first = finished->next;
        if (pool->finished_first == NULL) {
            pool->finished_last = NULL;
        }
        lock_release(&pool->lock);
        lock_assert_none_held();
        finished->job->done(finished->job->arg, finished->result, &finished->why);
        free(finished);
        lock_take(&pool->lock);
    }
}

/* Tells of jobs that never ran, and watches the clock for those that wait. */
void *pool_clerk_run(void *arg)
{
    struct pool *pool = arg;
    lock_take(&pool->lock);
    for (;;) {
        hand_out_locked(pool);
        int64_t wake_ms = pool_expire_locked(pool);
        pool_plan_locked(pool);
        if (pool->finished_first != NULL) {
            continue;
        }
        if (pool->clerk_may_end) {
            break;
        }
        if (pool->queued > 0 && pool->next_attempt_ms > clock_now_ms() &&
            pool->next_attempt_ms < wake_ms) {
            wake_ms = pool->next_attempt_ms;
        }
        pool->clerk_wakes_ms = wake_ms;
        (void)cond_wait(&pool->clerk_news, &pool->lock, wake_ms);
        pool->clerk_wakes_ms = 0; /* it looks at everything before it sleeps again */
    }
    lock_release(&pool->lock);
    return NULL;
}
