/* Who gets a connection, when one is made, and that every job ends exactly once. */
#include <check.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "imap/pool.h"
#include "session_case.h"

enum { BOUND_S = 60, TASKS_MAX = 256 };

#define WILLING IN("IDLE") "AUTO"
#define STATUS_ANSWERED "C STATUS *\nS * STATUS box (MESSAGES 1)\nS $T OK\n"

/* A job and what became of it. */
struct task {
    struct pool_job job;
    struct bench *bench;
    bool held; /* run waits for release */
    bool asks; /* run asks for a STATUS */
    bool released;
    unsigned runs, dones;
    unsigned started_at, done_at; /* places in the order of events */
    const struct session *session;
    int result;
    struct err why;
    struct task *then; /* submitted by done */
};

struct bench {
    struct place place; /* its session is not used */
    struct pool *pool;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned events;
    struct task tasks[TASKS_MAX];
    size_t count;
};

static struct bench *bench_start(const char *const *scripts, size_t count)
{
    struct bench *bench = g_new0(struct bench, 1);
    pthread_mutex_init(&bench->mutex, NULL);
    pthread_cond_init(&bench->changed, NULL);
    place_start(&bench->place, scripts, count);
    return bench;
}

static void bench_pool(struct bench *bench, unsigned connections, int64_t idle_ms)
{
    struct pool_options options = {
        .account = bench->place.account, .connections = connections, .idle_ms = idle_ms};
    ck_assert_int_eq(pool_create(&bench->pool, &options, &bench->place.why), 0);
}

static void bench_end(struct bench *bench)
{
    pool_destroy(&bench->pool);
    for (size_t i = 0; i < bench->count; i++) {
        ck_assert_uint_eq(bench->tasks[i].dones, 1);
    }
    place_end(&bench->place);
    pthread_cond_destroy(&bench->changed);
    pthread_mutex_destroy(&bench->mutex);
    g_free(bench);
}

/* Waits for *what to become true; the mutex is held. */
static void await_locked(struct bench *bench, const bool *what)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += BOUND_S;
    while (!*what) {
        int rc = pthread_cond_timedwait(&bench->changed, &bench->mutex, &until);
        ck_assert_msg(rc == 0, "awaited in vain");
    }
}

static int task_run(void *arg, struct session *session, struct err *why)
{
    struct task *task = arg;
    struct bench *bench = task->bench;
    struct mailbox_status status;
    pthread_mutex_lock(&bench->mutex);
    task->runs++;
    task->session = session;
    task->started_at = ++bench->events;
    pthread_cond_broadcast(&bench->changed);
    if (task->held) {
        await_locked(bench, &task->released);
    }
    pthread_mutex_unlock(&bench->mutex);
    return task->asks ? session_status(session, "box", 3, &status, why) : 0;
}

static void task_done(void *arg, int result, const struct err *why)
{
    struct task *task = arg;
    struct bench *bench = task->bench;
    struct task *then = task->then;
    if (then != NULL) {
        pool_submit(bench->pool, &then->job);
    }
    pthread_mutex_lock(&bench->mutex);
    task->result = result;
    task->why = *why;
    task->dones++;
    task->done_at = ++bench->events;
    pthread_cond_broadcast(&bench->changed);
    pthread_mutex_unlock(&bench->mutex);
}

static struct task *make_task(struct bench *bench, enum pool_priority priority)
{
    struct task *task = &bench->tasks[bench->count++];
    task->bench = bench;
    task->why = (struct err)ERR_INIT;
    task->job = (struct pool_job){.priority = priority,
        .deadline_ms = DEADLINE_NEVER,
        .run = task_run,
        .done = task_done,
        .arg = task};
    return task;
}

static struct task *submit(struct bench *bench, enum pool_priority priority)
{
    struct task *task = make_task(bench, priority);
    pool_submit(bench->pool, &task->job);
    return task;
}

static struct task *submit_held(struct bench *bench, enum pool_priority priority, int64_t affinity)
{
    struct task *task = make_task(bench, priority);
    task->held = true;
    task->job.affinity = affinity;
    pool_submit(bench->pool, &task->job);
    return task;
}

