#include "fs/fs_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fs/handle.h"
#include "fs/notify.h"

/* ---- what the engine reports ---- */

static void on_entry_changed(
    void *arg, struct inode_no parent, const char *name, struct inode_no child, bool gone)
{
    struct fs *fs = arg;
    notify_entry(fs->notify, parent, name, child, gone);
}

static void on_inode_changed(void *arg, struct inode_no inode, bool data)
{
    struct fs *fs = arg;
    notify_inode(fs->notify, inode, data);
}

/* ---- making it ---- */

/* A value of -o: commas and backslashes would end it. */
static void append_escaped(struct buf *options, const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == ',' || *p == '\\') {
            buf_append_char(options, '\\');
        }
        buf_append_char(options, *p);
    }
}

static int add_option(struct fuse_args *args, const char *option)
{
    return fuse_opt_add_arg(args, "-o") != 0 || fuse_opt_add_arg(args, option) != 0 ? -ENOMEM : 0;
}

static int add_options(struct fuse_args *args, const struct fs_options *options)
{
    CLEANUP(buf) struct buf own = BUF_INIT;
    buf_append_text(&own, "ro,nosuid,nodev,noexec,noatime,default_permissions,subtype=imapfs");
    if (options->fsname != NULL) {
        buf_append_text(&own, ",fsname=");
        append_escaped(&own, options->fsname);
    }
    if (options->allow_other) {
        buf_append_text(&own, ",allow_other");
    }
    if (options->debug) {
        buf_append_text(&own, ",debug");
    }
    int rc = fuse_opt_add_arg(args, "imapfs") != 0 ? -ENOMEM : add_option(args, buf_text(&own));
    const char *const *more = options->fuse_options;
    while (rc == 0 && more != NULL && *more != NULL) {
        rc = add_option(args, *more++);
    }
    return rc;
}

static int create_session(struct fs *fs, const struct fs_options *options, struct err *why)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int rc = add_options(&args, options);
    if (rc < 0) {
        (void)err_set(why, ERR_LOCAL, -rc, "there is no memory for the mount's options");
    } else {
        fs->session = fuse_session_new(&args, &fs_operations, sizeof fs_operations, fs);
        if (fs->session == NULL) {
            rc = err_set(why, ERR_LOCAL, EINVAL,
                "libfuse does not know one of the mount options given with -o");
        }
    }
    fuse_opt_free_args(&args);
    return rc;
}

static int create_wakers(struct fs *fs, struct err *why)
{
    int rc = waker_init(&fs->stop);
    if (rc == 0) {
        rc = waker_init(&fs->quit);
    }
    return rc == 0 ? 0 : err_set(why, ERR_LOCAL, -rc, "there are no file descriptors left");
}

int fs_create(struct fs **ret, const struct fs_options *options, struct err *why)
{
    struct fs *fs = alloc_zeroed(1, sizeof *fs);
    fs->engine = options->engine;
    fs->log = options->log;
    fs->uid = options->uid;
    fs->gid = options->gid;
    fs->umask = options->umask;
    fs->control_path = alloc_text(options->control_path);
    fs->special_text = options->special_text;
    fs->special_arg = options->special_arg;
    fs->stop.fd = -1;
    fs->quit.fd = -1;
    lock_init(&fs->lock, RANK_FS, "fs");
    cond_init(&fs->all_settled);
    fs->notify = notify_create(fs);
    fs_take_messages(fs->log);
    int rc = create_wakers(fs, why);
    if (rc == 0) {
        rc = create_session(fs, options, why);
    }
    fs_take_messages(NULL);
    if (rc < 0) {
        fs_destroy(&fs);
        return rc;
    }
    fs->listener = (struct engine_listener){
        .entry_changed = on_entry_changed, .inode_changed = on_inode_changed, .arg = fs};
    engine_set_listener(fs->engine, &fs->listener);
    *ret = fs;
    return 0;
}

/* ---- mounting ---- */

static int refuse_point(const char *path, int errnum, struct err *why)
{
    switch (errnum) {
    case ENOENT:
        return err_set(why, ERR_LOCAL, ENOENT,
            "the mount point %s does not exist; make it with `mkdir` first", path);
    case ENOTDIR:
        return err_set(why, ERR_LOCAL, ENOTDIR, "the mount point %s is not a directory", path);
    case ENOTCONN:
        return err_set(why, ERR_LOCAL, EBUSY,
            "a mount that has died is still attached to %s; run `fusermount3 -u %s` first", path,
            path);
    case EACCES:
    case EPERM:
        return err_set(why, ERR_LOCAL, EACCES,
            "you may not read and enter the mount point %s; choose a directory of your own", path);
    default:
        return err_set(why, ERR_LOCAL, errnum, "the mount point %s cannot be opened: %s", path,
            strerrordesc_np(errnum));
    }
}

