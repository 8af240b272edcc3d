/*
 * app/mount.h - puts the rooms together: store, pool, engine, fs and the control socket of one
 * mount, and takes them apart. Main thread.
 */
#ifndef IMAPFS_APP_MOUNT_H
#define IMAPFS_APP_MOUNT_H

#include "app/cred.h"
#include "app/places.h"
#include "app/settings.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

struct mount;

struct mount_options {
    const struct settings *settings; /* borrowed for the mount's life, as the rest */
    const struct places *places;
    struct cred *cred;
    struct log *log;
};

/*
 * Opens the account's state, logs in, lists the mailboxes, mounts. The errors of those rooms, each
 * one sentence. With no network but a tree that is known from before it mounts all the same (then a
 * warning is logged).
 */
int mount_create(struct mount **ret, const struct mount_options *options, struct err *why) MUST_USE;
/* Serves until it is unmounted, or SIGINT, SIGTERM or SIGHUP comes. 0 or -errno. */
int mount_serve(struct mount *mount) MUST_USE;
void mount_destroy(struct mount **mount);

#endif
