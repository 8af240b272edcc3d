#include "engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/inside.h"
#include "store/body.h"

static guint key_hash(gconstpointer data)
{
    const struct flight_key *key = data;
    return (guint)((guint64)key->id * 8 + (guint64)key->kind);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    const struct flight_key *left = a;
    const struct flight_key *right = b;
    return left->kind == right->kind && left->id == right->id;
}

static char **copy_patterns(const char *const *patterns)
{
    if (patterns == NULL || patterns[0] == NULL) {
        return NULL;
    }
    GPtrArray *copy = g_ptr_array_new();
    for (size_t i = 0; patterns[i] != NULL; i++) {
        g_ptr_array_add(copy, g_strdup(patterns[i]));
    }
    g_ptr_array_add(copy, NULL);
    return (char **)g_ptr_array_free(copy, FALSE);
}

static char *copy_root(const char *path)
{
    char *copy = g_strdup(path == NULL ? "" : path);
    size_t len = strlen(copy);
    while (len > 0 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    size_t slashes = strspn(copy, "/");
    memmove(copy, copy + slashes, len - slashes + 1);
    return copy;
}

static void state_free(gpointer data)
{
    free(data); /* its wants were taken by then */
}

static struct engine *begin(const struct engine_options *options)
{
    struct engine *engine = alloc_zeroed(1, sizeof *engine);
    engine->store = options->store;
    engine->pool = options->pool;
    engine->log = options->log;
    engine->max_age_ms = options->max_age_ms > 0 ? options->max_age_ms : 0;
    engine->timeout_ms = options->timeout_ms;
    engine->subscribed_only = options->subscribed_only;
    engine->include = copy_patterns(options->include);
    engine->exclude = copy_patterns(options->exclude);
    engine->root_path = copy_root(options->root_mailbox);
    lock_init(&engine->lock, RANK_ENGINE, "engine");
    cond_init(&engine->tasks_gone);
    cond_init(&engine->clock_changed);
    cond_init(&engine->tidy_changed);
    engine->flights = g_hash_table_new(key_hash, key_equal);
    engine->states = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, state_free);
    engine->tree = g_hash_table_new(g_int64_hash, g_int64_equal);
    engine->failures = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free);
    engine->clock_target_ms = DEADLINE_NEVER;
    engine->settle_ms = DEADLINE_NEVER;
    engine->trim_ms = DEADLINE_NEVER;
    engine->quota_fresh_until_ms = clock_now_ms() - 1;
    return engine;
}

static int load(struct engine *engine, struct err *why)
{
    char listed[8];
    int rc = store_fact_get(engine->store, "listed", listed, sizeof listed, why);
    if (rc == 0) {
        engine->tree_known = listed[0] != '\0';
        rc = tree_load(engine, why);
    }
    return rc;
}

static int start_threads(struct engine *engine, struct err *why)
{
    int rc = thread_start(&engine->clock_thread, "clock", clock_main, engine);
    engine->clock_started = rc == 0;
    if (rc == 0) {
        rc = thread_start(&engine->tidy_thread, "tidy", tidy_main, engine);
        engine->tidy_started = rc == 0;
    }
    return rc == 0 ? 0 : err_set(why, ERR_LOCAL, -rc, "no thread could be started");
}

int engine_create(struct engine **ret, const struct engine_options *options, struct err *why)
{
    struct engine *engine = begin(options);
    int rc = load(engine, why);
    if (rc == 0) {
        rc = start_threads(engine, why);
    }
    if (rc != 0) {
        engine_destroy(&engine);
        return rc;
    }
    if (store_body_over_limit(engine->store)) { /* a smaller limit than last time */
        lock_take(&engine->lock);
        engine->trim_ms = clock_now_ms();
        cond_wake_one(&engine->tidy_changed);
        lock_release(&engine->lock);
    }
    *ret = engine;
    return 0;
}

void engine_set_listener(struct engine *engine, const struct engine_listener *listener)
{
    engine->listener = *listener;
}

static void end_threads(struct engine *engine)
{
    lock_take(&engine->lock);
    engine->ending = true;
    lock_release(&engine->lock);
    tasks_end(engine); /* each lands its flights: the waits are done */
    lock_take(&engine->lock);
    engine->clock_ending = true;
    engine->tidy_ending = true;
    cond_wake_all(&engine->clock_changed);
    cond_wake_all(&engine->tidy_changed);
    lock_release(&engine->lock);
    if (engine->clock_started) {
        (void)pthread_join(engine->clock_thread, NULL); /* ours, joined once */
    }
    if (engine->tidy_started) {
        (void)pthread_join(engine->tidy_thread, NULL); /* the same */
    }
}

