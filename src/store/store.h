/*
 * store/store.h - this disk: the index of mailboxes and messages, and the cache of bodies.
 *
 * Any thread may call anything unless said otherwise; calls wait for this disk, never for the
 * network, and may not be made with a lock of a higher rank held. The room alone knows SQLite and
 * where files lie. The index (state directory) holds what the server last said
 * ("server columns") and, later, what was asked since ("local columns"); the cache directory may be
 * deleted at any time. Every function returns 0 or -errno with `why`; LOCAL EIO (the database or
 * disk failed), LOCAL ENOSPC (full), LOCAL ENOMEM where not said otherwise.
 */
#ifndef IMAPFS_STORE_STORE_H
#define IMAPFS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "model/ids.h"
#include "model/uidset.h"

struct store;

struct store_options {
    const char *state_dir; /* the account's own directory: made with its parents (0700), checked:
                              ours, not for others, no symlink */
    const char *cache_dir; /* the same for bodies */
    uint64_t cache_limit_bytes; /* what store_body_trim keeps */
};

/*
 * Opens or makes the index, brings its schema up to date, takes the single-instance lock for the
 * store's life. EBUSY: another mount has it (the sentence names its pid). EACCES: a directory is
 * not ours alone. A database that is corrupted is moved aside (index.db.corrupt-<time>, never
 * deleted) and a new one is begun: *ret_rebuilt. A schema newer than this program: EPROTONOSUPPORT.
 */
int store_open(struct store **ret, const struct store_options *options, bool *ret_rebuilt,
    struct err *why) MUST_USE;
void store_destroy(struct store **store);

/* Small facts of the account by name ("listed_at"): value text, "" when never set (ret is at most
 * size bytes with NUL). */
int store_fact_get(
    struct store *store, const char *name, char *ret, size_t size, struct err *why) MUST_USE;
int store_fact_set(
    struct store *store, const char *name, const char *value, struct err *why) MUST_USE;

/* ---- mailboxes ---- */

struct mailbox_row {
    struct mailbox_id id;
    struct mailbox_id parent; /* 0: the root */
    char component[256];
    char *
        raw; /* the server's exact bytes (or, of an implied parent, the prefix); owned by the row */
    size_t raw_len;
    char delimiter;  /* 0: NIL */
    bool listed;     /* the server listed it; false: only implied by a child's name */
    bool selectable; /* listed and not \Noselect */
    bool no_inferiors;
    bool subscribed;
    char special_use[32]; /* "\\Sent", "" */
    uint32_t uidvalidity; /* 0: never synchronised */
    uint32_t uidnext;
    uint64_t highestmodseq; /* 0: unknown: all covered changes are in the index */
    uint32_t messages;      /* the server's count at the last synchronisation */
    uint32_t unseen;
    bool complete; /* every message the server had then is in the index */
};
void mailbox_row_finish(struct mailbox_row *row);

/* One node of the tree that a LIST gives, parents before children. */
struct tree_node {
    const char *raw;
    size_t raw_len;
    size_t parent;         /* index of the parent in the same array, SIZE_MAX for the root */
    const char *component; /* unique among its siblings */
    char delimiter;
    bool listed, selectable, no_inferiors, subscribed;
    const char *special_use;
};

enum store_change_kind { CHANGE_ADDED, CHANGE_REMOVED, CHANGE_RENAMED, CHANGE_ATTRIBUTES };
/* Told after the commit, without a lock: what the kernel may have cached differently. `component`:
 * the name before the change (ADDED: the new name). */
struct store_change {
    enum store_change_kind kind;
    struct mailbox_id parent; /* of a mailbox: its parent; of a message: its mailbox */
    struct inode_no inode;
    const char *component;
};
struct change_listener {
    void (*changed)(void *arg, const struct store_change *change);
    void *arg;
};

/* The tree is now exactly this, in one transaction: rows keep their id by raw name, the others go
 * with their messages (which are not told one by one). A mailbox that moved in the tree is RENAMED
 * under its old parent and component; one that cannot be selected any more loses its messages.
 * -EINVAL (BUG): a raw name, or a component among siblings, comes twice. */
int store_tree_replace(struct store *store, const struct tree_node *nodes, size_t count,
    const struct change_listener *listener, struct err *why) MUST_USE;