static void await_number(struct bench *bench, const unsigned *number)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += BOUND_S;
    pthread_mutex_lock(&bench->mutex);
    while (*number == 0) {
        ck_assert_int_eq(pthread_cond_timedwait(&bench->changed, &bench->mutex, &until), 0);
    }
    pthread_mutex_unlock(&bench->mutex);
}

static void await_start(struct task *task)
{
    await_number(task->bench, &task->runs);
}

/* Waits for the end of the task and gives its result. */
static int finish(struct task *task)
{
    await_number(task->bench, &task->dones);
    return task->result;
}

static void release(struct task *task)
{
    pthread_mutex_lock(&task->bench->mutex);
    task->released = true;
    pthread_cond_broadcast(&task->bench->changed);
    pthread_mutex_unlock(&task->bench->mutex);
}

static struct pool_status status_of(struct bench *bench)
{
    struct pool_status status;
    pool_get_status(bench->pool, &status);
    return status;
}

/* ---- who is served -------------------------------------------------------------------------- */

START_TEST(a_job_runs_and_its_connection_is_kept)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 2, 0);
    ck_assert_int_eq(status_of(bench).state, POOL_NEVER_CONNECTED);
    ck_assert_int_eq(finish(submit(bench, PRIORITY_INTERACTIVE)), 0);
    ck_assert_int_eq(finish(submit(bench, PRIORITY_INTERACTIVE)), 0);
    struct pool_status status = status_of(bench);
    ck_assert_int_eq(status.state, POOL_ONLINE);
    ck_assert_uint_eq(status.connects, 1);
    ck_assert_uint_eq(status.sessions, 1);
    ck_assert_uint_eq(status.queued, 0);
    ck_assert_uint_gt(status.bytes_in, 0);
    ck_assert_uint_gt(status.bytes_out, 0);
    bench_end(bench);
}
END_TEST

START_TEST(the_more_urgent_goes_first_and_equals_in_their_order)
{
    static const char *const scripts[] = {WILLING};
    static const enum pool_priority order[] = {PRIORITY_PREFETCH, PRIORITY_WRITEBACK, PRIORITY_SYNC,
        PRIORITY_INTERACTIVE, PRIORITY_SYNC, PRIORITY_INTERACTIVE};
    static const size_t expected[] = {3, 5, 2, 4, 1, 0};
    struct task *tasks[6];
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 1, 0);
    struct task *blocker = submit_held(bench, PRIORITY_INTERACTIVE, 0);
    await_start(blocker);
    for (size_t i = 0; i < 6; i++) {
        tasks[i] = submit(bench, order[i]);
    }
    ck_assert_uint_eq(status_of(bench).queued, 6);
    release(blocker);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(finish(tasks[i]), 0);
    }
    for (size_t i = 1; i < 6; i++) {
        ck_assert_uint_lt(tasks[expected[i - 1]]->started_at, tasks[expected[i]]->started_at);
    }
    bench_end(bench);
}
END_TEST

START_TEST(one_connection_stays_free_for_the_urgent)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 2, 0);
    struct task *slow = submit_held(bench, PRIORITY_SYNC, 0);
    await_start(slow);
    struct task *waiting[3] = {submit(bench, PRIORITY_SYNC), submit(bench, PRIORITY_WRITEBACK),
        submit(bench, PRIORITY_PREFETCH)};
    struct task *urgent = submit(bench, PRIORITY_INTERACTIVE);
    ck_assert_int_eq(finish(urgent), 0);
    ck_assert_uint_eq(status_of(bench).queued, 3);
    release(slow);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(finish(waiting[i]), 0);
        ck_assert_uint_gt(waiting[i]->started_at, urgent->started_at);
    }
    bench_end(bench);
}
END_TEST

