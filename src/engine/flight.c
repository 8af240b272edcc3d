/* Flights: one mechanism for all waiting. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/inside.h"

struct flight *flight_find(struct engine *engine, enum flight_kind kind, int64_t id)
{
    lock_assert_held(&engine->lock);
    struct flight_key key = {kind, id};
    return g_hash_table_lookup(engine->flights, &key);
}

static bool is_want_queued(const struct flight *flight)
{
    return flight->link.data != NULL;
}

/* The table of states, for one flight. */
static void flight_check(struct engine *engine, struct flight *flight) REQUIRES(engine->lock)
{
    bool in_table = g_hash_table_lookup(engine->flights, &flight->key) == flight;
    bool body = flight->key.kind == FLIGHT_BODY;
    switch (flight->state) {
    case FLIGHT_QUEUED:
        assert(in_table);
        assert(!body || (is_want_queued(flight) && flight->task == NULL));
        break;
    case FLIGHT_RUNNING:
        assert(in_table);
        assert(!body || (!is_want_queued(flight) && flight->task != NULL));
        break;
    case FLIGHT_LANDED:
        assert(!in_table && flight->waits == NULL && !is_want_queued(flight));
        break;
    }
    assert((flight->wait_count == 0) == (flight->waits == NULL));
    (void)in_table; /* only asserted */
    (void)body;
}

void flight_set_state(struct flight *flight, enum flight_state state)
{
    bool body = flight->key.kind == FLIGHT_BODY;
    switch (flight->state) {
    case FLIGHT_QUEUED:
        assert(state == FLIGHT_RUNNING || state == FLIGHT_LANDED);
        break;
    case FLIGHT_RUNNING: /* a task may be run a second time, on a fresh connection */
        assert(state == FLIGHT_LANDED || (body ? state == FLIGHT_QUEUED : state == FLIGHT_RUNNING));
        break;
    case FLIGHT_LANDED:
        assert(false && "a flight that has landed stays down");
        break;
    }
    (void)body; /* only asserted */
    flight->state = state;
}

void engine_check(struct engine *engine)
{
    lock_take(&engine->lock);
    GHashTableIter iter;
    gpointer value;
    size_t waits = 0;
    g_hash_table_iter_init(&iter, engine->flights);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct flight *flight = value;
        size_t here = 0;
        flight_check(engine, flight);
        for (struct wait *wait = flight->waits; wait != NULL; wait = wait->next) {
            assert(wait->flight == flight);
            here++;
        }
        assert(here == flight->wait_count);
        waits += here;
    }
    assert(waits == engine->wait_count);
    (void)waits; /* only asserted */
    lock_release(&engine->lock);
}

struct flight *flight_create(struct engine *engine, enum flight_kind kind, int64_t id)
{
    lock_assert_held(&engine->lock);
    struct flight *flight = alloc_zeroed(1, sizeof *flight);
    flight->key = (struct flight_key){kind, id};
    flight->engine = engine;
    flight->state = FLIGHT_QUEUED;
    flight->linger_ms = DEADLINE_NEVER;
    bool is_new = g_hash_table_add(engine->flights, flight);
    assert(is_new && "one flight for one key");
    (void)is_new; /* only asserted */
    return flight;
}

/* ---- waits ------------------------------------------------------------------------------------
 */

static void link_wait(struct engine *engine, struct flight *flight, struct wait *wait)
    REQUIRES(engine->lock)
{
    wait->flight = flight;
    wait->prev = NULL;
    wait->next = flight->waits;
    if (flight->waits != NULL) {
        flight->waits->prev = wait;
    }
    flight->waits = wait;
    flight->wait_count++;
    engine->wait_count++;
    flight->linger_ms = DEADLINE_NEVER;
}

static void unlink_wait(struct engine *engine, struct flight *flight, struct wait *wait)
    REQUIRES(engine->lock)
{
    if (wait->prev != NULL) {
        wait->prev->next = wait->next;
    } else {
        flight->waits = wait->next;
    }
    if (wait->next != NULL) {
        wait->next->prev = wait->prev;
    }
    wait->flight = NULL;
    wait->next = NULL;
    wait->prev = NULL;
    flight->wait_count--;
    engine->wait_count--;
}

