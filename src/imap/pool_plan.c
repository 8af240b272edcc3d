#include "imap/pool_core.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MOST_MS = 30 * 1000,
    AUTH_BACKOFF_FIRST_MS = 60 * 1000,
    AUTH_BACKOFF_MOST_MS = 15 * 60 * 1000
};

/* ---- states --------------------------------------------------------------------------------- */

#define TO(state) (1u << (state))

void worker_set_state_locked(struct pool *pool, struct worker *worker, enum worker_state state)
{
    static const unsigned moves[] = {
        [WORKER_COLD] = TO(WORKER_ASSIGNED) | TO(WORKER_CONNECTING) | TO(WORKER_ENDED),
        [WORKER_WARM] = TO(WORKER_ASSIGNED) | TO(WORKER_CLOSING) | TO(WORKER_ENDED),
        [WORKER_ASSIGNED] =
            TO(WORKER_RUNNING) | TO(WORKER_CONNECTING) | TO(WORKER_COLD) | TO(WORKER_WARM),
        [WORKER_CONNECTING] = TO(WORKER_RUNNING) | TO(WORKER_WARM) | TO(WORKER_COLD),
        [WORKER_RUNNING] = TO(WORKER_WARM) | TO(WORKER_COLD) | TO(WORKER_CONNECTING),
        [WORKER_CLOSING] = TO(WORKER_COLD),
        [WORKER_ENDED] = 0,
    };
    (void)moves; /* NDEBUG */
    (void)pool;
    lock_assert_held(&pool->lock);
    assert((moves[worker->state] & TO(state)) != 0);
    worker->state = state;
}

static bool is_free(const struct worker *worker)
{
    return worker->state == WORKER_COLD || worker->state == WORKER_WARM;
}

static void check_worker(const struct worker *worker)
{
    (void)worker; /* NDEBUG */
    switch (worker->state) {
    case WORKER_COLD:
    case WORKER_CLOSING:
    case WORKER_ENDED:
        assert(worker->job == NULL && !worker->probe && worker->session == NULL);
        break;
    case WORKER_WARM:
        assert(worker->job == NULL && !worker->probe && worker->session != NULL);
        break;
    case WORKER_ASSIGNED:
        assert(worker->job != NULL || worker->probe);
        break;
    case WORKER_CONNECTING:
        assert(worker->session == NULL);
        break;
    case WORKER_RUNNING:
        assert((worker->job != NULL || worker->probe) && worker->session != NULL);
        break;
    }
}

void pool_check_locked(struct pool *pool)
{
    lock_assert_held(&pool->lock);
    for (unsigned i = 0; i < pool->connections; i++) {
        check_worker(&pool->workers[i]);
    }
    assert((pool->finished_first == NULL) == (pool->finished_last == NULL));
}

unsigned pool_sessions_locked(struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->connections; i++) {
        count += pool->workers[i].session != NULL ? 1 : 0;
    }
    return count;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

void pool_enqueue_locked(struct pool *pool, struct pool_job *job, bool in_front)
{
    struct job_list *list = &pool->queues[job->priority];
    job->state = JOB_QUEUED;
    job->next = in_front ? list->first : NULL;
    if (list->first == NULL) {
        list->first = job;
        list->last = job;
    } else if (in_front) {
        list->first = job;
    } else {
        list->last->next = job;
        list->last = job;
    }
    pool->queued++;
    /* Its own deadline, or the time of the next attempt, may come before the clerk would look. */
    if (job->deadline_ms < pool->clerk_wakes_ms ||
        (pool->next_attempt_ms != 0 && pool->next_attempt_ms < pool->clerk_wakes_ms)) {
        cond_wake_one(&pool->clerk_news);
    }
}

/* Cuts the job behind `before` (NULL: the first) out of the list. */
static void unlink_job(struct pool *pool, struct job_list *list, struct pool_job *before)
{
    struct pool_job *job = before == NULL ? list->first : before->next;
    if (before == NULL) {
        list->first = job->next;
    } else {
        before->next = job->next;
    }
    if (list->last == job) {
        list->last = before;
    }
    job->next = NULL;
    pool->queued--;
}

