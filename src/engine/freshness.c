/* Whether what is known is young enough, and how it is made so: freshen, more. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/inside.h"

enum { RETRY_MS = 30 * 1000 };

struct mailbox_state *state_get(struct engine *engine, struct mailbox_id mailbox)
{
    lock_assert_held(&engine->lock);
    struct mailbox_state *state = g_hash_table_lookup(engine->states, &mailbox.value);
    if (state == NULL) {
        state = alloc_zeroed(1, sizeof *state);
        state->id = mailbox.value;
        state->generation = 1;
        g_queue_init(&state->wants);
        g_hash_table_insert(engine->states, &state->id, state);
    }
    return state;
}

int dir_mailbox(struct engine *engine, struct inode_no dir, struct mailbox_id *ret)
{
    switch (inode_kind(dir)) {
    case INODE_MESSAGE:
        return -ENOTDIR;
    case INODE_MAILBOX:
    case INODE_UID_DIR:
        *ret = (struct mailbox_id){inode_row(dir)};
        return 0;
    case INODE_SPECIAL:
        break;
    }
    if (inode_row(dir) != SPECIAL_ROOT) {
        return inode_row(dir) == SPECIAL_DIR ? DIR_OF_MOUNT : -ENOTDIR;
    }
    lock_take(&engine->lock);
    bool gone = engine->root_gone;
    struct mailbox_id root = engine->root;
    lock_release(&engine->lock);
    if (gone) {
        return -ENOENT;
    }
    *ret = root;
    return 0;
}

struct inode_no dir_inode(struct engine *engine, struct mailbox_id mailbox)
{
    lock_take(&engine->lock);
    bool is_root = mailbox.value == 0 || mailbox.value == engine->root.value;
    lock_release(&engine->lock);
    return is_root ? INODE_ROOT : inode_make(INODE_MAILBOX, mailbox.value);
}

/* ---- news of the index ------------------------------------------------------------------------
 */

static void on_change(void *arg, const struct store_change *change)
{
    struct engine *engine = arg;
    const struct engine_listener *listener = &engine->listener;
    lock_assert_none_held();
    switch (change->kind) {
    case CHANGE_ADDED:
        break; /* names that are not there are never remembered as such */
    case CHANGE_REMOVED:
    case CHANGE_RENAMED:
        if (listener->entry_changed != NULL) {
            listener->entry_changed(listener->arg, dir_inode(engine, change->parent),
                change->component, change->inode, change->kind == CHANGE_REMOVED);
        }
        break;
    case CHANGE_ATTRIBUTES:
        if (listener->inode_changed != NULL) {
            listener->inode_changed(listener->arg, change->inode, false);
        }
        break;
    }
}

struct change_listener engine_changes(struct engine *engine)
{
    return (struct change_listener){on_change, engine};
}

void changed_now(struct engine *engine, struct mailbox_id mailbox)
{
    char name[48];
    char value[32];
    int64_t now_s = clock_wall_s();
    lock_take(&engine->lock);
    struct mailbox_state *state = state_get(engine, mailbox);
    bool same = state->changed_known && state->changed_s == now_s;
    state->changed_s = now_s;
    state->changed_known = true;
    lock_release(&engine->lock);
    if (!same) {
        (void)snprintf(name, sizeof name, "changed.%lld", (long long)mailbox.value);
        (void)snprintf(value, sizeof value, "%lld", (long long)now_s);
        /* a directory's time that is lost at the next start harms nobody */
        (void)!store_fact_set(engine->store, name, value, NULL);
    }
    if (engine->listener.inode_changed != NULL) {
        engine->listener.inode_changed(engine->listener.arg, dir_inode(engine, mailbox), false);
    }
}

/* ---- the tree ----------------------------------------------------------------------------------
 */

static int run_tree(struct task *task, struct session *session, struct err *why)
{
    return tree_fetch(task->engine, session, why);
}

/* Nothing is asked again before the pool would try; but a person may make it try sooner. */
static int64_t retry_ms(struct engine *engine)
{
    struct pool_status status;
    pool_get_status(engine->pool, &status);
    int64_t wait_ms = status.state == POOL_ONLINE ? 0 : status.next_attempt_in_ms;
    if (wait_ms > RETRY_MS) {
        wait_ms = RETRY_MS;
    }
    return deadline_in(wait_ms > engine->max_age_ms ? wait_ms : engine->max_age_ms);
}

static void tree_done(struct task *task, int result, const struct err *why)
{
    struct engine *engine = task->engine;
    if (result != 0) {
        int64_t until_ms = retry_ms(engine);
        engine_trouble(engine, "the list of mailboxes", why);
        lock_take(&engine->lock);
        engine->tree_fresh_until_ms = until_ms;
        if (why != NULL) {
            engine->tree_error = *why;
        }
        lock_release(&engine->lock);
    }
    flight_land(task->flight, caller_errno(result, why));
}