START_TEST(a_mailbox_likes_its_own_connection_but_does_not_wait_for_it)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 3, 0);
    struct task *one = submit_held(bench, PRIORITY_INTERACTIVE, 1);
    struct task *two = submit_held(bench, PRIORITY_INTERACTIVE, 2);
    await_start(one);
    await_start(two);
    release(one);
    release(two);
    (void)finish(one);
    (void)finish(two);
    for (int i = 0; i < 3; i++) {
        struct task *again = submit_held(bench, PRIORITY_INTERACTIVE, 2);
        struct task *first = submit_held(bench, PRIORITY_INTERACTIVE, 1);
        await_start(again);
        await_start(first);
        ck_assert_ptr_eq(again->session, two->session);
        ck_assert_ptr_eq(first->session, one->session);
        /* Both are busy: another connection is made rather than waited. */
        struct task *third = submit(bench, PRIORITY_INTERACTIVE);
        ck_assert_int_eq(finish(third), 0);
        ck_assert_ptr_ne(third->session, two->session);
        release(again);
        release(first);
        (void)finish(again);
        (void)finish(first);
    }
    ck_assert_uint_eq(status_of(bench).connects, 3);
    bench_end(bench);
}
END_TEST

START_TEST(done_may_submit_the_next_job)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 1, 0);
    struct task *first = make_task(bench, PRIORITY_SYNC);
    first->then = make_task(bench, PRIORITY_SYNC);
    first->then->then = make_task(bench, PRIORITY_INTERACTIVE);
    pool_submit(bench->pool, &first->job);
    ck_assert_int_eq(finish(first->then->then), 0);
    ck_assert_uint_eq(imap_script_connections(bench->place.script), 1);
    bench_end(bench);
}
END_TEST

START_TEST(many_jobs_all_end_once)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 4, 0);
    for (unsigned i = 0; i < 200; i++) {
        struct task *task = make_task(bench, (enum pool_priority)(i % PRIORITY_COUNT));
        task->job.affinity = i % 7;
        pool_submit(bench->pool, &task->job);
        if (i % 5 == 4) {
            pool_cancel(bench->pool, &bench->tasks[i - 2].job);
        }
    }
    for (unsigned i = 0; i < 200; i++) {
        int result = finish(&bench->tasks[i]);
        ck_assert(result == 0 || (result == -EINTR && i % 5 == 2));
    }
    ck_assert_uint_le(imap_script_connections(bench->place.script), 5);
    bench_end(bench);
}
END_TEST

/* ---- ends ----------------------------------------------------------------------------------- */

START_TEST(a_cancelled_job_in_the_queue_never_runs)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 1, 0);
    struct task *blocker = submit_held(bench, PRIORITY_INTERACTIVE, 0);
    await_start(blocker);
    struct task *waiting = submit(bench, PRIORITY_INTERACTIVE);
    struct task *behind = submit(bench, PRIORITY_INTERACTIVE);
    pool_cancel(bench->pool, &waiting->job);
    ck_assert_int_eq(finish(waiting), -EINTR);
    ck_assert_int_eq(waiting->why.class, ERR_CANCELLED);
    release(blocker);
    ck_assert_int_eq(finish(behind), 0);
    ck_assert_uint_eq(waiting->runs, 0);
    pool_cancel(bench->pool, &waiting->job); /* over: nothing happens */
    bench_end(bench);
}
END_TEST

START_TEST(a_running_job_is_cancelled_out_of_its_wait)
{
    static const char *const scripts[] = {
        IN("IDLE") "C STATUS *\nMARK\nEOF", IN("IDLE") STATUS_ANSWERED "AUTO"};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 1, 0);
    struct task *task = make_task(bench, PRIORITY_INTERACTIVE);
    task->asks = true;
    pool_submit(bench->pool, &task->job);
    imap_script_await(bench->place.script, 1);
    pool_cancel(bench->pool, &task->job);
    ck_assert_int_eq(finish(task), -EINTR);
    ck_assert_int_eq(task->why.class, ERR_CANCELLED);
    /* The next job is not touched by it: a new connection serves it. */
    struct task *next = make_task(bench, PRIORITY_INTERACTIVE);
    next->asks = true;
    pool_submit(bench->pool, &next->job);
    ck_assert_msg(finish(next) == 0, "%s", next->why.text);
    bench_end(bench);
}
END_TEST

