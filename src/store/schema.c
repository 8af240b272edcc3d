#include "store/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { APPLICATION_ID = 0x696d6678, PRAGMA_TEXT = 64 };

/*
 * rank: the position by UID among the messages of one mailbox with the same base_name; 1 for nearly
 * all. row_count, byte_count: what the message rows of the mailbox add up to; total: what those add
 * up to. local_*: what was asked for and the server has not confirmed yet; NULL: nothing.
 */
static const struct schema_step own_steps[] = {
    {1, "CREATE TABLE fact(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)"
        " STRICT, WITHOUT ROWID;"
        "CREATE TABLE total(one INTEGER PRIMARY KEY CHECK(one = 1), messages INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL) STRICT;"
        "INSERT INTO total VALUES(1, 0, 0);"
        "CREATE TABLE mailbox("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " raw BLOB NOT NULL UNIQUE,"
        " parent INTEGER NOT NULL,"
        " component TEXT NOT NULL,"
        " delimiter INTEGER NOT NULL,"
        " listed INTEGER NOT NULL,"
        " selectable INTEGER NOT NULL,"
        " no_inferiors INTEGER NOT NULL,"
        " subscribed INTEGER NOT NULL,"
        " special_use TEXT NOT NULL,"
        " uidvalidity INTEGER NOT NULL DEFAULT 0,"
        " uidnext INTEGER NOT NULL DEFAULT 0,"
        " highestmodseq INTEGER NOT NULL DEFAULT 0,"
        " messages INTEGER NOT NULL DEFAULT 0,"
        " unseen INTEGER NOT NULL DEFAULT 0,"
        " complete INTEGER NOT NULL DEFAULT 0,"
        " row_count INTEGER NOT NULL DEFAULT 0,"
        " byte_count INTEGER NOT NULL DEFAULT 0,"
        " UNIQUE(parent, component)) STRICT;"
        "CREATE INDEX mailbox_by_parent ON mailbox(parent);"
        "CREATE TRIGGER mailbox_counted AFTER UPDATE OF row_count, byte_count ON mailbox BEGIN"
        " UPDATE total SET messages = messages + new.row_count - old.row_count,"
        "  bytes = bytes + new.byte_count - old.byte_count; END;"
        "CREATE TRIGGER mailbox_gone AFTER DELETE ON mailbox BEGIN"
        " UPDATE total SET messages = messages - old.row_count, bytes = bytes - old.byte_count;"
        " END;"
        "CREATE TABLE message("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " mailbox INTEGER NOT NULL REFERENCES mailbox(id) ON DELETE CASCADE,"
        " uid INTEGER NOT NULL,"
        " size INTEGER NOT NULL,"
        " proven INTEGER NOT NULL DEFAULT 0,"
        " internaldate INTEGER NOT NULL,"
        " flags TEXT NOT NULL,"
        " base_name TEXT NOT NULL,"
        " rank INTEGER NOT NULL,"
        " local_mailbox INTEGER,"
        " local_name TEXT,"
        " local_flags TEXT,"
        " local_gone INTEGER,"
        " date TEXT, subject TEXT, from_ TEXT, message_id TEXT) STRICT;"
        "CREATE UNIQUE INDEX message_by_uid ON message(mailbox, uid);"
        "CREATE INDEX message_by_mailbox ON message(mailbox);"
        "CREATE INDEX message_by_name ON message(mailbox, base_name, rank);"},
};

static int set_pragma(struct db *db, const char *name, int value, struct err *why)
{
    char sql[PRAGMA_TEXT];
    (void)snprintf(sql, sizeof sql, "PRAGMA %s=%d", name, value); /* takes no bound values */
    return db_exec(db, sql, why);
}

static int migrate_one(struct db *db, const struct schema_step *step, struct err *why)
{
    int rc = db_exec(db, "BEGIN IMMEDIATE", why);
    if (rc == 0) {
        rc = db_exec(db, step->sql, why);
    }
    if (rc == 0) {
        rc = set_pragma(db, "user_version", step->version, why);
    }
    if (rc == 0) {
        rc = db_exec(db, "COMMIT", why);
    }
    if (rc != 0 && !sqlite3_get_autocommit(db->handle)) {
        int failed = db->last_code;
        /* The first failure is the one to tell. */
        int undone = db_exec(db, "ROLLBACK", NULL);
        (void)undone;
        db->last_code = failed;
    }
    return rc;
}

int schema_migrate(struct db *db, const struct schema_step *steps, size_t count, struct err *why)
{
    int64_t version = 0;
    int rc = db_number(db, "PRAGMA user_version", &version, why);
    if (rc != 0) {
        return rc;
    }
    int newest = steps[count - 1].version;
    if (version > newest) {
        db->last_code = SQLITE_OK;
        return err_set(why, ERR_LOCAL, EPROTONOSUPPORT,
            "the index was written by a newer version of this program (%" PRId64
            ", this one knows %d)",
            version, newest);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (steps[i].version > version) {
            rc = migrate_one(db, &steps[i], why);
        }
    }
    return rc;
}

int schema_prepare(struct db *db, struct err *why)
{
    int64_t application = 0;
    int64_t objects = 0;
    int rc = db_number(db, "PRAGMA application_id", &application, why);
    if (rc == 0) {
        rc = db_number(db, "SELECT count(*) FROM sqlite_schema", &objects, why);
    }
    if (rc != 0) {
        return rc;
    }
    if (application != APPLICATION_ID) {
        if (application != 0 || objects != 0) {
            return db_failed(db, SQLITE_NOTADB, why);
        }
        rc = set_pragma(db, "application_id", APPLICATION_ID, why);
        if (rc != 0) {
            return rc;
        }
    }
    return schema_migrate(db, own_steps, sizeof own_steps / sizeof own_steps[0], why);
}

int schema_check(struct db *db, bool deep, struct err *why)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = deep ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)";
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        code = strcmp(db_text(statement, 0), "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    (void)sqlite3_finalize(statement); /* repeats the code we have */
    return code == SQLITE_OK ? 0 : db_failed(db, code, why);
}
