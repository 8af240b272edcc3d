/*
 * fs/fs.h - the kernel's side: libfuse's low-level requests answered from the view, or parked until
 * the engine is done.
 *
 * No thread of this room waits for the network. Each request that can wait answers INTERRUPT
 * (EINTR), so ^C and SIGKILL act at once. Owned and driven by app.
 */
#ifndef IMAPFS_FS_FS_H
#define IMAPFS_FS_FS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/engine.h"

struct fs;

struct fs_options {
    struct engine *engine; /* borrowed */
    struct log *log;       /* borrowed */
    uid_t uid;
    gid_t gid;
    mode_t umask;
    bool allow_other;                /* with default_permissions always */
    bool debug;                      /* libfuse's trace */
    const char *fsname;              /* "imap://user@host" */
    const char *const *fuse_options; /* further -o options for libfuse, NULL-ended, or NULL */
    const char *control_path;        /* told as user.imap.control of the root */
    /* The text of .imapfs/status, status.json and errors, made when the file is opened; malloc'ed,
     * the caller frees it. */
    char *(*special_text)(void *arg, enum special_node node);
    void *special_arg;
};

/* EINVAL: libfuse refused an option. Sets the engine's listener. */
int fs_create(struct fs **ret, const struct fs_options *options, struct err *why) MUST_USE;
/* ENOENT, ENOTDIR, ENOTEMPTY, EACCES, ENODEV (no /dev/fuse), each with a sentence. The mount point
 * must be an empty directory that is no symlink. */
int fs_mount(struct fs *fs, const char *mountpoint, struct err *why) MUST_USE;
/* Serves until unmounted or stopped, then unmounts; every request is answered when it returns.
 * 0, or -errno when the kernel's connection failed. */
int fs_run(struct fs *fs) MUST_USE;
/* Ends fs_run; any thread; not from a signal handler. */
void fs_stop(struct fs *fs);
/* Unmounts if still mounted. Not before the engine is destroyed, which reports to the listener
 * until then. */
void fs_destroy(struct fs **fs);

#endif
