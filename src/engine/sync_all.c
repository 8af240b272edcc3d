/* Everything is revalidated: the tree, then each mailbox that is shown, a few at a time. */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/inside.h"

/* So many listings are asked for together: others that come meanwhile do not wait behind all. */
enum { TOGETHER = 4 };

struct sync_all {
    struct engine *engine;
    struct flight *flight;
    /* guarded by engine->lock */
    struct mailbox_id *mailboxes;
    size_t count, next;
    unsigned pending;
    int first_error;
};

struct part {
    struct wait wait; /* the first member */
    struct sync_all *all;
};

static struct part *part_create(struct sync_all *all, void (*done)(struct wait *, int))
{
    struct part *part = alloc_zeroed(1, sizeof *part);
    part->wait.done = done;
    part->all = all;
    return part;
}

static void end(struct sync_all *all)
{
    struct flight *flight = all->flight;
    int result = all->first_error;
    free(all->mailboxes);
    free(all);
    flight_land(flight, result);
}

static void mailbox_done(struct wait *wait, int result);

/* Begins the next listings; the caller submits the tasks. */
static size_t begin_next(struct engine *engine, struct sync_all *all,
    struct task *ret_tasks[TOGETHER]) REQUIRES(engine->lock)
{
    size_t begun = 0;
    while (all->pending < TOGETHER && all->next < all->count && !engine->ending) {
        struct flight *flight =
            listing_begin(engine, all->mailboxes[all->next++], PRIORITY_SYNC, &ret_tasks[begun++]);
        flight_join(engine, flight, &part_create(all, mailbox_done)->wait, 0, DEADLINE_NEVER);
        all->pending++;
    }
    return begun;
}

static void go_on(struct sync_all *all)
{
    struct engine *engine = all->engine;
    struct task *tasks[TOGETHER];
    lock_take(&engine->lock);
    size_t begun = begin_next(engine, all, tasks);
    bool over = all->pending == 0;
    lock_release(&engine->lock);
    for (size_t i = 0; i < begun; i++) {
        task_submit(tasks[i]);
    }
    if (over) {
        end(all);
    }
}

/* One that is gone by now is no failure. */
static void part_done(struct wait *wait, int result, struct sync_all **ret_all)
{
    struct part *part = (struct part *)(void *)wait; /* the first member */
    struct sync_all *all = part->all;
    free(part);
    lock_take(&all->engine->lock);
    if (all->first_error == 0 && result != -ESTALE) {
        all->first_error = result;
    }
    all->pending--;
    lock_release(&all->engine->lock);
    *ret_all = all;
}

static void mailbox_done(struct wait *wait, int result)
{
    struct sync_all *all;
    part_done(wait, result, &all);
    go_on(all);
}

static void choose(struct engine *engine, struct sync_all *all) REQUIRES(engine->lock)
{
    GHashTableIter iter;
    gpointer value;
    all->mailboxes = alloc_zeroed(g_hash_table_size(engine->tree) + 1, sizeof *all->mailboxes);
    g_hash_table_iter_init(&iter, engine->tree);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct tree_entry *entry = value;
        if (entry->chosen && entry->selectable) {
            all->mailboxes[all->count++] = (struct mailbox_id){entry->id};
        }
    }
}

static void tree_done(struct wait *wait, int result)
{
    struct sync_all *all;
    part_done(wait, result, &all);
    struct engine *engine = all->engine;
    if (result == 0) {
        lock_take(&engine->lock);
        choose(engine, all);
        lock_release(&engine->lock);
    }
    go_on(all);
}

int engine_sync_all(struct engine *engine, struct wait *wait)
{
    struct task *task = NULL;
    lock_take(&engine->lock);
    if (engine->ending) {
        lock_release(&engine->lock);
        return -EHOSTDOWN;
    }
    struct flight *flight = flight_find(engine, FLIGHT_SYNC_ALL, 0);
    if (flight == NULL) {
        struct sync_all *all = alloc_zeroed(1, sizeof *all);
        flight = flight_create(engine, FLIGHT_SYNC_ALL, 0);
        flight_set_state(flight, FLIGHT_RUNNING);
        all->engine = engine;
        all->flight = flight;
        all->pending = 1;
        flight_join(engine, tree_begin(engine, &task), &part_create(all, tree_done)->wait, 0,
            DEADLINE_NEVER);
    }
    flight_join(engine, flight, wait, 0, DEADLINE_NEVER); /* how long, the caller decides */
    lock_release(&engine->lock);
    task_submit(task);
    return PARKED;
}
