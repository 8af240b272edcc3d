/*
 * engine/engine.h - policy: when the server is asked, what for, and who waits. The only room where
 * store and imap meet.
 *
 * Nothing here waits for the network: a call answers from what is known, or PARKS its caller's
 * struct wait, whose `done` is called exactly once later by another thread (an imap worker, the
 * engine's clock, or the thread that cancels is told by engine_cancel's result instead). No lock is
 * held during `done` or a listener's call.
 */
#ifndef IMAPFS_ENGINE_ENGINE_H
#define IMAPFS_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "imap/pool.h"
#include "model/ids.h"
#include "store/store.h"

struct engine;
struct flight;

/* What the kernel may have cached and should forget; implemented by fs. Called without a lock, must
 * only queue. */
struct engine_listener {
    /* The name is gone, or now means another inode, in that directory. */
    void (*entry_changed)(
        void *arg, struct inode_no parent, const char *name, struct inode_no child, bool gone);
    /* The inode's attributes (size, times, counts) changed; `data` when its bytes must be forgotten
     * too. */
    void (*inode_changed)(void *arg, struct inode_no inode, bool data);
    void *arg;
};

struct engine_options {
    struct store *store;  /* borrowed */
    struct pool *pool;    /* borrowed */
    struct log *log;      /* borrowed */
    int64_t max_age_ms;   /* a listing older than this is revalidated */
    int64_t timeout_ms;   /* nobody waits longer */
    bool subscribed_only; /* INBOX is shown all the same */
    /* Globs (fnmatch, '*' takes '/' too) over "/"-joined paths, NULL-ended; NULL: all. A pattern
     * that matches a mailbox covers all below it; what is excluded is not included. The parents of
     * what is shown are shown, without their messages. */
    const char *const *include;
    const char *const *exclude;
    const char *
        root_mailbox; /* path of the mailbox that is the mount's root; NULL or "": the whole tree */
};

int engine_create(
    struct engine **ret, const struct engine_options *options, struct err *why) MUST_USE;
/* Before the first request; the listener is borrowed. */
void engine_set_listener(struct engine *engine, const struct engine_listener *listener);
/* Lists the mailboxes now, in the caller's thread (mounting); -errno of the connection. */
int engine_start(struct engine *engine, struct err *why) MUST_USE;
/* Every parked wait is done with -EHOSTDOWN... and no call may come any more. */
void engine_destroy(struct engine **engine);

/* ---- waiting ---- */

enum { PARKED = 1 };

/* Embedded in the caller's request; the caller's memory, untouched by the engine after `done` began
 * or engine_cancel returned true. All but `done` begins as zeroes. */
struct wait {
    /* 0: look again; -errno: give the caller this. May come before the call that parked returns. */
    void (*done)(struct wait *wait, int result);
    /* the engine's own */
    struct wait *next, *prev;
    struct flight *flight;
    int64_t deadline_ms;
    unsigned manner;
    int result;
};

/* True: the wait was still parked and is now forgotten; `done` will not come. False: `done` came or
 * is coming. */
bool engine_cancel(struct engine *engine, struct wait *wait);

/*
 * Makes a directory's listing fresh. 0: it is (or the server cannot be reached but a whole earlier
 * listing is known: go on). PARKED: `done` says when to look again. -errno: nothing is known and it
 * cannot be had (EHOSTDOWN, EACCES, ETIMEDOUT, ESTALE). For the root or a mailbox: the tree of
 * mailboxes; for a mailbox: also its messages. A first synchronisation that is under way counts as
 * fresh for FRESH_BEGUN (then readdir goes on with engine_more), not for FRESH_WHOLE (a lookup that
 * missed: wait until the name could be there). A complete listing younger than max_age costs
 * nothing; older: one round trip, at most 5 s, then the known listing is served.
 */
enum freshness { FRESH_BEGUN, FRESH_WHOLE };
int engine_freshen(struct engine *engine, struct inode_no dir, enum freshness freshness,
    struct wait *wait) MUST_USE;

/*
 * A reader of a directory has come to the end of what is known. `seen` is engine_generation() from
 * before its last page. 0: the listing is whole, this is its end. PARKED or -EAGAIN: more came, or
 * will: page again. -errno: the listing broke off.
 */
uint64_t engine_generation(struct engine *engine, struct inode_no dir);
int engine_more(
    struct engine *engine, struct inode_no dir, uint64_t seen, struct wait *wait) MUST_USE;

/* The message's body: 0 and an open descriptor with its true size; PARKED; -errno (EHOSTDOWN,
 * ETIMEDOUT, ESTALE: expunged, EIO: the server has no body, EFBIG, ENOSPC). Many waits share one
 * fetch; waiting messages of one mailbox share one command. */
int engine_body(struct engine *engine, struct message_id id, int *ret_fd, int64_t *ret_size_bytes,
    struct wait *wait) MUST_USE;

/* ---- looking (engine/view.c): from the index only ---- */

struct node {
    struct inode_no ino;
    bool is_dir;
    int64_t size_bytes;
    int64_t mtime_s;
    uint32_t nlink;
};

/* 0 or -ENOENT, -ENOTDIR, -EIO. Names the mount itself serves (.uid, .imapfs) are answered here
 * too, for lookups only. */
int view_lookup(struct engine *engine, struct inode_no dir, const char *name, struct node *ret);
int view_get(struct engine *engine, struct inode_no ino, struct node *ret);
/* The parent of a directory (the root's is the root). */
int view_parent(struct engine *engine, struct inode_no dir, struct inode_no *ret);
/* Entries after `offset` (0: from the start; else a `next` that was given earlier, valid for ever):
 * child mailboxes, then messages. "." and ".." are the caller's. `each` non-zero ends it. *ret_end:
 * there was nothing more. */
int view_list(struct engine *engine, struct inode_no dir, uint64_t offset,
    int (*each)(void *arg, const char *name, const struct node *node, uint64_t next), void *arg,
    bool *ret_end);

/* user.imap.* of a message or mailbox by name: appends to ret; -ENODATA for an unknown name. */
int view_xattr(struct engine *engine, struct inode_no ino, const char *name, struct buf *ret);
/* The names listed by listxattr, NUL-separated. */
int view_xattr_names(struct engine *engine, struct inode_no ino, struct buf *ret);

struct view_space {
    uint64_t total_bytes, used_bytes, messages;
    bool quota;
};
/* From the last known quota (asked again in the background when older than 10 minutes). */
int view_space(struct engine *engine, struct view_space *ret);

/* ---- people ---- */

/* All mailboxes are revalidated now; done when all were, with the first error. */
int engine_sync_all(struct engine *engine, struct wait *wait) MUST_USE;

struct engine_status {
    struct pool_status pool;
    uint64_t mailboxes, messages, synchronised_mailboxes;
    uint64_t cached_bodies, cached_bytes, cache_limit_bytes;
    uint64_t waiting; /* parked waits */
    uint64_t bodies_fetched, body_bytes_fetched, rows_fetched;
    uint64_t errors; /* ever noted */
};
void engine_get_status(struct engine *engine, struct engine_status *ret);

struct noted_error {
    int64_t wall_s;
    char text[320];
};
/* The newest noted errors, oldest first; at most 100 are kept. */
void engine_errors(
    struct engine *engine, void (*each)(void *arg, const struct noted_error *error), void *arg);

#endif