struct flight *tree_begin(struct engine *engine, struct task **ret_task)
{
    static const struct task_kind kind = {run_tree, tree_done};
    struct flight *flight = flight_find(engine, FLIGHT_TREE, 0);
    *ret_task = NULL;
    if (flight == NULL) {
        flight = flight_create(engine, FLIGHT_TREE, 0);
        *ret_task = task_create(engine, &kind, flight);
    }
    return flight;
}

/* ---- listings ----------------------------------------------------------------------------------
 */

static int run_listing(struct task *task, struct session *session, struct err *why)
{
    return sync_mailbox(task->engine, session, (struct mailbox_id){task->flight->key.id}, why);
}

static void describe(struct engine *engine, struct mailbox_id mailbox, char *ret, size_t size)
{
    struct mailbox_row row;
    if (store_mailbox_get(engine->store, mailbox, &row, NULL) == 0) {
        (void)snprintf(ret, size, "mailbox %s", row.component);
        mailbox_row_finish(&row);
    } else {
        (void)snprintf(ret, size, "a mailbox that is gone");
    }
}

static void listing_failed(
    struct engine *engine, struct mailbox_id mailbox, int result, const struct err *why)
{
    char what[300];
    struct task *tree_task = NULL;
    int64_t until_ms = retry_ms(engine);
    bool gone = why != NULL && why->class == ERR_GONE;
    if (!gone) {
        describe(engine, mailbox, what, sizeof what);
        engine_trouble(engine, what, why);
    }
    lock_take(&engine->lock);
    struct mailbox_state *state = state_get(engine, mailbox);
    state->last_error = caller_errno(result, why);
    state->fresh_until_ms = until_ms; /* matters where a whole listing is known */
    if (gone && !engine->ending) {
        (void)tree_begin(engine, &tree_task); /* nobody waits for it */
    }
    lock_release(&engine->lock);
    task_submit(tree_task);
}

static void listing_done(struct task *task, int result, const struct err *why)
{
    struct engine *engine = task->engine;
    struct mailbox_id mailbox = {task->flight->key.id};
    if (result != 0) {
        listing_failed(engine, mailbox, result, why);
    } else {
        lock_take(&engine->lock);
        struct mailbox_state *state = state_get(engine, mailbox);
        state->last_error = 0;
        state->fresh_until_ms = deadline_in(engine->max_age_ms);
        lock_release(&engine->lock);
    }
    flight_land(task->flight, caller_errno(result, why));
}

struct flight *listing_begin(struct engine *engine, struct mailbox_id mailbox,
    enum pool_priority priority, struct task **ret_task)
{
    static const struct task_kind kind = {run_listing, listing_done};
    struct flight *flight = flight_find(engine, FLIGHT_LISTING, mailbox.value);
    *ret_task = NULL;
    if (flight == NULL) {
        flight = flight_create(engine, FLIGHT_LISTING, mailbox.value);
        state_get(engine, mailbox)->last_error = 0;
        *ret_task = task_create(engine, &kind, flight);
        (*ret_task)->job.priority = priority;
        (*ret_task)->job.affinity = mailbox.value;
    }
    return flight;
}

/* ---- freshen ------------------------------------------------------------------------------------
 */

/* What a call has to wait for. */
struct need {
    struct mailbox_id mailbox; /* 0: no listing */
    bool whole;                /* its listing is whole */
    enum freshness freshness;
    struct task *tree_task, *listing_task; /* to be submitted after the lock */
};

static int64_t soft_deadline(const struct engine *engine)
{
    return deadline_in(engine->timeout_ms < REVALIDATE_MS ? engine->timeout_ms : REVALIDATE_MS);
}

/* Joins the listing's flight. 0: there is nothing to wait for. */
static int join_listing(struct engine *engine, struct need *need, struct wait *wait)
    REQUIRES(engine->lock)
{
    struct flight *flight =
        listing_begin(engine, need->mailbox, PRIORITY_INTERACTIVE, &need->listing_task);
    unsigned manner = WAIT_THEN_TREE;
    if (need->whole) {
        flight_join(engine, flight, wait, manner | WAIT_SOFT, soft_deadline(engine));
        return PARKED;
    }
    if (need->freshness == FRESH_BEGUN) {
        if (flight->progressed) {
            return 0;
        }
        manner |= WAIT_PROGRESS;
    }
    flight_join(engine, flight, wait, manner, deadline_in(engine->timeout_ms));
    return PARKED;
}

