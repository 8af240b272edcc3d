#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/dirs.h"

enum { BUSY_WAIT_MS = 10 * 1000, PRIMARY_CODE = 0xff };

static const char common_settings[] = "PRAGMA cell_size_check=ON;"
                                      "PRAGMA foreign_keys=ON;"
                                      "PRAGMA temp_store=MEMORY;";
/* The write-ahead log grows to 16 MB between checkpoints: a first listing writes each page of the
 * indices many times, and the disk sees it once. */
static const char writer_settings[] = "PRAGMA cache_size=-8000;"
                                      "PRAGMA journal_mode=WAL;"
                                      "PRAGMA synchronous=FULL;"
                                      "PRAGMA secure_delete=FAST;"
                                      "PRAGMA wal_autocheckpoint=4000;"
                                      "PRAGMA journal_size_limit=16777216;";
static const char reader_settings[] = "PRAGMA cache_size=-1000;"
                                      "PRAGMA query_only=ON;";

/* A later start looks closely at the file when this is there. */
static void note_suspicion(const struct db *db)
{
    if (db->state_fd >= 0) {
        int fd = openat(
            db->state_fd, DB_SUSPECT_MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        cleanup_fd_close(&fd);
    }
}

int db_failed(struct db *db, int code, struct err *why)
{
    db->last_code = code;
    switch (code & PRIMARY_CODE) {
    case SQLITE_NOMEM:
        return err_set(why, ERR_LOCAL, ENOMEM, "out of memory");
    case SQLITE_FULL:
        return err_set(why, ERR_LOCAL, ENOSPC, "the disk that holds the index is full");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY: {
        int system = db->handle == NULL ? 0 : sqlite3_system_errno(db->handle);
        return disk_failed(system == 0 ? EIO : system, "the index cannot be read or written", why);
    }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        note_suspicion(db);
        return err_set(why, ERR_LOCAL, EIO,
            "the index is corrupted; unmount and mount again to make a new one");
    case SQLITE_CONSTRAINT:
        return err_set(why, ERR_BUG, EINVAL, "the index refuses a row: %s", sqlite3_errstr(code));
    default:
        return err_set(why, ERR_LOCAL, EIO, "the index failed: %s", sqlite3_errstr(code));
    }
}

bool db_is_corrupted(const struct db *db)
{
    switch (db->last_code & PRIMARY_CODE) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* what our own SQL says does not fit what is there */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return true;
    default:
        return false;
    }
}

static int configure(struct db *db, enum db_kind kind, struct err *why)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int code = sqlite3_db_config(db->handle, options[i].option, options[i].value, NULL);
        if (code != SQLITE_OK) {
            return db_failed(db, code, why);
        }
    }
    (void)sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0); /* returns the old limit */
    int code = sqlite3_busy_timeout(db->handle, BUSY_WAIT_MS);
    if (code != SQLITE_OK) {
        return db_failed(db, code, why);
    }
    int rc = db_exec(db, common_settings, why);
    return rc != 0 ? rc : db_exec(db, kind == DB_WRITER ? writer_settings : reader_settings, why);
}

int db_open(struct db **ret, const char *path, enum db_kind kind, int state_fd, struct err *why)
{
    struct db *db = alloc_zeroed(1, sizeof *db);
    db->state_fd = state_fd;
    *ret = db; /* also of a failed one: its last code tells why */
    int flags = (kind == DB_WRITER ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (code != SQLITE_OK) {
        return db_failed(db, code, why);
    }
    return configure(db, kind, why);
}

void db_close(struct db **db, bool keep_files)
{
    if (*db == NULL) {
        return;
    }
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize((*db)->statements[i]); /* repeats the statement's last failure */
    }
    if (keep_files && (*db)->handle != NULL) {
        (void)sqlite3_db_config((*db)->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    (void)sqlite3_close((*db)->handle); /* nothing is open in it; a log left over is replayed */
    free(*db);
    *db = NULL;
}

int db_prepare(struct db *db, enum db_kind kind, struct err *why)
{
    int count = kind == DB_WRITER ? (int)STATEMENT_COUNT : (int)STATEMENT_READ_COUNT;
    for (int i = 0; i < count; i++) {
        int code = sqlite3_prepare_v3(db->handle, statement_sql((enum statement)i), -1,
            SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (code != SQLITE_OK) {
            return db_failed(db, code, why);
        }
    }
    return 0;
}

int db_exec(struct db *db, const char *sql, struct err *why)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : db_failed(db, code, why);
}

int db_number(struct db *db, const char *sql, int64_t *ret, struct err *why)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW) {
        *ret = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement); /* repeats the code we have */
    return code == SQLITE_ROW ? 0 : db_failed(db, code == SQLITE_DONE ? SQLITE_CORRUPT : code, why);
}

sqlite3_stmt *db_statement(struct db *db, enum statement which)
{
    db->bind_code = SQLITE_OK;
    return db->statements[which];
}

static void note_bind(struct db *db, int code)
{
    if (db->bind_code == SQLITE_OK) {
        db->bind_code = code;
    }
}

void db_bind_int(struct db *db, sqlite3_stmt *statement, int at, int64_t value)
{
    note_bind(db, sqlite3_bind_int64(statement, at, value));
}

void db_bind_text(struct db *db, sqlite3_stmt *statement, int at, const char *text)
{
    note_bind(db, sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC));
}

void db_bind_bytes(struct db *db, sqlite3_stmt *statement, int at, const void *data, size_t len)
{
    if (len > INT_MAX) {
        note_bind(db, SQLITE_TOOBIG);
        return;
    }
    /* A NULL pointer would bind NULL, and an empty name is a name. */
    note_bind(
        db, sqlite3_bind_blob(statement, at, data == NULL ? "" : data, (int)len, SQLITE_STATIC));
}

void db_reset(sqlite3_stmt *statement)
{
    (void)sqlite3_reset(statement); /* repeats the failure of the last step */
}

int db_step(struct db *db, sqlite3_stmt *statement, struct err *why)
{
    int code = db->bind_code == SQLITE_OK ? sqlite3_step(statement) : db->bind_code;
    if (code == SQLITE_ROW) {
        return 1;
    }
    /* The sentence first: a reset forgets the system's errno. */
    int rc = code == SQLITE_DONE ? 0 : db_failed(db, code, why);
    db_reset(statement);
    return rc;
}

int db_run(struct db *db, sqlite3_stmt *statement, struct err *why)
{
    int rc = db_step(db, statement, why);
    if (rc > 0) {
        db_reset(statement);
        return 0;
    }
    return rc;
}

const char *db_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text == NULL ? "" : (const char *)text;
}
