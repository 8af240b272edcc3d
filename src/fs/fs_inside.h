/*
 * fs/fs_inside.h - what the files of this room share: the mount and what belongs to it.
 * Only for src/fs.
 */
#ifndef IMAPFS_FS_FS_INSIDE_H
#define IMAPFS_FS_FS_INSIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <fuse_lowlevel.h>

#include "base/lock.h"
#include "base/waker.h"
#include "fs/fs.h"

/*
 * How long the kernel may answer from what it was told. Changes are told earlier by notify.c; a
 * piece of news that was lost costs no more than this.
 */
enum { LIFETIME_S = 5, NAME_MAX_BYTES = 255 };

struct op;
struct handle;
struct notify;

struct fs {
    /* const after create */
    struct engine *engine;
    struct log *log;
    uid_t uid;
    gid_t gid;
    mode_t umask;
    char *control_path;
    char *(*special_text)(void *arg, enum special_node node);
    void *special_arg;
    struct engine_listener listener;
    struct notify *notify;
    struct waker stop; /* fs_run is to come to its end */
    struct waker quit; /* the loop's threads are to end */
    struct lock lock;
    struct cond all_settled; /* the last operation went away */

    /* thread: the owner's; fs_run's until the loop's threads start, const while they run */
    struct fuse_session *session;
    bool mounted;
    bool init_answered;
    bool parallel_dirops; /* the kernel can do lookups and readdirs of one directory side by side */
    uint64_t init_unique; /* the request that opens the conversation, 0 before it came */

    /* guarded by lock */
    struct op *ops GUARDED_BY(lock);
    struct handle *handles GUARDED_BY(lock);
    bool draining GUARDED_BY(lock); /* nothing parks any more */
    int loop_error GUARDED_BY(lock);
};

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* ops.c */
extern const struct fuse_lowlevel_ops fs_operations;
/* What stat(2) shows of a node. */
void fs_fill_attr(const struct fs *fs, const struct node *node, struct stat *ret);

/* ops_name.c */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* ops_dir.c */
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_readdirplus(
    fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

/* ops_file.c */
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* xattr.c */
void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

/* loop.c */
extern const struct fuse_custom_io fs_io;
/* mount.c: ends the mount if it still stands; no request may be unanswered, no news be told. */
void fs_unmount(struct fs *fs);
/* From now on libfuse's messages of this thread go to the log (NULL: nowhere). */
void fs_take_messages(struct log *log);

#endif
