#include "fs/fs_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { BLOCK_SIZE = 4096 };

void fs_fill_attr(const struct fs *fs, const struct node *node, struct stat *ret)
{
    mode_t mode = node->is_dir ? 0555 : 0444;
    *ret = (struct stat){
        .st_ino = node->ino.value,
        .st_mode = (node->is_dir ? S_IFDIR : S_IFREG) | (mode & ~fs->umask),
        .st_nlink = node->nlink,
        .st_uid = fs->uid,
        .st_gid = fs->gid,
        .st_size = node->size_bytes,
        /* never 0 for a file that is not empty: backup programs would take it for a hole */
        .st_blocks = (node->size_bytes + 511) / 512,
        .st_blksize = BLOCK_SIZE,
        .st_atim = {.tv_sec = node->mtime_s, .tv_nsec = 0},
        .st_mtim = {.tv_sec = node->mtime_s, .tv_nsec = 0},
        .st_ctim = {.tv_sec = node->mtime_s, .tv_nsec = 0},
    };
}

static void want_or_not(struct fuse_conn_info *conn, unsigned flag, bool wanted)
{
    if (wanted && (conn->capable & flag) != 0) {
        conn->want |= flag;
    } else {
        conn->want &= ~flag;
    }
}

static void fs_init(void *userdata, struct fuse_conn_info *conn)
{
    struct fs *fs = userdata;
    fs->parallel_dirops = (conn->capable & FUSE_CAP_PARALLEL_DIROPS) != 0;
    /* always plus: a stat of each entry follows in nearly every program */
    want_or_not(conn, FUSE_CAP_READDIRPLUS, true);
    want_or_not(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
    /* a size that turned out wrong must drop the pages that were read with it */
    want_or_not(conn, FUSE_CAP_AUTO_INVAL_DATA, true);
    want_or_not(conn, FUSE_CAP_WRITEBACK_CACHE, false);
    want_or_not(conn, FUSE_CAP_IOCTL_DIR, false);
    conn->max_background = 64;
    conn->congestion_threshold = 48;
}

/* An inode is a row id that is never used twice: there is nothing to count. */
static void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    (void)ino;
    (void)nlookup;
    fuse_reply_none(req);
}

static void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    (void)count;
    (void)forgets;
    fuse_reply_none(req);
}

static void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct view_space space = {0, 0, 0, false};
    (void)ino;
    int rc = view_space(fs_of(req)->engine, &space);
    if (rc < 0) {
        (void)fuse_reply_err(req, -rc); /* who no longer listens needs no answer */
        return;
    }
    uint64_t total = space.total_bytes / BLOCK_SIZE;
    uint64_t used = (space.used_bytes + BLOCK_SIZE - 1) / BLOCK_SIZE;
    if (!space.quota) {
        /* nobody said how much there is: plenty, since many programs refuse to write into nothing
         */
        total = used + (UINT64_C(1) << 40) / BLOCK_SIZE;
    }
    uint64_t left = total > used ? total - used : 0;
    struct statvfs answer = {
        .f_bsize = BLOCK_SIZE,
        .f_frsize = BLOCK_SIZE,
        .f_blocks = total,
        .f_bfree = left,
        .f_bavail = left,
        .f_files = space.messages + (UINT64_C(1) << 32),
        .f_ffree = UINT64_C(1) << 32,
        .f_favail = UINT64_C(1) << 32,
        .f_namemax = NAME_MAX_BYTES,
    };
    (void)fuse_reply_statfs(req, &answer);
}

/* Whoever has a file open for reading may ask for these; there is never anything to write out. */
static void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    (void)fuse_reply_err(req, 0);
}

static void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    (void)fuse_reply_err(req, 0);
}

static void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    (void)fuse_reply_err(req, 0);
}

/*
 * The mount is read-only, so the kernel refuses changes before we are asked. Should somebody
 * remount it writable, these refuse them again.
 */
static void refuse_mknod(
    fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)device;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target;
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EROFS);
}

/* NOLINTNEXTLINE(readability-function-size): libfuse's signature */
static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
    fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
    (void)parent;
    (void)name;
    (void)new_parent;
    (void)new_name;
    (void)flags;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    (void)ino;
    (void)new_parent;
    (void)new_name;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_create(
    fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)fi;
    (void)fuse_reply_err(req, EROFS);
}

/* NOLINTNEXTLINE(readability-function-size): libfuse's signature */
static void refuse_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
    struct fuse_file_info *fi)
{
    (void)ino;
    (void)data;
    (void)size;
    (void)off;
    (void)fi;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_setattr(
    fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
    (void)ino;
    (void)attr;
    (void)to_set;
    (void)fi;
    (void)fuse_reply_err(req, EROFS);
}

/* NOLINTNEXTLINE(readability-function-size): libfuse's signature */
static void refuse_setxattr(
    fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    (void)ino;
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    (void)fuse_reply_err(req, EROFS);
}

static void refuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino;
    (void)name;
    (void)fuse_reply_err(req, EROFS);
}

/* NOLINTNEXTLINE(readability-function-size): libfuse's signature */
static void refuse_fallocate(
    fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
    (void)ino;
    (void)mode;
    (void)offset;
    (void)length;
    (void)fi;
    (void)fuse_reply_err(req, EROFS);
}

/* NOLINTNEXTLINE(readability-function-size): libfuse's signature */
static void refuse_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
    struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out, struct fuse_file_info *fi_out,
    size_t len, int flags)
{
    (void)ino_in;
    (void)off_in;
    (void)fi_in;
    (void)ino_out;
    (void)off_out;
    (void)fi_out;
    (void)len;
    (void)flags;
    (void)fuse_reply_err(req, EROFS);
}

/* What is not named here the kernel is told once that we do not have (ENOSYS): access, locks,
 * ioctl, lseek for holes. */
const struct fuse_lowlevel_ops fs_operations = {
    .init = fs_init,
    .lookup = fs_lookup,
    .forget = fs_forget,
    .forget_multi = fs_forget_multi,
    .getattr = fs_getattr,
    .open = fs_open,
    .read = fs_read,
    .flush = fs_flush,
    .release = fs_release,
    .fsync = fs_fsync,
    .opendir = fs_opendir,
    .readdir = fs_readdir,
    .readdirplus = fs_readdirplus,
    .releasedir = fs_releasedir,
    .fsyncdir = fs_fsync,
    .statfs = fs_statfs,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
    .mknod = refuse_mknod,
    .mkdir = refuse_mkdir,
    .unlink = refuse_unlink,
    .rmdir = refuse_unlink,
    .symlink = refuse_symlink,
    .rename = refuse_rename,
    .link = refuse_link,
    .create = refuse_create,
    .write = refuse_write,
    .setattr = refuse_setattr,
    .setxattr = refuse_setxattr,
    .removexattr = refuse_removexattr,
    .fallocate = refuse_fallocate,
    .copy_file_range = refuse_copy_file_range,
};
