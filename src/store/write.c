#include <string.h>

#include "store/inside.h"

/* In the buffer: this, the component, a NUL. */
struct record {
    enum store_change_kind kind;
    struct mailbox_id parent;
    struct inode_no inode;
};

void changes_add(struct changes *changes, enum store_change_kind kind, struct mailbox_id parent,
    struct inode_no inode, const char *component)
{
    if (!changes->wanted) {
        return;
    }
    struct record record;
    memset(&record, 0, sizeof record);
    record.kind = kind;
    record.parent = parent;
    record.inode = inode;
    buf_append(&changes->records, &record, sizeof record);
    buf_append(&changes->records, component, strlen(component) + 1);
}

static void changes_tell(const struct changes *changes, const struct change_listener *listener)
{
    size_t at = 0;
    while (at < changes->records.len) {
        struct record record;
        memcpy(&record, changes->records.data + at, sizeof record);
        at += sizeof record;
        struct store_change change = {
            record.kind, record.parent, record.inode, changes->records.data + at};
        at += strlen(change.component) + 1;
        listener->changed(listener->arg, &change);
    }
}

static int begin(struct write *write, struct err *why)
{
    return db_run(write->db, db_statement(write->db, SQL_BEGIN), why);
}

/* Some failures (a full disk) have already undone the transaction. */
static void roll_back(struct write *write)
{
    if (!sqlite3_get_autocommit(write->db->handle)) {
        /* Fails only where the database undoes it by itself later. */
        int rc = db_run(write->db, db_statement(write->db, SQL_ROLLBACK), NULL);
        (void)rc;
    }
}

int store_write(struct store *store, int (*step)(struct write *write, void *arg, struct err *why),
    void *arg, const struct change_listener *listener, struct err *why)
{
    struct write write = {NULL, {listener != NULL, BUF_INIT}};
    lock_take(&store->writer_lock);
    write.db = store->writer;
    int rc = begin(&write, why);
    if (rc == 0) {
        rc = step == NULL ? 0 : step(&write, arg, why);
        if (rc == 0) {
            rc = write_proofs(store, &write, why);
        }
        if (rc == 0) {
            rc = db_run(write.db, db_statement(write.db, SQL_COMMIT), why);
        }
        if (rc != 0) {
            roll_back(&write);
        }
    }
    lock_release(&store->writer_lock);
    if (rc == 0 && listener != NULL && write.changes.records.len > 0) {
        lock_assert_none_held();
        changes_tell(&write.changes, listener);
    }
    buf_finish(&write.changes.records);
    return rc;
}

int write_by_id(struct write *write, enum statement which, int64_t id, struct err *why)
{
    sqlite3_stmt *statement = db_statement(write->db, which);
    db_bind_int(write->db, statement, 1, id);
    return db_run(write->db, statement, why);
}

int64_t counted_bytes(int64_t size_bytes)
{
    const int64_t most = INT64_C(1) << 36; /* times 2^26 messages still fits */
    return size_bytes < most ? size_bytes : most;
}

int write_count(struct write *write, struct mailbox_id mailbox, int64_t messages, int64_t bytes,
    struct err *why)
{
    if (messages == 0 && bytes == 0) {
        return 0;
    }
    sqlite3_stmt *statement = db_statement(write->db, SQL_MAILBOX_COUNT);
    db_bind_int(write->db, statement, 1, mailbox.value);
    db_bind_int(write->db, statement, 2, messages);
    db_bind_int(write->db, statement, 3, bytes);
    return db_run(write->db, statement, why);
}

int write_proofs(struct store *store, struct write *write, struct err *why)
{
    struct proof proofs[PROOFS_KEPT];
    lock_take(&store->body_lock);
    size_t count = store->proofs_count;
    memcpy(proofs, store->proofs, count * sizeof proofs[0]);
    store->proofs_count = 0; /* lost with a failing commit: it is only learnt anew */
    lock_release(&store->body_lock);
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *statement = db_statement(write->db, SQL_MESSAGE_PROVE);
        db_bind_int(write->db, statement, 1, proofs[i].id.value);
        db_bind_int(write->db, statement, 2, proofs[i].size_bytes);
        int rc = db_run(write->db, statement, why);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
