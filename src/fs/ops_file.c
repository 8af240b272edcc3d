#include "fs/fs_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/parked.h"

/* So often may a body go away again between its coming and its being opened. */
enum { WAITS_MAX = 16 };

/* The handle is the kernel's if it takes the answer, else ours to close. */
static void reply_open(
    struct fs *fs, fuse_req_t req, struct handle *handle, struct fuse_file_info *fi)
{
    fi->fh = handle_number(handle);
    fi->noflush = 1; /* nothing is ever written: close(2) need not ask us */
    if (fuse_reply_open(req, fi) != 0) {
        handle_close(fs, handle);
    }
}

/*
 * The bytes of an inode never change, so what the kernel has cached stays right. Its idea of the
 * size may be wrong until the body came; a read or a mapping would then be cut off. The engine
 * reports a corrected size before it hands out the body. If the kernel was not told yet, it is told
 * here: forgetting attributes takes no lock in the kernel and so cannot wait for this very answer.
 * Should it fail, the file is read past the kernel's cache, by the bytes that are there.
 */
static void choose_caching(struct fs *fs, struct inode_no ino, struct fuse_file_info *fi)
{
    bool data = false;
    bool settled = notify_settle(fs->notify, ino, &data);
    fi->direct_io = !settled;
    fi->keep_cache = settled && !data; /* without it the kernel drops its pages now */
}

static int open_run(struct op *op)
{
    if (op->waits > 0 && op->result < 0) {
        return op_fail(op, -op->result);
    }
    if (op->waits >= WAITS_MAX) {
        return op_fail(op, EIO);
    }
    int fd = -1;
    int64_t size_bytes = 0;
    struct message_id id = {inode_row(op->ino)};
    op->waits++;
    int rc = engine_body(op->fs->engine, id, &fd, &size_bytes, &op->wait);
    if (rc == PARKED) {
        return PARKED;
    }
    if (rc < 0) {
        return op_fail(op, -rc);
    }
    struct fuse_file_info fi = op->fi;
    choose_caching(op->fs, op->ino, &fi);
    reply_open(op->fs, op_request(op), handle_of_body(op->fs, fd), &fi);
    op_finish(op);
    return 0;
}

static void open_special(
    struct fs *fs, fuse_req_t req, struct inode_no ino, struct fuse_file_info *fi)
{
    enum special_node node = (enum special_node)inode_row(ino);
    char *text = fs->special_text == NULL ? NULL : fs->special_text(fs->special_arg, node);
    if (text == NULL) {
        (void)fuse_reply_err(req, EIO);
        return;
    }
    fi->direct_io = 1; /* its size is shown as 0 */
    reply_open(fs, req, handle_of_text(fs, text), fi);
}

void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct inode_no inode = {ino};
    if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0) {
        (void)fuse_reply_err(req, EROFS);
        return;
    }
    switch (inode_kind(inode)) {
    case INODE_MESSAGE:
        break;
    case INODE_SPECIAL:
        open_special(fs, req, inode, fi);
        return;
    case INODE_MAILBOX:
    case INODE_UID_DIR:
        (void)fuse_reply_err(req, EISDIR);
        return;
    }
    struct op *op = op_create(req, inode, open_run, NULL);
    op->fi = *fi;
    op_start(op);
}

void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    CLEANUP(free) char *data = malloc(size);
    if (data == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    ssize_t len = handle_read(handle_from(fi), data, size, off);
    if (len < 0) {
        (void)fuse_reply_err(req, (int)-len);
        return;
    }
    (void)fuse_reply_buf(req, data, (size_t)len); /* who no longer listens needs no answer */
}

void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    handle_close(fs_of(req), handle_from(fi));
    (void)fuse_reply_err(req, 0);
}
