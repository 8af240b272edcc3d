/* The tree of mailboxes: fetched, kept in memory for the filters, shown. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/inside.h"
#include "engine/tree_build.h"

static int on_listed(void *arg, const struct listed_mailbox *mailbox)
{
    tree_build_add(arg, mailbox);
    return 0;
}

static int store_listed(
    struct engine *engine, struct tree_build *build, size_t odd, struct err *why)
{
    const struct tree_node *nodes;
    size_t count;
    size_t left_out;
    struct change_listener changes = engine_changes(engine);
    tree_build_nodes(build, &nodes, &count, &left_out);
    if (count == 0) {
        /* INBOX always exists: to believe this would be to lose everything that is known. */
        return err_set(why, ERR_REFUSED, EIO, "the server lists no mailbox at all");
    }
    if (odd + left_out > 0) {
        engine_note(engine, "%zu answers of the list of mailboxes were unreadable or too many",
            odd + left_out);
    }
    int rc = store_tree_replace(engine->store, nodes, count, &changes, why);
    if (rc == 0) {
        rc = store_fact_set(engine->store, "listed", "1", why);
    }
    return rc == 0 ? tree_load(engine, why) : rc;
}

int tree_fetch(struct engine *engine, struct session *session, struct err *why)
{
    size_t odd = 0;
    struct tree_build *build = tree_build_create();
    int64_t began_ms = clock_now_ms();
    int rc = session_list(session, on_listed, build, &odd, why);
    int64_t cost_ms = clock_now_ms() - began_ms;
    if (rc == 0) {
        rc = store_listed(engine, build, odd, why);
    }
    tree_build_destroy(&build);
    if (rc != 0) {
        return rc;
    }
    int64_t age_ms = engine->max_age_ms;
    if (age_ms < COST_FACTOR * cost_ms) {
        age_ms = COST_FACTOR * cost_ms;
    }
    lock_take(&engine->lock);
    engine->tree_fresh_until_ms = deadline_in(age_ms);
    engine->tree_known = true;
    lock_release(&engine->lock);
    if (engine->listener.inode_changed != NULL) {
        engine->listener.inode_changed(engine->listener.arg, INODE_ROOT, false);
    }
    return 0;
}

/* ---- the tree in memory -------------------------------------------------------------------------
 */

struct leaf {
    struct tree_entry entry; /* the first member: what stays */
    char *component;
    bool subscribed;
};

struct loading {
    GHashTable *leaves; /* of struct leaf by id */
};

static void leaf_free(gpointer data)
{
    struct leaf *leaf = data;
    free(leaf->component);
    free(leaf);
}

static int on_row(void *arg, const struct mailbox_row *row)
{
    struct loading *loading = arg;
    struct leaf *leaf = alloc_zeroed(1, sizeof *leaf);
    leaf->entry.id = row->id.value;
    leaf->entry.parent = row->parent.value;
    leaf->entry.selectable = row->selectable;
    leaf->subscribed = row->subscribed;
    leaf->component = alloc_text(row->component);
    g_hash_table_replace(loading->leaves, &leaf->entry.id, leaf);
    return 0;
}

static struct leaf *leaf_at(const struct loading *loading, int64_t id)
{
    return id == 0 ? NULL : g_hash_table_lookup(loading->leaves, &id);
}

/* "a/b/c" */
static char *path_of(const struct loading *loading, const struct leaf *leaf)
{
    GPtrArray *parts = g_ptr_array_new();
    size_t most = g_hash_table_size(loading->leaves);
    for (; leaf != NULL && parts->len <= most; leaf = leaf_at(loading, leaf->entry.parent)) {
        g_ptr_array_insert(parts, 0, leaf->component);
    }
    g_ptr_array_add(parts, NULL);
    char *path = g_strjoinv("/", (char **)parts->pdata);
    g_ptr_array_free(parts, TRUE);
    return path;
}

