#include <errno.h>
#include <string.h>

#include "model/file_name.h"
#include "store/inside.h"
#include "store/place.h"

int message_is_gone(struct err *why)
{
    return err_set(why, ERR_GONE, ENOENT, "the message is no longer there");
}

static int is_stale(struct err *why)
{
    return err_set(
        why, ERR_CONFLICT, ESTALE, "the mailbox was given new message numbers by the server");
}

/* For rows that belong to one UIDVALIDITY: it must still be the mailbox's. */
static int require_uidvalidity(struct write *write, struct mailbox_id mailbox, uint32_t uidvalidity,
    struct mailbox_state *ret, struct err *why)
{
    int rc = write_mailbox_state(write, mailbox, ret, why);
    if (rc == -ENOENT) {
        return is_stale(why);
    }
    if (rc == 0 && (uidvalidity == 0 || ret->uidvalidity != uidvalidity)) {
        return is_stale(why);
    }
    return rc;
}

/* ---- adding ---- */

struct addition {
    struct mailbox_id mailbox;
    uint32_t uidvalidity;
    const struct message_new *rows;
    size_t count;
    int64_t messages, bytes;
};

static bool is_sound(const struct message_new *row)
{
    size_t len = strlen(row->name);
    if (row->uid.value == 0 || row->size_bytes < 0 || len == 0 || len > FILE_NAME_MAX) {
        return false;
    }
    if (strchr(row->name, '~') == NULL) {
        return true;
    }
    CLEANUP(buf) struct buf base = BUF_INIT;
    uint32_t rank = 0;
    file_name_split(&base, &rank, row->name);
    return rank == 1;
}

/* *ret_id 0: the UID was there already. */
static int insert(struct write *write, struct mailbox_id mailbox, const struct message_new *row,
    uint32_t rank, int64_t *ret_id, struct err *why)
{
    struct db *db = write->db;
    sqlite3_stmt *statement = db_statement(db, SQL_MESSAGE_INSERT);
    db_bind_int(db, statement, 1, mailbox.value);
    db_bind_int(db, statement, 2, row->uid.value);
    db_bind_int(db, statement, 3, row->size_bytes);
    db_bind_int(db, statement, 4, row->internaldate_s);
    db_bind_text(db, statement, 5, row->flags);
    db_bind_text(db, statement, 6, row->name);
    db_bind_int(db, statement, 7, rank);
    db_bind_text(db, statement, 8, row->date);
    db_bind_text(db, statement, 9, row->subject);
    db_bind_text(db, statement, 10, row->from);
    db_bind_text(db, statement, 11, row->message_id);
    int rc = db_run(db, statement, why);
    if (rc == 0) {
        *ret_id = sqlite3_changes64(db->handle) > 0 ? sqlite3_last_insert_rowid(db->handle) : 0;
    }
    return rc;
}

static int add_one(struct addition *addition, struct ranks *ranks, const struct message_new *row,
    bool tell, struct err *why)
{
    if (!is_sound(row)) {
        return err_set(why, ERR_BUG, EINVAL, "a message to be added is none");
    }
    struct write *write = ranks->write;
    uint32_t rank = 0;
    int64_t id = 0;
    int rc = ranks_next(ranks, row, &rank, why);
    if (rc == 0) {
        rc = insert(write, addition->mailbox, row, rank, &id, why);
    }
    if (rc != 0 || id == 0) {
        return rc;
    }
    addition->messages++;
    addition->bytes += counted_bytes(row->size_bytes);
    if (tell && rank != RANK_LATER) {
        CLEANUP(buf) struct buf name = BUF_INIT;
        file_name_ranked(&name, row->name, rank);
        changes_add(&write->changes, CHANGE_ADDED, addition->mailbox, inode_make(INODE_MESSAGE, id),
            buf_text(&name));
    }
    return 0;
}

static int add_all(struct write *write, void *arg, struct err *why)
{
    struct addition *addition = arg;
    struct mailbox_state state = {0, false, ""};
    int rc = require_uidvalidity(write, addition->mailbox, addition->uidvalidity, &state, why);
    CLEANUP(ranks) struct ranks ranks = {write, addition->mailbox, NULL};
    bool tell = write->changes.wanted && state.complete;
    for (size_t i = 0; rc == 0 && i < addition->count; i++) {
        rc = add_one(addition, &ranks, &addition->rows[i], tell, why);
    }
    if (rc == 0) {
        rc = ranks_settle(&ranks, tell, why);
    }
    if (rc == 0) {
        rc = write_count(write, addition->mailbox, addition->messages, addition->bytes, why);
    }
    return rc;
}

int store_messages_add(struct store *store, struct mailbox_id mailbox, uint32_t uidvalidity,
    const struct message_new *rows, size_t count, const struct change_listener *listener,
    struct err *why)
{
    struct addition addition = {mailbox, uidvalidity, rows, count, 0, 0};
    return store_write(store, add_all, &addition, listener, why);
}

/* ---- what one synchronisation found ---- */

/* More bodies than this are left to the next trim: a transaction must not wait for so many files.
 */
enum { BODIES_DROPPED_MAX = 1000 };

