/*
 * store/schema.h - the tables, and how an older database becomes a present one.
 */
#ifndef IMAPFS_STORE_SCHEMA_H
#define IMAPFS_STORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "store/db.h"

/* One step to a version; versions ascend from 1. */
struct schema_step {
    int version;
    const char *sql;
};

/* Runs the steps above the database's version, each in a transaction of its own.
 * EPROTONOSUPPORT: it is newer than the last step. */
int schema_migrate(
    struct db *db, const struct schema_step *steps, size_t count, struct err *why) MUST_USE;
/* Makes or updates our own tables. What is no database of ours leaves db_is_corrupted(). */
int schema_prepare(struct db *db, struct err *why) MUST_USE;
/* Reads all pages (`deep`: and compares indices with rows); likewise. */
int schema_check(struct db *db, bool deep, struct err *why) MUST_USE;

#endif