/* Whether a pattern is that of the path or of something above it. */
static bool matches(char *const *patterns, const char *path)
{
    CLEANUP(free) char *part = alloc_text(path);
    for (;;) {
        for (size_t i = 0; patterns[i] != NULL; i++) {
            if (fnmatch(patterns[i], part, 0) == 0) {
                return true;
            }
        }
        char *slash = strrchr(part, '/');
        if (slash == NULL) {
            return false;
        }
        *slash = '\0';
    }
}

static bool passes(
    const struct engine *engine, const struct loading *loading, const struct leaf *leaf)
{
    bool is_inbox = leaf->entry.parent == 0 && strcmp(leaf->component, "INBOX") == 0;
    if (engine->subscribed_only && !leaf->subscribed && !is_inbox) {
        return false;
    }
    if (engine->include == NULL && engine->exclude == NULL) {
        return true;
    }
    char *path = path_of(loading, leaf);
    bool passed = (engine->include == NULL || matches(engine->include, path)) &&
                  (engine->exclude == NULL || !matches(engine->exclude, path));
    g_free(path);
    return passed;
}

/* The chosen one and all above it are shown; each counts once with its parent. */
static void show(const struct loading *loading, struct leaf *leaf)
{
    while (leaf != NULL && !leaf->entry.visible) {
        struct leaf *parent = leaf_at(loading, leaf->entry.parent);
        leaf->entry.visible = true;
        if (parent != NULL) {
            parent->entry.children++;
        }
        leaf = parent;
    }
}

static void apply_filters(const struct engine *engine, const struct loading *loading)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, loading->leaves);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct leaf *leaf = value;
        if (passes(engine, loading, leaf)) {
            leaf->entry.chosen = true;
            show(loading, leaf);
        }
    }
}

/* The mailbox of the path that the mount's root is. */
static struct mailbox_id find_root(const struct engine *engine)
{
    struct mailbox_id at = {0};
    char **parts = g_strsplit(engine->root_path, "/", -1);
    for (size_t i = 0; parts[i] != NULL; i++) {
        struct mailbox_row row;
        bool inbox = i == 0 && g_ascii_strcasecmp(parts[i], "INBOX") == 0;
        const char *component = inbox ? "INBOX" : parts[i];
        if (store_mailbox_child(engine->store, at, component, &row, NULL) != 0) {
            at = (struct mailbox_id){0};
            break;
        }
        at = row.id;
        mailbox_row_finish(&row);
    }
    g_strfreev(parts);
    return at;
}

int tree_load(struct engine *engine, struct err *why)
{
    struct loading loading = {g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, leaf_free)};
    int rc = store_mailbox_children(
        engine->store, (struct mailbox_id){-1}, (struct mailbox_id){0}, on_row, &loading, why);
    if (rc != 0) {
        g_hash_table_destroy(loading.leaves);
        return rc;
    }
    apply_filters(engine, &loading);
    struct mailbox_id root = {0};
    if (engine->root_path[0] != '\0') {
        root = find_root(engine);
    }
    lock_take(&engine->lock);
    GHashTable *before = engine->tree;
    engine->tree = loading.leaves;
    engine->root = root;
    engine->root_gone = engine->root_path[0] != '\0' && root.value == 0;
    lock_release(&engine->lock);
    g_hash_table_destroy(before);
    return 0;
}

bool tree_entry(struct engine *engine, struct mailbox_id mailbox, struct tree_entry *ret)
{
    lock_take(&engine->lock);
    const struct tree_entry *entry = g_hash_table_lookup(engine->tree, &mailbox.value);
    if (entry != NULL) {
        *ret = *entry;
    }
    lock_release(&engine->lock);
    return entry != NULL;
}

bool tree_shows_messages_locked(struct engine *engine, struct mailbox_id mailbox)
{
    lock_assert_held(&engine->lock);
    const struct tree_entry *entry = g_hash_table_lookup(engine->tree, &mailbox.value);
    /* One that is not known here yet is asked, and found to be gone. */
    return entry == NULL || (entry->chosen && entry->selectable);
}
