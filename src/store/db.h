/*
 * store/db.h - one database connection with its prepared statements.
 *
 * A connection is used by one thread at a time. Waits for this disk. Values go in by binding only.
 */
#ifndef IMAPFS_STORE_DB_H
#define IMAPFS_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "store/statements.h"

struct db {
    sqlite3 *handle;
    int state_fd;  /* borrowed: where corruption is noted; -1: nowhere */
    int bind_code; /* the first binding that failed since the last statement */
    int last_code; /* of the last failure */
    struct db *next;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

enum db_kind { DB_WRITER, DB_READER };

/* The name of the mark which says that the database was found to be corrupted while in use. */
#define DB_SUSPECT_MARK "suspect"

/* Opens the database file; nothing is prepared yet. */
int db_open(
    struct db **ret, const char *path, enum db_kind kind, int state_fd, struct err *why) MUST_USE;
/* `keep_files`: leaves the write-ahead log as it is. */
void db_close(struct db **db, bool keep_files);
/* Prepares the statements of this kind of connection. */
int db_prepare(struct db *db, enum db_kind kind, struct err *why) MUST_USE;
/* Whether the last failure means that the file is no sound database of ours. */
bool db_is_corrupted(const struct db *db);

int db_exec(struct db *db, const char *sql, struct err *why) MUST_USE;
/* The first column of the first row. */
int db_number(struct db *db, const char *sql, int64_t *ret, struct err *why) MUST_USE;

/* A prepared statement, ready to be bound: valid as long as the connection. */
sqlite3_stmt *db_statement(struct db *db, enum statement which);
void db_bind_int(struct db *db, sqlite3_stmt *statement, int at, int64_t value);
/* The text or bytes must live until the statement is reset. NULL text is NULL. */
void db_bind_text(struct db *db, sqlite3_stmt *statement, int at, const char *text);
void db_bind_bytes(struct db *db, sqlite3_stmt *statement, int at, const void *data, size_t len);
/* 1: a row; 0: the end, and the statement is reset; -errno: so it is too. */
int db_step(struct db *db, sqlite3_stmt *statement, struct err *why) MUST_USE;
/* Steps through a statement that gives no rows. */
int db_run(struct db *db, sqlite3_stmt *statement, struct err *why) MUST_USE;
/* Ends a statement early: it no longer holds the database. */
void db_reset(sqlite3_stmt *statement);
/* Never NULL. */
const char *db_text(sqlite3_stmt *statement, int column);

/* A failed call of the database as a LOCAL error. */
int db_failed(struct db *db, int code, struct err *why);

#endif