START_TEST(a_job_is_cancelled_while_it_connects)
{
    static const char *const scripts[] = {"TLS\nMARK\nEOF", WILLING};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 1, 0);
    struct task *task = submit(bench, PRIORITY_INTERACTIVE);
    imap_script_await(bench->place.script, 1);
    pool_cancel(bench->pool, &task->job);
    ck_assert_int_eq(finish(task), -EINTR);
    ck_assert_uint_eq(task->runs, 0);
    /* That says nothing about the server: there is no back-off. */
    ck_assert_int_eq(finish(submit(bench, PRIORITY_INTERACTIVE)), 0);
    bench_end(bench);
}
END_TEST

START_TEST(a_job_does_not_wait_past_its_deadline)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 1, 0);
    struct task *blocker = submit_held(bench, PRIORITY_INTERACTIVE, 0);
    await_start(blocker);
    struct task *patient = submit(bench, PRIORITY_INTERACTIVE);
    struct task *hasty = make_task(bench, PRIORITY_INTERACTIVE);
    hasty->job.deadline_ms = deadline_in(20);
    pool_submit(bench->pool, &hasty->job);
    ck_assert_int_eq(finish(hasty), -ETIMEDOUT);
    ck_assert_int_eq(hasty->why.class, ERR_RETRY);
    ck_assert_uint_eq(hasty->runs, 0);
    release(blocker);
    ck_assert_int_eq(finish(patient), 0);
    bench_end(bench);
}
END_TEST

START_TEST(the_end_of_the_pool_ends_all_jobs)
{
    static const char *const scripts[] = {IN("IDLE") "C STATUS *\nMARK\nEOF"};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 2, 0);
    struct task *tasks[6];
    for (size_t i = 0; i < 6; i++) {
        tasks[i] = make_task(bench, i < 2 ? PRIORITY_INTERACTIVE : PRIORITY_SYNC);
        tasks[i]->asks = true;
        pool_submit(bench->pool, &tasks[i]->job);
    }
    imap_script_await(bench->place.script, 2);
    pool_destroy(&bench->pool);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(tasks[i]->dones, 1);
        ck_assert_int_eq(tasks[i]->result, -EINTR);
        ck_assert_uint_eq(tasks[i]->runs, i < 2 ? 1 : 0);
    }
    bench_end(bench);
}
END_TEST

START_TEST(an_idle_connection_is_closed_with_a_word)
{
    static const char *const scripts[] = {IN("IDLE") STATUS_ANSWERED "C LOGOUT\nMARK\nEOF"};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 1, 1);
    struct task *task = make_task(bench, PRIORITY_INTERACTIVE);
    task->asks = true;
    pool_submit(bench->pool, &task->job);
    ck_assert_int_eq(finish(task), 0);
    imap_script_await(bench->place.script, 1);
    bench_end(bench);
}
END_TEST

/* ---- connections that fail ------------------------------------------------------------------ */

START_TEST(a_dead_idle_connection_is_replaced_unnoticed)
{
    static const char *const scripts[] = {
        IN("IDLE") STATUS_ANSWERED "C STATUS *\nCLOSE", IN("IDLE") STATUS_ANSWERED "AUTO"};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 1, 0);
    struct task *first = make_task(bench, PRIORITY_INTERACTIVE);
    struct task *second = make_task(bench, PRIORITY_INTERACTIVE);
    first->asks = true;
    second->asks = true;
    pool_submit(bench->pool, &first->job);
    ck_assert_int_eq(finish(first), 0);
    pool_submit(bench->pool, &second->job);
    ck_assert_msg(finish(second) == 0, "%s", second->why.text);
    ck_assert_uint_eq(status_of(bench).connects, 2);
    bench_end(bench);
}
END_TEST

START_TEST(what_broke_off_in_the_middle_is_not_repeated)
{
    static const char *const scripts[] = {
        IN("IDLE") STATUS_ANSWERED "C STATUS *\nS * STATUS box (MESSAGES 1)\nCLOSE", WILLING};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 1, 0);
    struct task *first = make_task(bench, PRIORITY_INTERACTIVE);
    struct task *second = make_task(bench, PRIORITY_INTERACTIVE);
    first->asks = true;
    second->asks = true;
    pool_submit(bench->pool, &first->job);
    ck_assert_int_eq(finish(first), 0);
    pool_submit(bench->pool, &second->job);
    ck_assert_int_eq(finish(second), -EHOSTDOWN);
    ck_assert_uint_eq(second->runs, 1);
    bench_end(bench);
}
END_TEST

