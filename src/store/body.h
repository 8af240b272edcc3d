/*
 * store/body.h - bodies on disk: arrive whole, never change, are trimmed.
 *
 * A body is kept under what the server calls it (mailbox name, UIDVALIDITY, UID), never under our
 * row ids, which start again when the index is lost. A file appears under its final name only when
 * every byte of it is there. Any thread; waits for this disk.
 */
#ifndef IMAPFS_STORE_BODY_H
#define IMAPFS_STORE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "model/ids.h"
#include "store/store.h"

/* Opens a cached body for reading: *ret_fd (the caller closes it) and its size. -ENOENT (no why
 * needed): not cached. -ESTALE: the message is gone. Marks it as used now. A file whose size is not
 * the one the index proved is dropped and not served. */
int store_body_open(struct store *store, struct message_id id, int *ret_fd, int64_t *ret_size_bytes,
    struct err *why) MUST_USE;
/* Whether it is cached, without opening or marking. */
bool store_body_has(struct store *store, struct message_id id);

struct body_writer;

/* Begins a body of this mailbox; which message's it is may be known only at the commit. One thread
 * at a time. */
int store_body_begin(struct store *store, struct mailbox_id mailbox, uint32_t uidvalidity,
    struct body_writer **ret, struct err *why) MUST_USE;
int body_writer_add(
    struct body_writer *writer, const void *data, size_t len, struct err *why) MUST_USE;
int64_t body_writer_size(const struct body_writer *writer);
/*
 * The body is whole and is `uid`'s: it takes its place, and the index learns its true size when
 * that differs (then *ret_size_changed). -ENOENT (GONE): no such message in the index now. Frees
 * the writer in any case. An empty body is refused (HOSTILE EPROTO) unless the index says size 0.
 */
int body_writer_commit(struct body_writer **writer, struct imap_uid uid, struct message_id *ret_id,
    bool *ret_size_changed, struct err *why) MUST_USE;
void body_writer_drop(struct body_writer **writer);

/* Deletes least recently used bodies when the cache is over its limit, until it is a sixteenth
 * below it (so that not every body that comes begins this anew); and what lies there for no
 * message. May take long: a thread of its own calls it; 0 at once when another is at it.
 * `protect_s`: bodies used within the last so many seconds stay (what was just read), even if the
 * limit is not reached. */
int store_body_trim(struct store *store, int64_t protect_s, struct err *why) MUST_USE;
struct body_totals {
    uint64_t bytes, files;
    uint64_t limit_bytes; /* what a trim keeps */
};
/* Of the whole cache once it was counted (by a trim, or noted by a clean end), before of this run.
 */
void store_body_totals(struct store *store, struct body_totals *ret);
/* Also true while nobody has counted what an earlier run left: a trim does. */
bool store_body_over_limit(struct store *store);

/* Makes what was cached so far survive a power cut (syncfs) and notes it: bodies younger than the
 * last such note are dropped at the next start after an unclean end of the machine. May take long.
 * 0 at once when another thread is at it. */
int store_body_settle(struct store *store, struct err *why) MUST_USE;

#endif
