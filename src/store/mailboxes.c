#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/file_name.h"
#include "store/inside.h"
#include "store/mailboxes.h"
#include "store/place.h"

int mailbox_is_gone(struct err *why)
{
    return err_set(why, ERR_GONE, ENOENT, "the mailbox is no longer there");
}

void mailbox_row_finish(struct mailbox_row *row)
{
    free(row->raw);
    row->raw = NULL;
    row->raw_len = 0;
}

static void copy_column(char *ret, size_t size, sqlite3_stmt *statement, int column)
{
    (void)snprintf(ret, size, "%s", db_text(statement, column)); /* was checked when it went in */
}

void mailbox_row_read(sqlite3_stmt *statement, struct mailbox_row *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->id.value = sqlite3_column_int64(statement, 0);
    ret->parent.value = sqlite3_column_int64(statement, 1);
    copy_column(ret->component, sizeof ret->component, statement, 2);
    const void *raw = sqlite3_column_blob(statement, 3);
    ret->raw_len = (size_t)sqlite3_column_bytes(statement, 3);
    ret->raw = alloc_zeroed(ret->raw_len + 1, 1);
    if (ret->raw_len > 0) {
        memcpy(ret->raw, raw, ret->raw_len);
    }
    ret->delimiter = (char)sqlite3_column_int(statement, 4);
    ret->listed = sqlite3_column_int(statement, 5) != 0;
    ret->selectable = sqlite3_column_int(statement, 6) != 0;
    ret->no_inferiors = sqlite3_column_int(statement, 7) != 0;
    ret->subscribed = sqlite3_column_int(statement, 8) != 0;
    copy_column(ret->special_use, sizeof ret->special_use, statement, 9);
    ret->uidvalidity = (uint32_t)sqlite3_column_int64(statement, 10);
    ret->uidnext = (uint32_t)sqlite3_column_int64(statement, 11);
    ret->highestmodseq = (uint64_t)sqlite3_column_int64(statement, 12);
    ret->messages = (uint32_t)sqlite3_column_int64(statement, 13);
    ret->unseen = (uint32_t)sqlite3_column_int64(statement, 14);
    ret->complete = sqlite3_column_int(statement, 15) != 0;
}

/* One row of a bound statement. */
static int read_one(
    struct db *reader, sqlite3_stmt *statement, struct mailbox_row *ret, struct err *why)
{
    int rc = db_step(reader, statement, why);
    if (rc > 0) {
        mailbox_row_read(statement, ret);
        db_reset(statement);
        return 0;
    }
    return rc == 0 ? mailbox_is_gone(why) : rc;
}

int store_mailbox_get(
    struct store *store, struct mailbox_id id, struct mailbox_row *ret, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_MAILBOX_GET);
    db_bind_int(reader, statement, 1, id.value);
    rc = read_one(reader, statement, ret, why);
    reader_give(store, reader);
    return rc;
}

int store_mailbox_child(struct store *store, struct mailbox_id parent, const char *component,
    struct mailbox_row *ret, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_MAILBOX_CHILD);
    db_bind_int(reader, statement, 1, parent.value);
    db_bind_text(reader, statement, 2, component);
    rc = read_one(reader, statement, ret, why);
    reader_give(store, reader);
    return rc;
}

int store_mailbox_children(struct store *store, struct mailbox_id parent, struct mailbox_id after,
    int (*each)(void *arg, const struct mailbox_row *row), void *arg, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    bool all = parent.value < 0;
    sqlite3_stmt *statement = db_statement(reader, all ? SQL_MAILBOX_ALL : SQL_MAILBOX_CHILDREN);
    if (!all) {
        db_bind_int(reader, statement, 1, parent.value);
    }
    db_bind_int(reader, statement, all ? 1 : 2, after.value);
    while ((rc = db_step(reader, statement, why)) > 0) {
        struct mailbox_row row;
        mailbox_row_read(statement, &row);
        int enough = each(arg, &row);
        mailbox_row_finish(&row);
        if (enough != 0) {
            db_reset(statement);
            rc = 0;
            break;
        }
    }
    reader_give(store, reader);
    return rc;
}

int write_mailbox_state(
    struct write *write, struct mailbox_id mailbox, struct mailbox_state *ret, struct err *why)
{
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_STATE);
    db_bind_int(write->db, statement, 1, mailbox.value);
    int rc = db_step(write->db, statement, why);
    if (rc <= 0) {
        return rc == 0 ? mailbox_is_gone(why) : rc;
    }
    ret->uidvalidity = (uint32_t)sqlite3_column_int64(statement, 0);
    ret->complete = sqlite3_column_int(statement, 1) != 0;
    place_hash(
        ret->hash, sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2));
    db_reset(statement);
    return 0;
}

static int tell_all_removed(struct write *write, struct mailbox_id mailbox, struct err *why)
{
    sqlite3_stmt *statement = db_statement(write->db, SQL_MESSAGE_RANGE);
    db_bind_int(write->db, statement, 1, mailbox.value);
    db_bind_int(write->db, statement, 2, 1);
    db_bind_int(write->db, statement, 3, UINT32_MAX);
    CLEANUP(buf) struct buf name = BUF_INIT;
    int rc = 0;
    while ((rc = db_step(write->db, statement, why)) > 0) {
        buf_reset(&name);
        file_name_ranked(
            &name, db_text(statement, 3), (uint32_t)sqlite3_column_int64(statement, 4));
        changes_add(&write->changes, CHANGE_REMOVED, mailbox,
            inode_make(INODE_MESSAGE, sqlite3_column_int64(statement, 0)), buf_text(&name));
    }
    return rc;
}

int write_mailbox_empty(
    struct write *write, struct mailbox_id mailbox, uint32_t uidvalidity, struct err *why)
{
    int rc = write->changes.wanted ? tell_all_removed(write, mailbox, why) : 0;
    if (rc == 0) {
        rc = write_by_id(write, SQL_MESSAGE_DELETE_ALL, mailbox.value, why);
    }
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_RESET);
    db_bind_int(write->db, statement, 1, mailbox.value);
    db_bind_int(write->db, statement, 2, uidvalidity);
    return db_run(write->db, statement, why);
}

struct validity {
    struct mailbox_id id;
    uint32_t uidvalidity;
};

static int set_uidvalidity(struct write *write, void *arg, struct err *why)
{
    const struct validity *wanted = arg;
    struct mailbox_state state = {0, false, ""};
    int rc = write_mailbox_state(write, wanted->id, &state, why);
    if (rc != 0 || state.uidvalidity == wanted->uidvalidity) {
        return rc;
    }
    return write_mailbox_empty(write, wanted->id, wanted->uidvalidity, why);
}

int store_mailbox_set_uidvalidity(struct store *store, struct mailbox_id id, uint32_t uidvalidity,
    const struct change_listener *listener, struct err *why)
{
    struct validity wanted = {id, uidvalidity};
    return store_write(store, set_uidvalidity, &wanted, listener, why);
}
