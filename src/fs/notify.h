/*
 * fs/notify.h - tells the kernel what it should forget.
 *
 * News is queued by anybody and told by one thread, which holds no lock meanwhile, since the kernel
 * may make it wait: for a name, until no request in that directory is under way. No answer to a
 * request depends on news having been told. The queue is bounded: what overflows is lost, and the
 * kernel forgets by itself after LIFETIME_S.
 */
#ifndef IMAPFS_FS_NOTIFY_H
#define IMAPFS_FS_NOTIFY_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "model/ids.h"

struct fs;
struct notify;

struct notify *notify_create(struct fs *fs) MUST_USE;
void notify_destroy(struct notify **notify);

/* Begins to tell what is queued; -errno (EAGAIN: no thread). Once. */
int notify_start(struct notify *notify) MUST_USE;
/* Ends the thread and waits for it: its last word to the kernel may wait for requests that others
 * must still answer. What is queued is dropped. */
void notify_stop(struct notify *notify);

/* Any thread; never waits. */
void notify_entry(struct notify *notify, struct inode_no parent, const char *name,
    struct inode_no child, bool gone);
void notify_inode(struct notify *notify, struct inode_no ino, bool data);
/* A request that may have kept a directory locked was answered. */
void notify_dir_released(struct notify *notify);

/*
 * Before a file is handed out: tells the kernel to forget an old size of it, unless it knows. That
 * takes no lock in the kernel, so it waits for no request. False: it may still believe the old one.
 * Nobody tells it again afterwards, since that would make the kernel drop the size it just asked
 * for.
 */
bool notify_settle(struct notify *notify, struct inode_no ino, bool *ret_data) MUST_USE;

#endif