void engine_destroy(struct engine **engine)
{
    struct engine *gone = *engine;
    if (gone == NULL) {
        return;
    }
    *engine = NULL;
    end_threads(gone);
    g_hash_table_destroy(gone->failures);
    g_hash_table_destroy(gone->tree);
    g_hash_table_destroy(gone->states);
    g_hash_table_destroy(gone->flights);
    cond_finish(&gone->tidy_changed);
    cond_finish(&gone->clock_changed);
    cond_finish(&gone->tasks_gone);
    lock_finish(&gone->lock);
    g_strfreev(gone->include);
    g_strfreev(gone->exclude);
    g_free(gone->root_path);
    free(gone);
}

/* ---- the first list
 * ---------------------------------------------------------------------------------- */

struct first_list {
    struct wait wait; /* the first member */
    struct lock lock;
    struct cond ended;
    bool over;
    int result;
};

static void first_done(struct wait *wait, int result)
{
    struct first_list *first = (struct first_list *)(void *)wait; /* the first member */
    lock_take(&first->lock);
    first->over = true;
    first->result = result;
    cond_wake_all(&first->ended);
    lock_release(&first->lock);
}

static int list_now(struct engine *engine, struct err *why)
{
    struct first_list first = {.wait = {.done = first_done}};
    struct task *task;
    lock_init(&first.lock, RANK_ENGINE, "first list");
    cond_init(&first.ended);
    lock_take(&engine->lock);
    flight_join(engine, tree_begin(engine, &task), &first.wait, 0, DEADLINE_NEVER);
    lock_release(&engine->lock);
    task_submit(task);
    lock_take(&first.lock);
    while (!first.over) {
        (void)cond_wait(&first.ended, &first.lock, DEADLINE_NEVER); /* the session has deadlines */
    }
    lock_release(&first.lock);
    cond_finish(&first.ended);
    lock_finish(&first.lock);
    if (first.result != 0) {
        lock_take(&engine->lock);
        *why = engine->tree_error;
        lock_release(&engine->lock);
    }
    return first.result;
}

static bool is_tree_known(struct engine *engine)
{
    lock_take(&engine->lock);
    bool known = engine->tree_known;
    lock_release(&engine->lock);
    return known;
}

int engine_start(struct engine *engine, struct err *why)
{
    struct err reason = ERR_INIT;
    int rc = pool_connect(engine->pool, &reason);
    if (rc == 0) {
        rc = list_now(engine, &reason);
    }
    if (rc != 0 && reason.class == ERR_RETRY && is_tree_known(engine)) {
        engine_note(engine, "%s; what was seen earlier is shown until the server can be reached",
            reason.text);
        lock_take(&engine->lock);
        engine->trouble_noted = true;
        lock_release(&engine->lock);
        rc = 0;
    }
    if (rc != 0) {
        if (why != NULL) {
            *why = reason;
        }
        return rc;
    }
    lock_take(&engine->lock);
    bool gone = engine->root_gone;
    lock_release(&engine->lock);
    if (gone) {
        return err_set(
            why, ERR_GONE, ENOENT, "there is no mailbox %s on the server", engine->root_path);
    }
    return 0;
}

/* ---- status
 * ----------------------------------------------------------------------------------------- */

static int count_row(void *arg, const struct mailbox_row *row)
{
    struct engine_status *status = arg;
    status->mailboxes += row->listed;
    status->synchronised_mailboxes += row->complete;
    return 0;
}

void engine_get_status(struct engine *engine, struct engine_status *ret)
{
    struct body_totals bodies = {0};
    uint64_t bytes = 0;
    *ret = (struct engine_status){0};
    pool_get_status(engine->pool, &ret->pool);
    /* what this disk does not tell is shown as 0 */
    (void)!store_mailbox_children(
        engine->store, (struct mailbox_id){-1}, (struct mailbox_id){0}, count_row, ret, NULL);
    (void)!store_totals(engine->store, &ret->messages, &bytes, NULL);
    store_body_totals(engine->store, &bodies);
    ret->cached_bodies = bodies.files;
    ret->cached_bytes = bodies.bytes;
    ret->cache_limit_bytes = bodies.limit_bytes;
    lock_take(&engine->lock);
    ret->waiting = engine->wait_count;
    ret->bodies_fetched = engine->bodies_fetched;
    ret->body_bytes_fetched = engine->body_bytes_fetched;
    ret->rows_fetched = engine->rows_fetched;
    ret->errors = engine->errors;
    lock_release(&engine->lock);
}
