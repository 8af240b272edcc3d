#include <limits.h>
#include <errno.h>

#include "model/file_name.h"
#include "store/inside.h"

/* Hands the row a statement stands on to the callback, and gives its answer. */
static int hand_out(sqlite3_stmt *statement, bool details, message_each each, void *arg)
{
    CLEANUP(buf) struct buf ranked = BUF_INIT;
    struct message_row row = {
        .id = {sqlite3_column_int64(statement, 0)},
        .mailbox = {sqlite3_column_int64(statement, 1)},
        .uidvalidity = (uint32_t)sqlite3_column_int64(statement, 2),
        .uid = {(uint32_t)sqlite3_column_int64(statement, 3)},
        .size_bytes = sqlite3_column_int64(statement, 4),
        .size_proven = sqlite3_column_int(statement, 5) != 0,
        .internaldate_s = sqlite3_column_int64(statement, 6),
        .flags = db_text(statement, 7),
        .name = db_text(statement, 8),
        .date = details ? db_text(statement, 10) : "",
        .subject = details ? db_text(statement, 11) : "",
        .from = details ? db_text(statement, 12) : "",
        .message_id = details ? db_text(statement, 13) : "",
    };
    uint32_t rank = (uint32_t)sqlite3_column_int64(statement, 9);
    if (rank > 1) {
        file_name_ranked(&ranked, row.name, rank);
        row.name = buf_text(&ranked);
    }
    return each(arg, &row);
}

/* The one row of a bound statement. */
static int read_one(
    struct db *reader, sqlite3_stmt *statement, message_each each, void *arg, struct err *why)
{
    int rc = db_step(reader, statement, why);
    if (rc <= 0) {
        return rc == 0 ? message_is_gone(why) : rc;
    }
    (void)hand_out(statement, statement == reader->statements[SQL_MESSAGE_DETAILS], each,
        arg); /* there is nothing more to end */
    db_reset(statement);
    return 0;
}

int store_message_get(struct store *store, struct message_id id, bool details, message_each each,
    void *arg, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, details ? SQL_MESSAGE_DETAILS : SQL_MESSAGE_GET);
    db_bind_int(reader, statement, 1, id.value);
    rc = read_one(reader, statement, each, arg, why);
    reader_give(store, reader);
    return rc;
}

int store_message_by_name(struct store *store, struct mailbox_id mailbox, const char *name,
    message_each each, void *arg, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    CLEANUP(buf) struct buf base = BUF_INIT;
    uint32_t rank = 0;
    file_name_split(&base, &rank, name);
    sqlite3_stmt *statement = db_statement(reader, SQL_MESSAGE_BY_NAME);
    db_bind_int(reader, statement, 1, mailbox.value);
    db_bind_text(reader, statement, 2, buf_text(&base));
    db_bind_int(reader, statement, 3, rank);
    rc = read_one(reader, statement, each, arg, why);
    reader_give(store, reader);
    return rc;
}

int store_message_by_uid(struct store *store, struct mailbox_id mailbox, struct imap_uid uid,
    message_each each, void *arg, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_MESSAGE_BY_UID);
    db_bind_int(reader, statement, 1, mailbox.value);
    db_bind_int(reader, statement, 2, uid.value);
    rc = read_one(reader, statement, each, arg, why);
    reader_give(store, reader);
    return rc;
}

int store_message_page(struct store *store, struct mailbox_id mailbox, struct message_id after,
    size_t limit, message_each each, void *arg, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_MESSAGE_PAGE);
    db_bind_int(reader, statement, 1, mailbox.value);
    db_bind_int(reader, statement, 2, after.value);
    db_bind_int(reader, statement, 3, limit > INT_MAX ? INT_MAX : (int64_t)limit);
    while ((rc = db_step(reader, statement, why)) > 0) {
        if (hand_out(statement, false, each, arg) != 0) {
            db_reset(statement);
            rc = 0;
            break;
        }
    }
    reader_give(store, reader);
    return rc;
}

int store_message_uids(
    struct store *store, struct mailbox_id mailbox, struct uidset *ret, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    uidset_reset(ret);
    sqlite3_stmt *statement = db_statement(reader, SQL_MESSAGE_UIDS);
    db_bind_int(reader, statement, 1, mailbox.value);
    while ((rc = db_step(reader, statement, why)) > 0) {
        uint32_t uid = (uint32_t)sqlite3_column_int64(statement, 0);
        rc = uidset_add(ret, uid, uid);
        if (rc != 0) {
            db_reset(statement);
            rc = err_set(why, ERR_LOCAL, -rc, "the index holds a message without a number");
            break;
        }
    }
    reader_give(store, reader);
    return rc;
}
