/*
 * Bodies: who wants one joins its flight; the flights of one mailbox that wait when a worker is
 * free share a command.
 */
#include "engine/fetch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/body.h"

/* A message whose body cannot be had is not asked for again for a while. */
enum { FAILURE_MS = 60 * 1000, FAILURES_MAX = 10000 };

struct failure {
    int64_t id;
    int64_t until_ms;
    int result;
};

static gboolean is_over(gpointer key, gpointer value, gpointer now_ms)
{
    (void)key;
    const struct failure *failure = value;
    return failure->until_ms <= *(const int64_t *)now_ms;
}

void fetch_remember_failure(struct engine *engine, struct message_id id, int result)
{
    struct failure *failure = alloc_zeroed(1, sizeof *failure);
    int64_t now_ms = clock_now_ms();
    failure->id = id.value;
    failure->until_ms = now_ms + FAILURE_MS;
    failure->result = result;
    lock_take(&engine->lock);
    if (g_hash_table_size(engine->failures) >= FAILURES_MAX) {
        (void)g_hash_table_foreach_remove(engine->failures, is_over, &now_ms);
    }
    if (g_hash_table_size(engine->failures) < FAILURES_MAX) {
        g_hash_table_replace(engine->failures, &failure->id, failure);
        failure = NULL;
    }
    lock_release(&engine->lock);
    free(failure);
}

static int remembered_failure(struct engine *engine, struct message_id id) REQUIRES(engine->lock)
{
    const struct failure *failure = g_hash_table_lookup(engine->failures, &id.value);
    if (failure == NULL) {
        return 0;
    }
    int result = failure->until_ms > clock_now_ms() ? failure->result : 0;
    if (result == 0) {
        g_hash_table_remove(engine->failures, &id.value);
    }
    return result;
}

/* ---- wants --------------------------------------------------------------------------------------
 */

void fetch_queue_want(struct engine *engine, struct flight *flight, bool first)
{
    lock_assert_held(&engine->lock);
    struct mailbox_state *state = state_get(engine, flight->mailbox);
    flight->link.data = flight;
    if (first) {
        g_queue_push_head_link(&state->wants, &flight->link);
    } else {
        g_queue_push_tail_link(&state->wants, &flight->link);
    }
}

struct task *fetch_task(struct engine *engine, struct mailbox_id mailbox)
{
    lock_assert_held(&engine->lock);
    struct mailbox_state *state = state_get(engine, mailbox);
    if (state->task_queued || state->wants.length == 0 || engine->ending) {
        return NULL;
    }
    struct task *task = task_create(engine, &fetch_task_kind, NULL);
    task->mailbox = mailbox;
    task->job.affinity = mailbox.value;
    state->task_queued = true;
    return task;
}

void fetch_take_wants(struct engine *engine, struct task *task, bool all)
{
    lock_assert_held(&engine->lock);
    GQueue *wants = &state_get(engine, task->mailbox)->wants;
    int64_t bytes = 0;
    while (wants->length > 0 && task->want_count < BATCH_WANTS) {
        struct flight *flight = wants->head->data;
        bool alone = flight->attempts > 0; /* its batch broke off: maybe because of it */
        if (!all && task->want_count > 0 && (alone || bytes + flight->size_bytes > BATCH_BYTES)) {
            break;
        }
        g_queue_unlink(wants, &flight->link);
        flight->link.data = NULL;
        flight->task = task;
        flight_set_state(flight, FLIGHT_RUNNING);
        task->wants[task->want_count++] = flight;
        bytes += flight->size_bytes;
        if (alone && !all) {
            break;
        }
    }
}

void fetch_land(struct task *task, size_t index, int result)
{
    struct engine *engine = task->engine;
    lock_take(&engine->lock);
    struct flight *flight = task->wants[index];
    task->wants[index] = NULL; /* the clock looks at it under the lock */
    lock_release(&engine->lock);
    flight_land(flight, result);
}

/* ---- the call -----------------------------------------------------------------------------------
 */

struct wanted {
    struct mailbox_id mailbox;
    uint32_t uidvalidity;
    struct imap_uid uid;
    int64_t size_bytes;
};

static int note_row(void *arg, const struct message_row *row)
{
    struct wanted *wanted = arg;
    *wanted = (struct wanted){row->mailbox, row->uidvalidity, row->uid, row->size_bytes};
    return 0;
}

static int join_body(struct engine *engine, struct message_id id, const struct wanted *wanted,
    struct wait *wait, struct task **ret_task) REQUIRES(engine->lock)
{
    if (engine->ending) {
        return -EHOSTDOWN;
    }
    struct flight *flight = flight_find(engine, FLIGHT_BODY, id.value);
    if (flight == NULL) {
        int rc = remembered_failure(engine, id);
        if (rc != 0) {
            return rc;
        }
        flight = flight_create(engine, FLIGHT_BODY, id.value);
        flight->mailbox = wanted->mailbox;
        flight->uidvalidity = wanted->uidvalidity;
        flight->uid = wanted->uid;
        flight->size_bytes = wanted->size_bytes;
        fetch_queue_want(engine, flight, false);
        *ret_task = fetch_task(engine, wanted->mailbox);
    }
    flight_join(engine, flight, wait, 0, deadline_in(engine->timeout_ms));
    return PARKED;
}

int engine_body(struct engine *engine, struct message_id id, int *ret_fd, int64_t *ret_size_bytes,
    struct wait *wait)
{
    struct err why = ERR_INIT;
    struct wanted wanted = {.size_bytes = 0};
    struct task *task = NULL;
    int rc = store_body_open(engine->store, id, ret_fd, ret_size_bytes, &why);
    if (rc == 0 || rc == -ESTALE) {
        return rc;
    }
    if (rc != -ENOENT) {
        engine_trouble(engine, "the cache of messages", &why);
        return -EIO;
    }
    rc = store_message_get(engine->store, id, false, note_row, &wanted, &why);
    if (rc != 0) {
        return rc == -ENOENT ? -ESTALE : -EIO;
    }
    /* However large the server calls it: sizes lie, and on_begin() sees what really comes. */
    lock_take(&engine->lock);
    rc = join_body(engine, id, &wanted, wait, &task);
    lock_release(&engine->lock);
    task_submit(task);
    return rc;
}