/* 0, or -ENOENT (GONE). */
int store_mailbox_get(
    struct store *store, struct mailbox_id id, struct mailbox_row *ret, struct err *why) MUST_USE;
int store_mailbox_child(struct store *store, struct mailbox_id parent, const char *component,
    struct mailbox_row *ret, struct err *why) MUST_USE;
/* Children with id > after in the order of ids; `each` non-zero ends it (and is not an error).
 * parent -1: all mailboxes. */
int store_mailbox_children(struct store *store, struct mailbox_id parent, struct mailbox_id after,
    int (*each)(void *arg, const struct mailbox_row *row), void *arg, struct err *why) MUST_USE;

/* ---- messages ---- */

/* A new UIDVALIDITY: all messages of the mailbox go, complete becomes false. Nothing happens if it
 * is the one known. */
int store_mailbox_set_uidvalidity(struct store *store, struct mailbox_id id, uint32_t uidvalidity,
    const struct change_listener *listener, struct err *why) MUST_USE;

struct message_new {
    struct imap_uid uid;
    int64_t size_bytes;
    int64_t internaldate_s;
    const char *flags;                              /* canonical */
    const char *name;                               /* of model/file_name.h, without a rank */
    const char *date, *subject, *from, *message_id; /* raw header values, NULL where missing */
};

/* Adds messages in one transaction (UIDs already there are left alone) and ranks equal names by
 * UID, telling of names that shift. Additions are told only of a mailbox that was complete before:
 * nobody holds a whole listing of another. -ESTALE (CONFLICT): the mailbox has another UIDVALIDITY
 * by now, or none, or is gone. */
int store_messages_add(struct store *store, struct mailbox_id mailbox, uint32_t uidvalidity,
    const struct message_new *rows, size_t count, const struct change_listener *listener,
    struct err *why) MUST_USE;

struct message_flags {
    struct imap_uid uid;
    const char *flags;
};

/* What one synchronisation found, in one transaction: gone UIDs, changed flags, and the counters
 * that cover them. Changed flags are not told: the kernel keeps none. */
struct mailbox_synced {
    uint32_t uidvalidity;      /* must be the row's, else -ESTALE (CONFLICT) */
    const struct uidset *gone; /* may be NULL */
    const struct message_flags *flags;
    size_t flags_count;
    bool finished; /* the counters below are to be stored and the row is complete */
    uint32_t uidnext, messages, unseen;
    uint64_t highestmodseq;
};
int store_mailbox_synced(struct store *store, struct mailbox_id mailbox,
    const struct mailbox_synced *synced, const struct change_listener *listener,
    struct err *why) MUST_USE;

/* All UIDs of a mailbox in the index. */
int store_message_uids(
    struct store *store, struct mailbox_id mailbox, struct uidset *ret, struct err *why) MUST_USE;

/* Borrowed during the callback, or owned when filled by a getter into message_row_owned. */
struct message_row {
    struct message_id id;
    struct mailbox_id mailbox;
    uint32_t uidvalidity; /* of its mailbox */
    struct imap_uid uid;
    int64_t size_bytes; /* the true size once it is known */
    bool size_proven;   /* the whole body was here once */
    int64_t internaldate_s;
    const char *flags;
    const char *name; /* ranked: unique in its mailbox */
    const char *date, *subject, *from,
        *message_id; /* raw, "" where missing; only from store_message_get with details */
};

/* `each` is called at most once, during the call. -ENOENT (GONE). */
typedef int (*message_each)(void *arg, const struct message_row *row);
int store_message_get(struct store *store, struct message_id id, bool details, message_each each,
    void *arg, struct err *why) MUST_USE;
int store_message_by_name(struct store *store, struct mailbox_id mailbox, const char *name,
    message_each each, void *arg, struct err *why) MUST_USE;
int store_message_by_uid(struct store *store, struct mailbox_id mailbox, struct imap_uid uid,
    message_each each, void *arg, struct err *why) MUST_USE;
/* Messages with id > after in the order of ids, at most `limit`; `each` non-zero ends it. O(limit)
 * wherever it starts. */
int store_message_page(struct store *store, struct mailbox_id mailbox, struct message_id after,
    size_t limit, message_each each, void *arg, struct err *why) MUST_USE;
/* Messages and bytes of the whole index (df). */
int store_totals(
    struct store *store, uint64_t *ret_messages, uint64_t *ret_bytes, struct err *why) MUST_USE;

#endif
