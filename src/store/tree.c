#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/inside.h"
#include "store/mailboxes.h"

enum { COMPONENT_MAX = 255, SPECIAL_USE_MAX = 31 };

struct tree {
    const struct tree_node *nodes;
    size_t count;
    GHashTable *by_raw;     /* GBytes -> index + 1 */
    struct mailbox_id *ids; /* of the node's row; 0: it has none yet */
    bool *parked;           /* its row waits for its place */
};

static int wrong_tree(struct err *why, const char *what)
{
    return err_set(why, ERR_BUG, EINVAL, "a list of mailboxes is wrong: %s", what);
}

static int check_nodes(struct tree *tree, struct err *why)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_node *node = &tree->nodes[i];
        size_t len = strlen(node->component);
        if (node->parent != SIZE_MAX && node->parent >= i) {
            return wrong_tree(why, "a child stands before its parent");
        }
        if (len == 0 || len > COMPONENT_MAX || strchr(node->component, '/') != NULL) {
            return wrong_tree(why, "a component is none");
        }
        GBytes *raw = g_bytes_new(node->raw, node->raw_len);
        if (!g_hash_table_insert(tree->by_raw, raw, GSIZE_TO_POINTER(i + 1))) {
            return wrong_tree(why, "a name comes twice");
        }
    }
    return 0;
}

static const char *special_use_of(const struct tree_node *node)
{
    return node->special_use != NULL && strlen(node->special_use) <= SPECIAL_USE_MAX
               ? node->special_use
               : "";
}

static struct mailbox_id parent_id(const struct tree *tree, const struct tree_node *node)
{
    const struct mailbox_id root = {0};
    return node->parent == SIZE_MAX ? root : tree->ids[node->parent];
}

static void tell(struct write *write, enum store_change_kind kind, const struct mailbox_row *row)
{
    changes_add(&write->changes, kind, row->parent, inode_make(INODE_MAILBOX, row->id.value),
        row->component);
}

/* Finds the rows that stay, and lists the others. */
static int match_rows(struct tree *tree, struct write *write, GArray *gone, struct err *why)
{
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_EVERY);
    int rc = 0;
    while ((rc = db_step(write->db, statement, why)) > 0) {
        struct mailbox_id id = {sqlite3_column_int64(statement, 0)};
        GBytes *raw = g_bytes_new(
            sqlite3_column_blob(statement, 3), (gsize)sqlite3_column_bytes(statement, 3));
        gpointer at = g_hash_table_lookup(tree->by_raw, raw);
        g_bytes_unref(raw);
        if (at != NULL) {
            tree->ids[GPOINTER_TO_SIZE(at) - 1] = id;
            continue;
        }
        g_array_append_val(gone, id);
        struct mailbox_id parent = {sqlite3_column_int64(statement, 1)};
        changes_add(&write->changes, CHANGE_REMOVED, parent, inode_make(INODE_MAILBOX, id.value),
            db_text(statement, 2));
    }
    return rc;
}

static int remove_others(struct tree *tree, struct write *write, struct err *why)
{
    GArray *gone = g_array_new(FALSE, FALSE, sizeof(struct mailbox_id));
    int rc = match_rows(tree, write, gone, why);
    for (guint i = 0; rc == 0 && i < gone->len; i++) {
        rc = write_by_id(
            write, SQL_MAILBOX_DELETE, g_array_index(gone, struct mailbox_id, i).value, why);
    }
    (void)g_array_free(gone, TRUE); /* gives NULL */
    return rc;
}

static int read_row(
    struct write *write, struct mailbox_id id, struct mailbox_row *ret, struct err *why)
{
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_GET);
    db_bind_int(write->db, statement, 1, id.value);
    int rc = db_step(write->db, statement, why);
    if (rc <= 0) {
        return rc == 0 ? mailbox_is_gone(why) : rc;
    }
    mailbox_row_read(statement, ret);
    db_reset(statement);
    return 0;
}

/* Rows whose name in the tree changes leave their places before any takes its new one: two may
 * change places. */