static int join_tree(struct engine *engine, struct need *need, struct wait *wait)
    REQUIRES(engine->lock)
{
    bool known = engine->tree_known;
    struct flight *flight = tree_begin(engine, &need->tree_task);
    if (wait == NULL) {
        return 0;
    }
    flight_join(engine, flight, wait, known ? WAIT_SOFT : 0,
        known ? soft_deadline(engine) : deadline_in(engine->timeout_ms));
    return PARKED;
}

static bool is_listing_fresh(struct engine *engine, const struct need *need) REQUIRES(engine->lock)
{
    return need->mailbox.value == 0 ||
           (need->whole && state_get(engine, need->mailbox)->fresh_until_ms > clock_now_ms());
}

static int freshen_locked(struct engine *engine, struct need *need, struct wait *wait)
    REQUIRES(engine->lock)
{
    bool tree_stale = engine->tree_fresh_until_ms <= clock_now_ms();
    if (engine->ending) {
        return -EHOSTDOWN;
    }
    if (is_listing_fresh(engine, need)) {
        return tree_stale ? join_tree(engine, need, wait) : 0;
    }
    if (tree_stale) {
        (void)join_tree(engine, need, NULL); /* both are on the way together */
    }
    return join_listing(engine, need, wait);
}

/* Which listing is needed for this directory, and whether it is whole. */
static int read_need(struct engine *engine, struct mailbox_id mailbox, struct need *ret)
{
    struct mailbox_row row;
    lock_take(&engine->lock);
    bool shown = mailbox.value != 0 && tree_shows_messages_locked(engine, mailbox);
    lock_release(&engine->lock);
    if (!shown) {
        return 0;
    }
    int rc = store_mailbox_get(engine->store, mailbox, &row, NULL);
    if (rc != 0) {
        return rc == -ENOENT ? -ESTALE : -EIO;
    }
    ret->mailbox = mailbox;
    ret->whole = row.complete;
    mailbox_row_finish(&row);
    return 0;
}

int engine_freshen(
    struct engine *engine, struct inode_no dir, enum freshness freshness, struct wait *wait)
{
    struct need need = {.freshness = freshness};
    struct mailbox_id mailbox = {0};
    int rc = dir_mailbox(engine, dir, &mailbox);
    if (rc == DIR_OF_MOUNT) {
        return 0;
    }
    if (rc == 0) {
        rc = read_need(engine, mailbox, &need);
    }
    if (rc != 0 && rc != -ENOENT) { /* without its mailbox the root waits for the tree alone */
        return rc;
    }
    lock_take(&engine->lock);
    rc = freshen_locked(engine, &need, wait);
    lock_release(&engine->lock);
    task_submit(need.listing_task);
    task_submit(need.tree_task);
    return rc;
}

/* ---- more ---------------------------------------------------------------------------------------
 */

uint64_t engine_generation(struct engine *engine, struct inode_no dir)
{
    struct mailbox_id mailbox = {0};
    if (dir_mailbox(engine, dir, &mailbox) != 0 || mailbox.value == 0) {
        return 0;
    }
    lock_take(&engine->lock);
    uint64_t generation = state_get(engine, mailbox)->generation;
    lock_release(&engine->lock);
    return generation;
}

static int more_locked(struct engine *engine, struct need *need, uint64_t seen, struct wait *wait)
    REQUIRES(engine->lock)
{
    const struct mailbox_state *state = state_get(engine, need->mailbox);
    if (engine->ending) {
        return -EHOSTDOWN;
    }
    if (state->generation != seen) {
        return -EAGAIN;
    }
    if (need->whole) {
        return 0;
    }
    if (state->last_error != 0 &&
        flight_find(engine, FLIGHT_LISTING, need->mailbox.value) == NULL) {
        return state->last_error;
    }
    struct flight *flight =
        listing_begin(engine, need->mailbox, PRIORITY_INTERACTIVE, &need->listing_task);
    flight_join(engine, flight, wait, WAIT_PROGRESS, deadline_in(engine->timeout_ms));
    return PARKED;
}

int engine_more(struct engine *engine, struct inode_no dir, uint64_t seen, struct wait *wait)
{
    struct need need = {.freshness = FRESH_BEGUN};
    struct mailbox_id mailbox = {0};
    int rc = dir_mailbox(engine, dir, &mailbox);
    if (inode_kind(dir) == INODE_UID_DIR) { /* lists nothing */
        return 0;
    }
    if (rc == 0 && mailbox.value != 0) {
        rc = read_need(engine, mailbox, &need);
    }
    if (rc != 0 || need.mailbox.value == 0) {
        return rc == DIR_OF_MOUNT ? 0 : rc;
    }
    lock_take(&engine->lock);
    rc = more_locked(engine, &need, seen, wait);
    lock_release(&engine->lock);
    task_submit(need.listing_task);
    return rc;
}
