/* tests/unit/store/ground.h - a fresh pair of directories, a store in them, and short ways to fill
 * and read it. */
#ifndef IMAPFS_TESTS_STORE_GROUND_H
#define IMAPFS_TESTS_STORE_GROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/body.h"
#include "store/store.h"

struct ground {
    char root[64], state[96], cache[96];
    struct store_options options;
    struct store *store;
    bool rebuilt;
    struct err why;
};

/* Directories that do not exist yet, and nothing opened. */
void ground_make(struct ground *ground);
/* Closes the store and deletes everything. */
void ground_remove(struct ground *ground);
/* Opens the store; fails the test if that fails. */
void ground_open(struct ground *ground);
void ground_close(struct ground *ground);

/* One mailbox "INBOX" with UIDVALIDITY 7. */
struct mailbox_id ground_inbox(struct ground *ground);
struct tree_node ground_node(const char *raw, size_t parent, const char *component);

struct message_new ground_row(uint32_t uid, const char *name);
void ground_add(
    struct ground *ground, struct mailbox_id mailbox, const struct message_new *rows, size_t count);
/* Adds `count` messages from uid `first` on, named m<uid>.eml, of 1000 + uid bytes. */
void ground_fill(struct ground *ground, struct mailbox_id mailbox, uint32_t first, uint32_t count);
/* Makes the mailbox's listing complete. */
void ground_finish(struct ground *ground, struct mailbox_id mailbox);
void ground_gone(struct ground *ground, struct mailbox_id mailbox, const char *uids,
    const struct change_listener *listener);

/* "uid:name uid:name ..." in the order of UIDs. */
void ground_names(struct ground *ground, struct mailbox_id mailbox, struct buf *ret);
/* A copy of one row; false when it is not there. */
struct copied {
    struct message_id id;
    uint32_t uid, uidvalidity;
    int64_t size_bytes, internaldate_s;
    bool proven;
    char name[300], flags[100], subject[100];
};
bool ground_by_uid(
    struct ground *ground, struct mailbox_id mailbox, uint32_t uid, struct copied *ret);
int copy_message(void *arg, const struct message_row *row);

/* Collects changes as lines: "added <inode> <parent> <name>". */
struct change_listener ground_listener(struct buf *ret_lines);

/* Writes a body of that text and commits it as the UID's. */
int ground_body(struct ground *ground, struct mailbox_id mailbox, uint32_t uid, const char *text,
    bool *ret_changed);
/* The cached body's text, NULL if it is not cached; the caller frees it. */
char *ground_read(struct ground *ground, struct message_id id);
/* Path of the only (first found) file below the cache's bodies whose name is <uid>.eml; "" if
 * there is none. */
void ground_body_path(struct ground *ground, uint32_t uid, char ret[256]);
/* Runs a shell command, which must succeed. */
void ground_shell(const char *format, ...) PRINTF_LIKE(1, 2);
size_t ground_count_files(const char *dir);

#endif