START_TEST(a_fresh_connection_that_dies_is_not_tried_again)
{
    static const char *const scripts[] = {IN("IDLE") "C STATUS *\nCLOSE", WILLING};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 1, 0);
    struct task *task = make_task(bench, PRIORITY_INTERACTIVE);
    task->asks = true;
    pool_submit(bench->pool, &task->job);
    ck_assert_int_eq(finish(task), -EHOSTDOWN);
    ck_assert_uint_eq(task->runs, 1);
    bench_end(bench);
}
END_TEST

START_TEST(a_network_that_comes_back_is_found_again)
{
    static const char *const scripts[] = {WILLING};
    struct bench *bench = bench_start(scripts, 1);
    bench_pool(bench, 3, 0);
    imap_script_refuse(bench->place.script);
    struct task *urgent = submit(bench, PRIORITY_INTERACTIVE);
    ck_assert_int_eq(finish(urgent), -EHOSTDOWN);
    ck_assert_int_eq(urgent->why.class, ERR_RETRY);
    ck_assert_uint_eq(urgent->runs, 0);
    struct pool_status status = status_of(bench);
    ck_assert_int_eq(status.state, POOL_OFFLINE);
    ck_assert_int_eq(status.last_error.class, ERR_RETRY);
    ck_assert_int_gt(status.last_error_wall_s, 0);
    imap_script_listen_again(bench->place.script);
    /* Whatever can wait does so until the next attempt, which finds the server. */
    ck_assert_int_eq(finish(submit(bench, PRIORITY_SYNC)), 0);
    ck_assert_int_eq(status_of(bench).state, POOL_ONLINE);
    ck_assert_int_eq(finish(submit(bench, PRIORITY_INTERACTIVE)), 0);
    bench_end(bench);
}
END_TEST

#define WRONG GREET "S $T NO [AUTHENTICATIONFAILED] no\nEOF"

START_TEST(a_wrong_password_is_said_once)
{
    static const char *const scripts[] = {WRONG, IN("IDLE") "MARK\nAUTO"};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 4, 0);
    struct task *tasks[8];
    for (size_t i = 0; i < 8; i++) {
        tasks[i] = submit(bench, (enum pool_priority)(i % PRIORITY_COUNT));
    }
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(finish(tasks[i]), -EACCES);
        ck_assert_int_eq(tasks[i]->why.class, ERR_AUTH);
    }
    /* Within the next minute nothing is tried. */
    ck_assert_int_eq(finish(submit(bench, PRIORITY_INTERACTIVE)), -EACCES);
    ck_assert_int_eq(finish(submit(bench, PRIORITY_PREFETCH)), -EACCES);
    struct pool_status status = status_of(bench);
    ck_assert_int_eq(status.state, POOL_AUTH_FAILED);
    ck_assert_int_gt(status.next_attempt_in_ms, 0);
    ck_assert_int_le(status.next_attempt_in_ms, 75000);
    ck_assert_uint_eq(imap_script_connections(bench->place.script), 1);
    /* A person says that it is worth another try: no job is needed for it. */
    pool_retry_now(bench->pool);
    imap_script_await(bench->place.script, 1);
    ck_assert_int_eq(finish(submit(bench, PRIORITY_SYNC)), 0);
    ck_assert_int_eq(status_of(bench).state, POOL_ONLINE);
    bench_end(bench);
}
END_TEST

START_TEST(a_server_that_allows_one_connection_serves_all_jobs)
{
    static const char *const scripts[] = {
        WILLING, GREET "S $T NO [LIMIT] one is enough\nMARK\nEOF"};
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 3, 0);
    struct task *blocker = submit_held(bench, PRIORITY_INTERACTIVE, 0);
    await_start(blocker);
    struct task *urgent = submit(bench, PRIORITY_INTERACTIVE);
    imap_script_await(bench->place.script, 1);
    struct task *sync = submit(bench, PRIORITY_SYNC);
    release(blocker);
    ck_assert_msg(finish(urgent) == 0, "%s", urgent->why.text);
    ck_assert_msg(finish(sync) == 0, "%s", sync->why.text);
    ck_assert_int_eq(status_of(bench).state, POOL_ONLINE);
    bench_end(bench);
}
END_TEST

