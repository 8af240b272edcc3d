#include "store/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

enum { PRIVATE_DIR = 0700, PRIVATE_FILE = 0600, OTHERS = 0077, PID_TEXT = 32 };

int disk_failed(int errnum, const char *doing, struct err *why)
{
    int told = EIO;
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EROFS:
    case EACCES:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        told = errnum;
        break;
    default:
        break;
    }
    const char *text = strerrordesc_np(errnum);
    return err_set(why, ERR_LOCAL, told, "%s: %s", doing, text == NULL ? "unknown error" : text);
}

/* mkdir -p; what exists already is looked at by the caller. */
static int make_all(char *path, struct err *why)
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        int rc = mkdir(path, PRIVATE_DIR);
        int failed = rc == 0 || errno == EEXIST ? 0 : errno;
        if (failed != 0) {
            char doing[PATH_MAX + 32];
            (void)snprintf(doing, sizeof doing, "cannot make the directory %s", path);
            return disk_failed(failed, doing, why);
        }
        *at = kept;
        if (kept == '\0') {
            return 0;
        }
    }
}

/* O_NOFOLLOW looks at the last component only if that is what the path ends in. */
static char *without_slashes(const char *path)
{
    char *copy = alloc_text(path);
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    return copy;
}

static int check_private(int fd, const char *path, struct err *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return disk_failed(errno, path, why);
    }
    if (st.st_uid != geteuid()) {
        return err_set(why, ERR_LOCAL, EACCES,
            "the directory %s belongs to user %lu, not to user %lu who mounts", path,
            (unsigned long)st.st_uid, (unsigned long)geteuid());
    }
    if ((st.st_mode & OTHERS) != 0) {
        return err_set(why, ERR_LOCAL, EACCES,
            "others may enter the directory %s; run: chmod 700 on it", path);
    }
    return 0;
}

int dir_open_private(const char *path, int *ret_fd, struct err *why)
{
    CLEANUP(free) char *own = without_slashes(path);
    const char *last = strrchr(own, '/');
    last = last == NULL ? own : last + 1;
    if (strlen(own) >= PATH_MAX || *last == '\0' || strcmp(last, ".") == 0 ||
        strcmp(last, "..") == 0) {
        return err_set(why, ERR_LOCAL, EINVAL, "%s names no directory of its own", path);
    }
    int rc = make_all(own, why);
    if (rc != 0) {
        return rc;
    }
    CLEANUP(fd_close) int fd = open(own, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int failed = errno;
        if (failed == ELOOP || failed == ENOTDIR) {
            return err_set(why, ERR_LOCAL, EACCES,
                "%s is not a directory itself (a symbolic link or a file)", own);
        }
        char doing[PATH_MAX + 32];
        (void)snprintf(doing, sizeof doing, "cannot open the directory %s", own);
        return disk_failed(failed, doing, why);
    }
    rc = check_private(fd, own, why);
    if (rc != 0) {
        return rc;
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

int dir_open_below(int parent_fd, const char *name, int *ret_fd, struct err *why)
{
    if (mkdirat(parent_fd, name, PRIVATE_DIR) != 0 && errno != EEXIST) {
        return disk_failed(errno, "cannot make a directory of the cache", why);
    }
    CLEANUP(fd_close)
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return disk_failed(errno, "cannot open a directory of the cache", why);
    }
    int rc = check_private(fd, name, why);
    if (rc != 0) {
        return rc;
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

static int tell_holder(int fd, const char *path, struct err *why)
{
    char text[PID_TEXT] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    long pid = got > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) {
        return err_set(why, ERR_LOCAL, EBUSY, "another mount is using %s; unmount it first", path);
    }
    return err_set(
        why, ERR_LOCAL, EBUSY, "another mount (pid %ld) is using %s; unmount it first", pid, path);
}

int dir_lock(int dir_fd, const char *name, const char *path, int *ret_fd, struct err *why)
{
    CLEANUP(fd_close)
    int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, PRIVATE_FILE);
    if (fd < 0) {
        return disk_failed(errno, "cannot open the lock file", why);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? tell_holder(fd, path, why)
                                    : disk_failed(errno, "cannot lock", why);
    }
    char text[PID_TEXT];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The pid is for people only: a full disk must not keep a known mailbox from being read. */
    if (ftruncate(fd, 0) == 0) {
        ssize_t written = pwrite(fd, text, (size_t)len, 0);
        (void)written;
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

static int write_text(int fd, const char *text)
{
    size_t len = strlen(text);
    ssize_t written = write(fd, text, len);
    if (written < 0) {
        return errno;
    }
    if ((size_t)written != len) {
        return ENOSPC;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

int note_write(int dir_fd, const char *name, const char *text, struct err *why)
{
    char draft[NAME_MAX];
    (void)snprintf(draft, sizeof draft, "%s.new", name); /* our own short names */
    CLEANUP(fd_close)
    int fd =
        openat(dir_fd, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, PRIVATE_FILE);
    int failed = fd < 0 ? errno : write_text(fd, text);
    if (failed == 0 && renameat(dir_fd, draft, dir_fd, name) != 0) {
        failed = errno;
    }
    if (failed == 0 && fsync(dir_fd) != 0) {
        failed = errno;
    }
    if (failed != 0) {
        (void)unlinkat(dir_fd, draft, 0); /* may not be there */
        return disk_failed(failed, "cannot write a note", why);
    }
    return 0;
}

bool note_read(int dir_fd, const char *name, char *ret, size_t size)
{
    CLEANUP(fd_close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = read(fd, ret, size - 1);
    if (got < 0) {
        return false;
    }
    ret[got] = '\0';
    return true;
}

int note_remove(int dir_fd, const char *name, struct err *why)
{
    if (unlinkat(dir_fd, name, 0) != 0) {
        return errno == ENOENT ? 0 : disk_failed(errno, "cannot remove a note", why);
    }
    return fsync(dir_fd) == 0 ? 0 : disk_failed(errno, "cannot remove a note", why);
}