static bool is_symlink(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0 && S_ISLNK(about.st_mode);
}

/* Takes the descriptor. 1: there is nothing in it. */
static int is_empty(int fd)
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int rc = -errno;
        (void)close(fd); /* nothing was written */
        return rc;
    }
    int empty = 1;
    const struct dirent *entry;
    errno = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this thread's own */
    while (empty == 1 && (entry = readdir(dir)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    int rc = empty == 1 && errno != 0 ? -errno : empty;
    (void)closedir(dir); /* nothing was written */
    return rc;
}

/* The mount point's absolute path without symlinks, once it is found fit. */
static int check_point(const char *path, char ret_real[PATH_MAX], struct err *why)
{
    struct stat opened;
    struct stat named;
    if (is_symlink(path)) {
        return err_set(why, ERR_LOCAL, ENOTDIR,
            "the mount point %s is a symbolic link; name the directory itself", path);
    }
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &opened) != 0) {
        return refuse_point(path, errno, why);
    }
    if (geteuid() != 0 && access(path, W_OK | X_OK) != 0) {
        return refuse_point(path, EACCES, why);
    }
    if (realpath(path, ret_real) == NULL || stat(ret_real, &named) != 0) {
        return refuse_point(path, errno, why);
    }
    if (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) {
        return err_set(why, ERR_LOCAL, EBUSY, "the mount point %s was replaced meanwhile", path);
    }
    int empty = is_empty(steal_fd(&fd));
    if (empty < 0) {
        return refuse_point(path, -empty, why);
    }
    return empty == 1 ? 0
                      : err_set(why, ERR_LOCAL, ENOTEMPTY,
                            "the mount point %s is not empty; choose an empty directory", path);
}

static int check_device(struct err *why)
{
    CLEANUP(fd_close) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        return 0;
    }
    if (errno == EACCES || errno == EPERM) {
        return err_set(why, ERR_LOCAL, EACCES,
            "you may not open /dev/fuse; ask for its mode to be 0666, as it usually is");
    }
    return err_set(why, ERR_LOCAL, ENODEV,
        "there is no usable /dev/fuse; run `modprobe fuse` as root, or, in a container, start it "
        "with that device");
}

static int check_helper(struct err *why)
{
    CLEANUP(free) char *found = NULL;
    if (geteuid() == 0 || access("/usr/bin/fusermount3", X_OK) == 0) {
        return 0;
    }
    found = g_find_program_in_path("fusermount3");
    return found != NULL ? 0
                         : err_set(why, ERR_LOCAL, ENOENT,
                               "fusermount3 is missing; install the package fuse3");
}

static int attach(struct fs *fs, const char *real, struct err *why)
{
    if (fuse_session_mount(fs->session, real) != 0) {
        return err_set(why, ERR_LOCAL, EACCES,
            "the kernel or fusermount3 refuses to mount on %s; it says above why", real);
    }
    fs->mounted = true;
    int fd = fuse_session_fd(fs->session);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fuse_session_custom_io(fs->session, &fs_io, fd) != 0) {
        fs_unmount(fs);
        return err_set(why, ERR_LOCAL, EIO, "the connection to the kernel cannot be set up");
    }
    return 0;
}

int fs_mount(struct fs *fs, const char *mountpoint, struct err *why)
{
    char real[PATH_MAX];
    int rc = check_point(mountpoint, real, why);
    if (rc == 0) {
        rc = check_device(why);
    }
    if (rc == 0) {
        rc = check_helper(why);
    }
    if (rc == 0) {
        fs_take_messages(fs->log);
        rc = attach(fs, real, why);
        fs_take_messages(NULL);
    }
    return rc;
}

void fs_unmount(struct fs *fs)
{
    if (fs->mounted) {
        fuse_session_unmount(fs->session);
        fs->mounted = false;
    }
}

void fs_destroy(struct fs **fs)
{
    struct fs *gone = *fs;
    if (gone == NULL) {
        return;
    }
    fs_unmount(gone);
    notify_destroy(&gone->notify);
    if (gone->session != NULL) {
        fuse_session_destroy(gone->session);
    }
    handle_close_all(gone);
    waker_finish(&gone->stop);
    waker_finish(&gone->quit);
    cond_finish(&gone->all_settled);
    lock_finish(&gone->lock);
    free(gone->control_path);
    free(gone);
    *fs = NULL;
}