struct finding {
    struct mailbox_id mailbox;
    const struct mailbox_synced *synced;
    int64_t messages, bytes; /* gone */
    char hash[HASH_TEXT];
    uint32_t dropped[BODIES_DROPPED_MAX];
    size_t dropped_count;
};

/* The row that `statement` stands on. */
static int remove_row(
    struct finding *finding, struct ranks *ranks, sqlite3_stmt *statement, struct err *why)
{
    struct write *write = ranks->write;
    struct message_id id = {sqlite3_column_int64(statement, 0)};
    const char *base_name = db_text(statement, 3);
    uint32_t rank = (uint32_t)sqlite3_column_int64(statement, 4);
    finding->messages++;
    finding->bytes += counted_bytes(sqlite3_column_int64(statement, 2));
    if (finding->dropped_count < BODIES_DROPPED_MAX) {
        finding->dropped[finding->dropped_count++] = (uint32_t)sqlite3_column_int64(statement, 1);
    }
    if (write->changes.wanted) {
        CLEANUP(buf) struct buf name = BUF_INIT;
        file_name_ranked(&name, base_name, rank);
        changes_add(&write->changes, CHANGE_REMOVED, finding->mailbox,
            inode_make(INODE_MESSAGE, id.value), buf_text(&name));
    }
    int rc = write_by_id(write, SQL_MESSAGE_DELETE, id.value, why);
    return rc != 0 ? rc : ranks_removed(ranks, base_name, rank, why);
}

static int remove_range(
    struct finding *finding, struct ranks *ranks, const struct uid_range *range, struct err *why)
{
    struct db *db = ranks->write->db;
    sqlite3_stmt *statement = db_statement(db, SQL_MESSAGE_RANGE);
    db_bind_int(db, statement, 1, finding->mailbox.value);
    db_bind_int(db, statement, 2, range->first);
    db_bind_int(db, statement, 3, range->last);
    int rc = 0;
    while ((rc = db_step(db, statement, why)) > 0) {
        /* Only rows behind the reader go, so it misses none and meets none twice. */
        rc = remove_row(finding, ranks, statement, why);
        if (rc != 0) {
            db_reset(statement);
            return rc;
        }
    }
    return rc;
}

static int remove_gone(struct finding *finding, struct write *write, struct err *why)
{
    const struct uidset *gone = finding->synced->gone;
    CLEANUP(ranks) struct ranks ranks = {write, finding->mailbox, NULL};
    for (size_t i = 0; gone != NULL && i < gone->count; i++) {
        int rc = remove_range(finding, &ranks, &gone->ranges[i], why);
        if (rc != 0) {
            return rc;
        }
    }
    int rc = ranks_settle(&ranks, false, why);
    return rc != 0 ? rc
                   : write_count(write, finding->mailbox, -finding->messages, -finding->bytes, why);
}

static int set_flags(struct finding *finding, struct write *write, struct err *why)
{
    const struct mailbox_synced *synced = finding->synced;
    for (size_t i = 0; i < synced->flags_count; i++) {
        sqlite3_stmt *statement = db_statement(write->db, SQL_MESSAGE_FLAGS);
        db_bind_int(write->db, statement, 1, finding->mailbox.value);
        db_bind_int(write->db, statement, 2, synced->flags[i].uid.value);
        db_bind_text(write->db, statement, 3, synced->flags[i].flags);
        int rc = db_run(write->db, statement, why);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int set_counters(struct finding *finding, struct write *write, struct err *why)
{
    const struct mailbox_synced *synced = finding->synced;
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_COUNTERS);
    /* RFC 7162 ends at 2^63-1; what is beyond is not believed. */
    int64_t modseq = synced->highestmodseq > INT64_MAX ? 0 : (int64_t)synced->highestmodseq;
    db_bind_int(write->db, statement, 1, finding->mailbox.value);
    db_bind_int(write->db, statement, 2, synced->uidnext);
    db_bind_int(write->db, statement, 3, synced->messages);
    db_bind_int(write->db, statement, 4, synced->unseen);
    db_bind_int(write->db, statement, 5, modseq);
    return db_run(write->db, statement, why);
}

static int take_in(struct write *write, void *arg, struct err *why)
{
    struct finding *finding = arg;
    struct mailbox_state state = {0, false, ""};
    int rc =
        require_uidvalidity(write, finding->mailbox, finding->synced->uidvalidity, &state, why);
    if (rc != 0) {
        return rc;
    }
    memcpy(finding->hash, state.hash, sizeof finding->hash);
    rc = remove_gone(finding, write, why);
    if (rc == 0) {
        rc = set_flags(finding, write, why);
    }
    if (rc == 0 && finding->synced->finished) {
        rc = set_counters(finding, write, why);
    }
    return rc;
}

int store_mailbox_synced(struct store *store, struct mailbox_id mailbox,
    const struct mailbox_synced *synced, const struct change_listener *listener, struct err *why)
{
    struct finding finding = {mailbox, synced, 0, 0, "", {0}, 0};
    int rc = store_write(store, take_in, &finding, listener, why);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < finding.dropped_count; i++) {
        place_drop(store, finding.hash, synced->uidvalidity, finding.dropped[i]);
    }
    return 0;
}
