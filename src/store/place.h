/*
 * store/place.h - where a body lies: bodies/<hash of the mailbox's name>/<UIDVALIDITY>/<UID/1000>/
 * <UID>.eml, and a walk over all of them. Names are numbers and hashes, never what a server sent.
 */
#ifndef IMAPFS_STORE_PLACE_H
#define IMAPFS_STORE_PLACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "store/inside.h"

enum { PLACE_TEXT = 80 };

struct place {
    char path[PLACE_TEXT]; /* below bodies/ */
};

/* 32 hexadecimal digits of SHA-256. */
void place_hash(char ret[HASH_TEXT], const void *raw, size_t raw_len);
void place_make(struct place *ret, const char *hash, uint32_t uidvalidity, uint32_t uid);
/* Makes the directories of a place. 0 or a positive errno. */
int place_make_dirs(struct store *store, const struct place *place) MUST_USE;
/* Deletes a body that nobody may read any more; nothing when there is none. */
void place_drop(struct store *store, const char *hash, uint32_t uidvalidity, uint32_t uid);

/* One body during a walk. */
struct body_file {
    int dir_fd;
    const char *name;
    const char *hash;
    uint32_t uidvalidity, uid;
    int64_t size_bytes;
    int64_t used_ns, arrived_ns;
};
enum walk_verdict { WALK_KEEP, WALK_DELETE };
/* Asks `each` (0: go on) about every body and deletes what it says, and the directories that are
 * empty then. What vanishes meanwhile is no failure. */
int place_walk(struct store *store,
    int (*each)(void *arg, const struct body_file *file, enum walk_verdict *ret, struct err *why),
    void *arg, struct err *why) MUST_USE;

int64_t time_ns(struct timespec time);
/* The calendar's time, as the times of files are told. */
int64_t now_ns(void);

/* Never below 0. */
uint64_t body_sum(uint64_t value, int64_t change);
/* Adds to what the cache holds. */
void body_count(struct store *store, int64_t files, int64_t bytes);

/* ---- settle.c ---- */

/* At the start: reads what was noted, drops bodies that a power cut may have torn. */
int settle_open(struct store *store, struct err *why) MUST_USE;
/* At a clean end. */
int settle_close(struct store *store, struct err *why) MUST_USE;

#endif