static void clock_aim(struct engine *engine, int64_t deadline_ms) REQUIRES(engine->lock)
{
    if (deadline_ms < engine->clock_target_ms) {
        engine->clock_target_ms = deadline_ms;
        cond_wake_one(&engine->clock_changed);
    }
}

void flight_join(struct engine *engine, struct flight *flight, struct wait *wait, unsigned manner,
    int64_t deadline_ms)
{
    lock_assert_held(&engine->lock);
    wait->manner = manner;
    wait->deadline_ms = deadline_ms;
    link_wait(engine, flight, wait);
    clock_aim(engine, deadline_ms);
}

/* Waits that are no longer parked, chained by `next`, each with what it is told. */
struct settled {
    struct wait *first;
};

/* What this wait is told of the flight's result: who has something whole goes on with it, unless it
 * is gone. */
static int told(const struct wait *wait, int result)
{
    return (wait->manner & WAIT_SOFT) != 0 && result != -ESTALE ? 0 : result;
}

/* Takes the wait from its flight; it either waits on for the tree, or is settled. */
static void settle(struct engine *engine, struct flight *flight, struct wait *wait, int result,
    struct settled *ret) REQUIRES(engine->lock)
{
    unlink_wait(engine, flight, wait);
    int tell = told(wait, result);
    struct flight *tree = NULL;
    if (tell == 0 && (wait->manner & WAIT_THEN_TREE) != 0) {
        tree = flight_find(engine, FLIGHT_TREE, 0);
    }
    if (tree != NULL) {
        int64_t soon_ms = deadline_in(REVALIDATE_MS);
        flight_join(engine, tree, wait, WAIT_SOFT,
            soon_ms < wait->deadline_ms ? soon_ms : wait->deadline_ms);
        return;
    }
    wait->result = tell;
    wait->next = ret->first;
    ret->first = wait;
}

static void call_done(struct settled *settled)
{
    lock_assert_none_held();
    for (struct wait *wait = settled->first; wait != NULL;) {
        struct wait *next = wait->next; /* `done` may free the wait */
        wait->done(wait, wait->result);
        wait = next;
    }
}

void flight_land(struct flight *flight, int result)
{
    struct engine *engine = flight->engine;
    struct settled settled = {NULL};
    lock_take(&engine->lock);
    g_hash_table_remove(engine->flights, &flight->key);
    while (flight->waits != NULL) {
        settle(engine, flight, flight->waits, result, &settled);
    }
    flight_set_state(flight, FLIGHT_LANDED);
    flight_check(engine, flight);
    lock_release(&engine->lock);
    free(flight);
    call_done(&settled);
}

void flight_progress(struct engine *engine, struct mailbox_id mailbox)
{
    struct settled settled = {NULL};
    lock_take(&engine->lock);
    state_get(engine, mailbox)->generation++;
    struct flight *flight = flight_find(engine, FLIGHT_LISTING, mailbox.value);
    if (flight != NULL) {
        flight->progressed = true;
        for (struct wait *wait = flight->waits; wait != NULL;) {
            struct wait *next = wait->next;
            if ((wait->manner & WAIT_PROGRESS) != 0) {
                settle(engine, flight, wait, 0, &settled);
            }
            wait = next;
        }
    }
    lock_release(&engine->lock);
    call_done(&settled);
}

/* A wait has left. A body nobody waits for: a queued one is dropped, one under way may finish for a
 * while. */
static void flight_left(struct engine *engine, struct flight *flight) REQUIRES(engine->lock)
{
    if (flight->key.kind != FLIGHT_BODY || flight->wait_count > 0) {
        return;
    }
    if (flight->state == FLIGHT_RUNNING) {
        flight->linger_ms = deadline_in(engine->timeout_ms);
        clock_aim(engine, flight->linger_ms);
        return;
    }
    g_queue_unlink(&state_get(engine, flight->mailbox)->wants, &flight->link);
    flight->link.data = NULL;
    g_hash_table_remove(engine->flights, &flight->key);
    flight_set_state(flight, FLIGHT_LANDED);
    flight_check(engine, flight);
    free(flight);
}

bool engine_cancel(struct engine *engine, struct wait *wait)
{
    lock_take(&engine->lock);
    struct flight *flight = wait->flight;
    if (flight != NULL) {
        unlink_wait(engine, flight, wait);
        flight_left(engine, flight);
    }
    lock_release(&engine->lock);
    return flight != NULL;
}