bool pool_dequeue_locked(struct pool *pool, const struct pool_job *job)
{
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        struct pool_job *before = NULL;
        for (struct pool_job *at = pool->queues[i].first; at != NULL; at = at->next) {
            if (at == job) {
                unlink_job(pool, &pool->queues[i], before);
                return true;
            }
            before = at;
        }
    }
    return false;
}

void pool_finish_job_locked(
    struct pool *pool, struct pool_job *job, int result, const struct err *why)
{
    struct finished *finished = alloc_zeroed(1, sizeof *finished);
    finished->job = job;
    finished->result = result;
    finished->why = *why;
    job->state = JOB_FINISHED;
    if (pool->finished_last == NULL) {
        pool->finished_first = finished;
    } else {
        pool->finished_last->next = finished;
    }
    pool->finished_last = finished;
    cond_wake_one(&pool->clerk_news);
}

static void fail_queue_locked(struct pool *pool, enum pool_priority priority, const struct err *why)
    REQUIRES(pool->lock)
{
    struct job_list *list = &pool->queues[priority];
    while (list->first != NULL) {
        struct pool_job *job = list->first;
        unlink_job(pool, list, NULL);
        pool_finish_job_locked(pool, job, -why->errnum, why);
    }
}

void pool_cancel_queued_locked(struct pool *pool)
{
    struct err why = ERR_INIT;
    (void)err_set(&why, ERR_CANCELLED, EINTR, "the connections are being closed");
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        fail_queue_locked(pool, (enum pool_priority)i, &why);
    }
}

int64_t pool_expire_locked(struct pool *pool)
{
    int64_t now = clock_now_ms();
    int64_t next = DEADLINE_NEVER;
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        struct pool_job *before = NULL;
        struct pool_job *job = pool->queues[i].first;
        while (job != NULL) {
            struct pool_job *behind = job->next;
            if (job->deadline_ms <= now) {
                struct err why = ERR_INIT;
                int rc = err_set(&why, ERR_RETRY, ETIMEDOUT, "no connection to %s was free in time",
                    pool->account.host);
                unlink_job(pool, &pool->queues[i], before);
                pool_finish_job_locked(pool, job, rc, &why);
            } else {
                next = job->deadline_ms < next ? job->deadline_ms : next;
                before = job;
            }
            job = behind;
        }
    }
    return next;
}

/* ---- attempts to connect -------------------------------------------------------------------- */

bool pool_is_connecting_locked(struct pool *pool)
{
    for (unsigned i = 0; i < pool->connections; i++) {
        const struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_CONNECTING ||
            (worker->state == WORKER_ASSIGNED && worker->session == NULL)) {
            return true;
        }
    }
    return false;
}

/* While it is not known that connecting works, one tries and the others wait for what it finds: a
 * wrong password is said once, not once a worker. */
bool pool_may_connect_locked(struct pool *pool)
{
    return !pool->ending && clock_now_ms() >= pool->next_attempt_ms &&
           (pool->state == POOL_ONLINE || !pool_is_connecting_locked(pool));
}

void pool_attempt_succeeded_locked(struct pool *pool)
{
    pool->state = POOL_ONLINE;
    pool->failures = 0;
    pool->next_attempt_ms = 0;
    pool->connects++;
    cond_wake_all(&pool->connect_news);
}

static int64_t backoff_ms(unsigned failures, bool auth)
{
    int64_t wait = auth ? AUTH_BACKOFF_FIRST_MS : BACKOFF_FIRST_MS;
    int64_t most = auth ? AUTH_BACKOFF_MOST_MS : BACKOFF_MOST_MS;
    for (unsigned i = 1; i < failures && wait < most; i++) {
        wait *= 2;
    }
    wait = wait < most ? wait : most;
    uint32_t chance = 0;
    (void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK); /* without it: no jitter */
    return wait + (int64_t)(chance % (uint32_t)(wait / 4));
}

