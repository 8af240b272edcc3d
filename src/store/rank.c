#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "model/file_name.h"
#include "store/inside.h"

/* A message whose rank is not its position. */
struct shift {
    int64_t id;
    uint32_t from, to;
};

struct name_set {
    GHashTable *names;
};

static void touch(struct ranks *ranks, const char *base_name)
{
    if (ranks->touched == NULL) {
        ranks->touched = g_new0(struct name_set, 1);
        ranks->touched->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    if (!g_hash_table_contains(ranks->touched->names, base_name)) {
        g_hash_table_add(ranks->touched->names, g_strdup(base_name));
    }
}

void ranks_finish(struct ranks *ranks)
{
    if (ranks->touched != NULL) {
        g_hash_table_destroy(ranks->touched->names);
        g_free(ranks->touched);
        ranks->touched = NULL;
    }
}

/* The highest rank of a name and its UID: 1, 0 if the name is free, or -errno. */
static int last_of_name(struct ranks *ranks, const char *base_name, uint32_t *ret_uid,
    uint32_t *ret_rank, struct err *why)
{
    struct db *db = ranks->write->db;
    sqlite3_stmt *statement = db_statement(db, SQL_MESSAGE_LAST_OF_NAME);
    db_bind_int(db, statement, 1, ranks->mailbox.value);
    db_bind_text(db, statement, 2, base_name);
    int rc = db_step(db, statement, why);
    if (rc > 0) {
        *ret_uid = (uint32_t)sqlite3_column_int64(statement, 0);
        *ret_rank = (uint32_t)sqlite3_column_int64(statement, 1);
        db_reset(statement);
    }
    return rc;
}

/* Ranks rise with UIDs, so a message with a UID above the last one's only goes behind it: mail that
 * arrives in order costs one look at the index, however many duplicates there are. */
int ranks_next(
    struct ranks *ranks, const struct message_new *row, uint32_t *ret_rank, struct err *why)
{
    uint32_t last_uid = 0;
    uint32_t last_rank = 0;
    int rc = last_of_name(ranks, row->name, &last_uid, &last_rank, why);
    if (rc < 0) {
        return rc;
    }
    if (rc > 0 && row->uid.value <= last_uid) {
        touch(ranks, row->name);
        *ret_rank = RANK_LATER;
        return 0;
    }
    *ret_rank = last_rank + 1;
    return 0;
}

int ranks_removed(struct ranks *ranks, const char *base_name, uint32_t rank, struct err *why)
{
    uint32_t last_uid = 0;
    uint32_t last_rank = 0;
    int rc = last_of_name(ranks, base_name, &last_uid, &last_rank, why);
    if (rc > 0 && last_rank > rank) {
        touch(ranks, base_name);
    }
    return rc < 0 ? rc : 0;
}

/* The shifts of one name; they are collected first, since they change what is read. */
static int find_shifts(struct ranks *ranks, const char *base_name, GArray *shifts, struct err *why)
{
    struct db *db = ranks->write->db;
    sqlite3_stmt *statement = db_statement(db, SQL_MESSAGE_EVERY_OF_NAME);
    db_bind_int(db, statement, 1, ranks->mailbox.value);
    db_bind_text(db, statement, 2, base_name);
    uint32_t position = 0;
    int rc = 0;
    while ((rc = db_step(db, statement, why)) > 0) {
        position++;
        struct shift shift = {sqlite3_column_int64(statement, 0),
            (uint32_t)sqlite3_column_int64(statement, 1), position};
        if (shift.from != shift.to) {
            g_array_append_val(shifts, shift);
        }
    }
    return rc;
}

static int apply_shift(struct ranks *ranks, const char *base_name, const struct shift *shift,
    bool tell_added, struct err *why)
{
    struct db *db = ranks->write->db;
    sqlite3_stmt *statement = db_statement(db, SQL_MESSAGE_RANK);
    db_bind_int(db, statement, 1, shift->id);
    db_bind_int(db, statement, 2, shift->to);
    int rc = db_run(db, statement, why);
    bool is_new = shift->from == RANK_LATER;
    if (rc != 0 || (is_new && !tell_added) || !ranks->write->changes.wanted) {
        return rc;
    }
    CLEANUP(buf) struct buf name = BUF_INIT;
    file_name_ranked(&name, base_name, is_new ? shift->to : shift->from);
    changes_add(&ranks->write->changes, is_new ? CHANGE_ADDED : CHANGE_RENAMED, ranks->mailbox,
        inode_make(INODE_MESSAGE, shift->id), buf_text(&name));
    return 0;
}

static int settle_name(struct ranks *ranks, const char *base_name, bool tell_added, struct err *why)
{
    GArray *shifts = g_array_new(FALSE, FALSE, sizeof(struct shift));
    int rc = find_shifts(ranks, base_name, shifts, why);
    for (guint i = 0; rc == 0 && i < shifts->len; i++) {
        rc =
            apply_shift(ranks, base_name, &g_array_index(shifts, struct shift, i), tell_added, why);
    }
    (void)g_array_free(shifts, TRUE); /* gives NULL */
    return rc;
}

int ranks_settle(struct ranks *ranks, bool tell_added, struct err *why)
{
    if (ranks->touched == NULL) {
        return 0;
    }
    GHashTableIter names;
    gpointer name = NULL;
    g_hash_table_iter_init(&names, ranks->touched->names);
    while (g_hash_table_iter_next(&names, &name, NULL)) {
        int rc = settle_name(ranks, name, tell_added, why);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
