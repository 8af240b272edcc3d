#include "mounted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

#define DIR_VARIABLE "IMAPFS_TEST_FS_DIR"

enum { MINUTE_MS = 60000 };

static char *special_text(void *arg, enum special_node node)
{
    char *text = NULL;
    (void)arg;
    ck_assert_int_ge(asprintf(&text, "text of special file %d\n", (int)node), 0);
    return text;
}

static void *run(void *arg)
{
    struct mounted *m = arg;
    m->result = fs_run(m->fs);
    return NULL;
}

void make_test_dir(char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s/XXXXXX", getenv(DIR_VARIABLE));
    ck_assert_ptr_nonnull(mkdtemp(ret));
}

void mounted_start(struct mounted *m)
{
    struct err why = ERR_INIT;
    m->engine = fake_create();
    make_test_dir(m->dir, sizeof m->dir);
    struct fs_options options = {.engine = m->engine,
        .uid = getuid(),
        .gid = getgid(),
        .umask = 077,
        .fsname = "imap://ann@host,with\\odd,name",
        .control_path = "/run/control.socket",
        .special_text = special_text};
    int rc = fs_create(&m->fs, &options, &why);
    ck_assert_msg(rc == 0, "%s", why.text);
    rc = fs_mount(m->fs, m->dir, &why);
    ck_assert_msg(rc == 0, "%s", why.text);
    ck_assert_int_eq(pthread_create(&m->thread, NULL, run, m), 0);
}

void mounted_join(struct mounted *m)
{
    ck_assert_int_eq(pthread_join(m->thread, NULL), 0);
    ck_assert_uint_eq(fake_parked(m->engine), 0);
    fs_destroy(&m->fs);
    ck_assert_ptr_null(m->fs);
    fake_destroy(m->engine);
    ck_assert_int_eq(rmdir(m->dir), 0); /* fails on a mount point */
}

void mounted_stop(struct mounted *m)
{
    fs_stop(m->fs);
    mounted_join(m);
    ck_assert_int_eq(m->result, 0);
}

char *mounted_path(const struct mounted *m, const char *name)
{
    char *path = NULL;
    ck_assert_int_ge(asprintf(&path, "%s/%s", m->dir, name), 0);
    return path;
}

pid_t start_program(const char *const argv[])
{
    pid_t pid = -1;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGINT);
    ck_assert_int_eq(posix_spawn_file_actions_init(&files), 0);
    ck_assert_int_eq(posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0), 0);
    ck_assert_int_eq(posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0), 0);
    ck_assert_int_eq(posix_spawnattr_init(&attributes), 0);
    ck_assert_int_eq(posix_spawnattr_setsigdefault(&attributes, &defaults), 0);
    ck_assert_int_eq(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF), 0);
    char *copy[16] = {NULL};
    for (int i = 0; argv[i] != NULL && i < 15; i++) {
        copy[i] = alloc_text(argv[i]);
    }
    int rc = posix_spawnp(&pid, argv[0], &files, &attributes, copy, environ);
    for (int i = 0; i < 15; i++) {
        free(copy[i]);
    }
    ck_assert_int_eq(rc, 0);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return pid;
}

int await_program(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    ck_assert_int_ge(fd, 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    int count = 0;
    while ((count = poll(&ended, 1, MINUTE_MS)) < 0 && errno == EINTR) {
    }
    (void)close(fd);
    ck_assert_msg(count == 1, "program %d did not end", (int)pid);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

int run_program(const char *const argv[])
{
    int status = await_program(start_program(argv));
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- main ---- */

/* NULL: a mount is possible. */
static const char *why_not(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return "/dev/fuse cannot be opened";
    }
    (void)close(fd);
    if (geteuid() != 0 && access("/usr/bin/fusermount3", X_OK) != 0) {
        return "fusermount3 is missing";
    }
    return NULL;
}

/* A test that was ended left its mount behind. */
static void clean_up(const char *base)
{
    DIR *dir = opendir(base);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[512];
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
            (void)umount2(path, MNT_DETACH);
            (void)rmdir(path);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(base);
}

int mounted_run(const char *name, TCase *tests)
{
    const char *reason = why_not();
    if (reason != NULL) {
        printf("# SKIP %s: %s\n0 passed, 0 failed, 1 skipped\n", name, reason);
        tcase_set_timeout(tests, 0); /* it is freed with the process */
        return EXIT_SUCCESS;
    }
    char base[] = "/tmp/imapfs-fs.XXXXXX";
    if (mkdtemp(base) == NULL || setenv(DIR_VARIABLE, base, 1) != 0) {
        perror(base);
        return EXIT_FAILURE;
    }
    int result = unit_run(name, tests);
    clean_up(base);
    return result;
}