void pool_attempt_failed_locked(struct pool *pool, const struct err *why)
{
    bool auth = why->class == ERR_AUTH;
    pool->failures = auth == pool->auth_failure ? pool->failures + 1 : 1;
    pool->auth_failure = auth;
    pool->next_attempt_ms = deadline_in(backoff_ms(pool->failures, auth));
    pool->last_error = *why;
    pool->last_error_wall_s = clock_wall_s();
    if (pool_sessions_locked(pool) == 0) {
        pool->state = auth ? POOL_AUTH_FAILED : POOL_OFFLINE;
    }
    cond_wake_all(&pool->connect_news);
    cond_wake_one(&pool->clerk_news); /* it keeps the time of the next attempt */
}

/* ---- who does what -------------------------------------------------------------------------- */

/* How gladly the worker would take the job; 0: it cannot. */
static int fitness(const struct worker *worker, const struct pool_job *job, bool may_connect)
{
    switch (worker->state) {
    case WORKER_WARM:
        if (job->affinity != 0 && worker->affinity == job->affinity) {
            return 4;
        }
        return worker->affinity == 0 ? 3 : 2;
    case WORKER_COLD:
        return may_connect ? 1 : 0;
    case WORKER_ASSIGNED:
    case WORKER_CONNECTING:
    case WORKER_RUNNING:
    case WORKER_CLOSING:
    case WORKER_ENDED:
        return 0;
    }
    return 0;
}

/* One usable worker stays free of whatever nobody waits for; where there is but one, all share it.
 */
static bool is_reserved_locked(struct pool *pool, bool may_connect) REQUIRES(pool->lock)
{
    unsigned usable = 0;
    unsigned busy = 0;
    for (unsigned i = 0; i < pool->connections; i++) {
        const struct worker *worker = &pool->workers[i];
        bool free = is_free(worker);
        busy += free ? 0 : 1;
        usable += free && (worker->state == WORKER_WARM || may_connect) ? 1 : 0;
    }
    return usable + busy > 1 && usable < 2;
}

static struct worker *choose_locked(struct pool *pool, const struct pool_job *job)
    REQUIRES(pool->lock)
{
    bool may_connect = pool_may_connect_locked(pool);
    struct worker *best = NULL;
    int most = 0;
    if (job->priority != PRIORITY_INTERACTIVE && is_reserved_locked(pool, may_connect)) {
        return NULL;
    }
    for (unsigned i = 0; i < pool->connections; i++) {
        int fit = fitness(&pool->workers[i], job, may_connect);
        if (fit > most) {
            most = fit;
            best = &pool->workers[i];
        }
    }
    return best;
}

static void match_locked(struct pool *pool) REQUIRES(pool->lock)
{
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        struct job_list *list = &pool->queues[i];
        while (list->first != NULL) {
            struct pool_job *job = list->first;
            struct worker *worker = choose_locked(pool, job);
            if (worker == NULL) {
                break;
            }
            unlink_job(pool, list, NULL);
            job->state = JOB_GIVEN;
            worker->job = job;
            worker_set_state_locked(pool, worker, WORKER_ASSIGNED);
            cond_wake_one(&worker->assigned);
        }
    }
}

/* Where nothing lives and nothing may be tried yet, who waits for it is told now. */
static void settle_locked(struct pool *pool) REQUIRES(pool->lock)
{
    if (pool->failures == 0 || pool_sessions_locked(pool) > 0 || pool_is_connecting_locked(pool) ||
        clock_now_ms() >= pool->next_attempt_ms) {
        return;
    }
    pool->state = pool->auth_failure ? POOL_AUTH_FAILED : POOL_OFFLINE;
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        if (pool->auth_failure || i == PRIORITY_INTERACTIVE) {
            fail_queue_locked(pool, (enum pool_priority)i, &pool->last_error);
        }
    }
}

void pool_plan_locked(struct pool *pool)
{
    lock_assert_held(&pool->lock);
    if (!pool->ending) {
        match_locked(pool);
        settle_locked(pool);
    }
    pool_check_locked(pool);
}