/* ---- the clock ---------------------------------------------------------------------------------
 */

static bool task_has_waits(struct engine *engine, const struct task *task) REQUIRES(engine->lock)
{
    lock_assert_held(&engine->lock);
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL && task->wants[i]->wait_count > 0) {
            return true;
        }
    }
    return false;
}

/* A deadline passed while something whole is known: that serves for another max_age. */
static void serve_known(struct engine *engine, const struct flight *flight) REQUIRES(engine->lock)
{
    int64_t until_ms = deadline_in(engine->max_age_ms);
    if (flight->key.kind == FLIGHT_TREE && engine->tree_fresh_until_ms < until_ms) {
        engine->tree_fresh_until_ms = until_ms;
    }
    if (flight->key.kind == FLIGHT_LISTING) {
        struct mailbox_state *state = state_get(engine, (struct mailbox_id){flight->key.id});
        if (state->fresh_until_ms < until_ms) {
            state->fresh_until_ms = until_ms;
        }
    }
}

struct tick {
    int64_t now_ms;
    int64_t next_ms; /* the nearest deadline that is left */
    struct settled settled;
    struct task *abandoned; /* pinned; to be cancelled */
};

static void note_deadline(struct tick *tick, int64_t deadline_ms)
{
    if (deadline_ms < tick->next_ms) {
        tick->next_ms = deadline_ms;
    }
}

static void expire_waits(struct engine *engine, struct flight *flight, struct tick *tick)
    REQUIRES(engine->lock)
{
    for (struct wait *wait = flight->waits; wait != NULL;) {
        struct wait *next = wait->next;
        if (wait->deadline_ms > tick->now_ms) {
            note_deadline(tick, wait->deadline_ms);
        } else {
            bool soft = (wait->manner & WAIT_SOFT) != 0;
            if (soft) {
                serve_known(engine, flight);
            }
            wait->manner &= ~(unsigned)WAIT_THEN_TREE;
            settle(engine, flight, wait, soft ? 0 : -ETIMEDOUT, &tick->settled);
        }
        wait = next;
    }
}

static void expire_linger(struct engine *engine, struct flight *flight, struct tick *tick)
    REQUIRES(engine->lock)
{
    if (flight->linger_ms > tick->now_ms) {
        note_deadline(tick, flight->linger_ms);
        return;
    }
    struct task *task = flight->task;
    if (tick->abandoned != NULL) {
        note_deadline(tick, tick->now_ms); /* at once, in the next round */
        return;
    }
    flight->linger_ms = DEADLINE_NEVER;
    if (task != NULL && !task->cancelled && !task_has_waits(engine, task)) {
        task->cancelled = true;
        task->pins++;
        tick->abandoned = task;
    }
}

static void tick_locked(struct engine *engine, struct tick *tick) REQUIRES(engine->lock)
{
    GPtrArray *left = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, engine->flights);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct flight *flight = value;
        size_t before = flight->wait_count;
        expire_waits(engine, flight, tick);
        if (flight->wait_count < before) {
            g_ptr_array_add(left, flight);
        } else if (flight->linger_ms != DEADLINE_NEVER) {
            expire_linger(engine, flight, tick);
        }
    }
    for (guint i = 0; i < left->len; i++) { /* may take flights out of the table */
        flight_left(engine, left->pdata[i]);
    }
    g_ptr_array_free(left, TRUE);
}

void *clock_main(void *arg)
{
    struct engine *engine = arg;
    lock_take(&engine->lock);
    while (!engine->clock_ending) {
        engine->clock_target_ms = DEADLINE_NEVER;
        struct tick tick = {clock_now_ms(), DEADLINE_NEVER, {NULL}, NULL};
        tick_locked(engine, &tick);
        if (tick.next_ms < engine->clock_target_ms) {
            engine->clock_target_ms = tick.next_ms;
        }
        if (tick.settled.first != NULL || tick.abandoned != NULL) {
            lock_release(&engine->lock);
            call_done(&tick.settled);
            if (tick.abandoned != NULL) {
                task_cancel_pinned(tick.abandoned);
            }
            lock_take(&engine->lock);
            continue;
        }
        (void)cond_wait(&engine->clock_changed, &engine->lock,
            engine->clock_target_ms); /* the round looks at the clock itself */
    }
    lock_release(&engine->lock);
    return NULL;
}