static int park_rows(struct tree *tree, struct write *write, struct err *why)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_node *node = &tree->nodes[i];
        if (tree->ids[i].value == 0) {
            continue;
        }
        struct mailbox_row row = {.raw = NULL};
        int rc = read_row(write, tree->ids[i], &row, why);
        if (rc != 0) {
            return rc;
        }
        mailbox_row_finish(&row);
        /* A parent that is new has no id yet, and no row of ours lies in it. */
        bool parent_stays = row.parent.value == parent_id(tree, node).value &&
                            (node->parent == SIZE_MAX || row.parent.value != 0);
        if (parent_stays && strcmp(row.component, node->component) == 0) {
            continue;
        }
        tell(write, CHANGE_RENAMED, &row);
        tree->parked[i] = true;
        rc = write_by_id(write, SQL_MAILBOX_PARK, row.id.value, why);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int insert_row(struct tree *tree, struct write *write, size_t i, struct err *why)
{
    const struct tree_node *node = &tree->nodes[i];
    struct mailbox_id parent = parent_id(tree, node);
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_INSERT);
    db_bind_bytes(write->db, statement, 1, node->raw, node->raw_len);
    db_bind_int(write->db, statement, 2, parent.value);
    db_bind_text(write->db, statement, 3, node->component);
    db_bind_int(write->db, statement, 4, node->delimiter);
    db_bind_int(write->db, statement, 5, node->listed);
    db_bind_int(write->db, statement, 6, node->selectable);
    db_bind_int(write->db, statement, 7, node->no_inferiors);
    db_bind_int(write->db, statement, 8, node->subscribed);
    db_bind_text(write->db, statement, 9, special_use_of(node));
    int rc = db_run(write->db, statement, why);
    if (rc != 0) {
        return rc;
    }
    tree->ids[i].value = sqlite3_last_insert_rowid(write->db->handle);
    changes_add(&write->changes, CHANGE_ADDED, parent,
        inode_make(INODE_MAILBOX, tree->ids[i].value), node->component);
    return 0;
}

static int place_row(struct tree *tree, struct write *write, size_t i, struct err *why)
{
    const struct tree_node *node = &tree->nodes[i];
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_PLACE);
    db_bind_int(write->db, statement, 1, tree->ids[i].value);
    db_bind_int(write->db, statement, 2, parent_id(tree, node).value);
    db_bind_text(write->db, statement, 3, node->component);
    return db_run(write->db, statement, why);
}

static bool has_attributes(const struct mailbox_row *row, const struct tree_node *node)
{
    return row->delimiter == node->delimiter && row->listed == node->listed &&
           row->selectable == node->selectable && row->no_inferiors == node->no_inferiors &&
           row->subscribed == node->subscribed &&
           strcmp(row->special_use, special_use_of(node)) == 0;
}

static int update_attributes(struct write *write, const struct mailbox_row *row,
    const struct tree_node *node, struct err *why)
{
    if (has_attributes(row, node)) {
        return 0;
    }
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_ATTRIBUTES);
    db_bind_int(write->db, statement, 1, row->id.value);
    db_bind_int(write->db, statement, 2, node->delimiter);
    db_bind_int(write->db, statement, 3, node->listed);
    db_bind_int(write->db, statement, 4, node->selectable);
    db_bind_int(write->db, statement, 5, node->no_inferiors);
    db_bind_int(write->db, statement, 6, node->subscribed);
    db_bind_text(write->db, statement, 7, special_use_of(node));
    int rc = db_run(write->db, statement, why);
    if (rc != 0) {
        return rc;
    }
    tell(write, CHANGE_ATTRIBUTES, row);
    /* A mailbox that can no longer be selected has no messages that anybody could ask for. */
    return row->selectable && !node->selectable ? write_mailbox_empty(write, row->id, 0, why) : 0;
}

static int settle_node(struct tree *tree, struct write *write, size_t i, struct err *why)
{
    if (tree->ids[i].value == 0) {
        return insert_row(tree, write, i, why);
    }
    int rc = tree->parked[i] ? place_row(tree, write, i, why) : 0;
    if (rc != 0) {
        return rc;
    }
    struct mailbox_row row = {.raw = NULL};
    rc = read_row(write, tree->ids[i], &row, why);
    if (rc == 0) {
        rc = update_attributes(write, &row, &tree->nodes[i], why);
        mailbox_row_finish(&row);
    }
    return rc;
}

static int replace_tree(struct write *write, void *arg, struct err *why)
{
    struct tree *tree = arg;
    int rc = remove_others(tree, write, why);
    if (rc == 0) {
        rc = park_rows(tree, write, why);
    }
    for (size_t i = 0; rc == 0 && i < tree->count; i++) {
        rc = settle_node(tree, write, i, why);
    }
    return rc;
}

static void unref_bytes(gpointer bytes)
{
    g_bytes_unref(bytes);
}

int store_tree_replace(struct store *store, const struct tree_node *nodes, size_t count,
    const struct change_listener *listener, struct err *why)
{
    struct tree tree = {nodes, count, NULL, NULL, NULL};
    tree.by_raw = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, unref_bytes, NULL);
    tree.ids = calloc(count + 1, sizeof *tree.ids);
    tree.parked = calloc(count + 1, sizeof *tree.parked);
    int rc = tree.ids == NULL || tree.parked == NULL
                 ? err_set(why, ERR_LOCAL, ENOMEM, "out of memory for a list of mailboxes")
                 : check_nodes(&tree, why);
    if (rc == 0) {
        rc = store_write(store, replace_tree, &tree, listener, why);
    }
    g_hash_table_destroy(tree.by_raw);
    free(tree.ids);
    free(tree.parked);
    return rc;
}
