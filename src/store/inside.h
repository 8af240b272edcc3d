/*
 * store/inside.h - what the files of this room share: the store itself, and the ways to read and
 * to write.
 */
#ifndef IMAPFS_STORE_INSIDE_H
#define IMAPFS_STORE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/lock.h"
#include "model/ids.h"
#include "store/db.h"
#include "store/store.h"

enum { READERS_KEPT = 6, PROOFS_KEPT = 256, HASH_TEXT = 33, BOOT_ID_TEXT = 64 };

/* A body that came and was as long as the index said: noted with the next transaction, since a
 * commit of its own would make every body wait for the disk. */
struct proof {
    struct message_id id;
    int64_t size_bytes;
};

struct store {
    /* const after create */
    char *index_path;
    int state_fd, lock_fd;
    int cache_fd, cache_lock_fd, bodies_fd, incoming_fd;
    uint64_t cache_limit_bytes;
    char boot_id[BOOT_ID_TEXT];
    bool opened; /* everything is there: an end is a clean one */

    struct lock readers_lock; /* RANK_STORE_POOL */
    struct db *readers GUARDED_BY(readers_lock);
    size_t readers_count GUARDED_BY(readers_lock);

    struct lock writer_lock; /* RANK_STORE */
    struct db *writer GUARDED_BY(writer_lock);

    struct lock body_lock; /* RANK_BODY */
    uint64_t body_bytes GUARDED_BY(body_lock), body_files GUARDED_BY(body_lock);
    bool body_counted GUARDED_BY(body_lock); /* the two are of the whole cache */
    int64_t since_bytes GUARDED_BY(body_lock), since_files GUARDED_BY(body_lock); /* the last walk
                                                                                      began */
    bool trimming GUARDED_BY(body_lock), settling GUARDED_BY(body_lock);
    uint64_t next_incoming GUARDED_BY(body_lock);
    int64_t settled_ns GUARDED_BY(body_lock); /* bodies not younger than this are on the disk */
    struct proof proofs[PROOFS_KEPT] GUARDED_BY(body_lock);
    size_t proofs_count GUARDED_BY(body_lock);
};

/* ---- reading ---- */

/* A connection of the caller's own until it is given back; more are opened when all are out, so
 * that a callback may read too. No statement of it may be left open. */
int reader_take(struct store *store, struct db **ret, struct err *why) MUST_USE;
void reader_give(struct store *store, struct db *reader);

/* ---- writing ---- */

/* News for a listener, collected during a transaction. */
struct changes {
    bool wanted;
    struct buf records;
};

void changes_add(struct changes *changes, enum store_change_kind kind, struct mailbox_id parent,
    struct inode_no inode, const char *component);

struct write {
    struct db *db;
    struct changes changes;
};

/* Runs `step` in one transaction, which is undone when it fails, and tells the news after the
 * commit, when no lock is held. Proofs go along; no step: nothing else. */
int store_write(struct store *store, int (*step)(struct write *write, void *arg, struct err *why),
    void *arg, const struct change_listener *listener, struct err *why) MUST_USE;

/* Binds the id as the statement's first value and runs it. */
int write_by_id(struct write *write, enum statement which, int64_t id, struct err *why) MUST_USE;

/* What one message adds to the totals: a size that no mail has counts as the largest that adds up
 * safely. */
int64_t counted_bytes(int64_t size_bytes);
/* Adds to the counts of a mailbox and of the whole index. */
int write_count(struct write *write, struct mailbox_id mailbox, int64_t messages, int64_t bytes,
    struct err *why) MUST_USE;

/* The mailbox is there, and has this UIDVALIDITY (0: any): else -ENOENT GONE, -ESTALE CONFLICT. */
struct mailbox_state {
    uint32_t uidvalidity;
    bool complete;
    char hash[HASH_TEXT]; /* of the raw name: where its bodies lie */
};
int write_mailbox_state(struct write *write, struct mailbox_id mailbox, struct mailbox_state *ret,
    struct err *why) MUST_USE;
/* All its messages go, and it has this UIDVALIDITY (0: as if it never was synchronised). */
int write_mailbox_empty(
    struct write *write, struct mailbox_id mailbox, uint32_t uidvalidity, struct err *why) MUST_USE;

/* Notes proofs; part of every transaction. */
int write_proofs(struct store *store, struct write *write, struct err *why) MUST_USE;

int mailbox_is_gone(struct err *why);
int message_is_gone(struct err *why);

/* ---- rank.c ---- */

/* The base names of one mailbox whose ranks have to be looked at before the commit. */
struct ranks {
    struct write *write;
    struct mailbox_id mailbox;
    struct name_set *touched; /* NULL until there is one: duplicates are rare */
};
void ranks_finish(struct ranks *ranks);
/* The rank for a message that comes; RANK_LATER: ranks_settle() gives it. */
enum { RANK_LATER = 0 };
int ranks_next(struct ranks *ranks, const struct message_new *row, uint32_t *ret_rank,
    struct err *why) MUST_USE;
/* After a message with that rank went. */
int ranks_removed(
    struct ranks *ranks, const char *base_name, uint32_t rank, struct err *why) MUST_USE;
/* Every rank is the position by UID again; tells of the names that change, and (`tell_added`) of
 * those that had none yet. */
int ranks_settle(struct ranks *ranks, bool tell_added, struct err *why) MUST_USE;

static inline void cleanup_ranks(struct ranks *ranks)
{
    ranks_finish(ranks);
}

#endif