START_TEST(connecting_first_leaves_the_session_to_the_first_job)
{
    static const char *const scripts[] = {WRONG, IN("IDLE") STATUS_ANSWERED "AUTO"};
    struct err why = ERR_INIT;
    struct bench *bench = bench_start(scripts, 2);
    bench_pool(bench, 4, 0);
    ck_assert_int_eq(pool_connect(bench->pool, &why), -EACCES);
    ck_assert_int_eq(why.class, ERR_AUTH);
    ck_assert_int_eq(status_of(bench).state, POOL_AUTH_FAILED);
    ck_assert_int_eq(pool_connect(bench->pool, &why), 0);
    ck_assert_int_eq(pool_connect(bench->pool, &why), 0);
    struct task *task = make_task(bench, PRIORITY_SYNC);
    task->asks = true;
    pool_submit(bench->pool, &task->job);
    ck_assert_int_eq(finish(task), 0);
    ck_assert_uint_eq(imap_script_connections(bench->place.script), 2);
    bench_end(bench);
}
END_TEST

START_TEST(there_are_1_to_16_connections)
{
    struct pool *pool = NULL;
    struct err why = ERR_INIT;
    struct pool_options options = {.connections = 0};
    ck_assert_int_eq(pool_create(&pool, &options, &why), -EINVAL);
    options.connections = 17;
    ck_assert_int_eq(pool_create(&pool, &options, &why), -EINVAL);
    options.connections = 16;
    ck_assert_int_eq(pool_create(&pool, &options, &why), 0);
    pool_destroy(&pool);
    ck_assert_ptr_null(pool);
    pool_destroy(&pool);
}
END_TEST

static Suite *pool_suite(void)
{
    Suite *suite = suite_create("imap pool");
    TCase *served = tcase_create("served");
    tcase_set_timeout(served, 120);
    tcase_add_test(served, a_job_runs_and_its_connection_is_kept);
    tcase_add_test(served, the_more_urgent_goes_first_and_equals_in_their_order);
    tcase_add_test(served, one_connection_stays_free_for_the_urgent);
    tcase_add_test(served, a_mailbox_likes_its_own_connection_but_does_not_wait_for_it);
    tcase_add_test(served, done_may_submit_the_next_job);
    tcase_add_test(served, many_jobs_all_end_once);
    suite_add_tcase(suite, served);
    TCase *ends = tcase_create("ends");
    tcase_set_timeout(ends, 120);
    tcase_add_test(ends, a_cancelled_job_in_the_queue_never_runs);
    tcase_add_test(ends, a_running_job_is_cancelled_out_of_its_wait);
    tcase_add_test(ends, a_job_is_cancelled_while_it_connects);
    tcase_add_test(ends, a_job_does_not_wait_past_its_deadline);
    tcase_add_test(ends, the_end_of_the_pool_ends_all_jobs);
    tcase_add_test(ends, an_idle_connection_is_closed_with_a_word);
    suite_add_tcase(suite, ends);
    TCase *failing = tcase_create("failing");
    tcase_set_timeout(failing, 120);
    tcase_add_test(failing, a_dead_idle_connection_is_replaced_unnoticed);
    tcase_add_test(failing, what_broke_off_in_the_middle_is_not_repeated);
    tcase_add_test(failing, a_fresh_connection_that_dies_is_not_tried_again);
    tcase_add_test(failing, a_network_that_comes_back_is_found_again);
    tcase_add_test(failing, a_wrong_password_is_said_once);
    tcase_add_test(failing, a_server_that_allows_one_connection_serves_all_jobs);
    tcase_add_test(failing, connecting_first_leaves_the_session_to_the_first_job);
    tcase_add_test(failing, there_are_1_to_16_connections);
    suite_add_tcase(suite, failing);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(pool_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
