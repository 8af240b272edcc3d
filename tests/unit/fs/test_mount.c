/* Mount points that are refused, each with its sentence; and news that reaches the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mounted.h"

/* Tries to mount there; the error, 0 if it worked. */
static int try_mount(const char *path, struct err *why)
{
    struct engine *engine = fake_create();
    struct fs *fs = NULL;
    struct fs_options options = {.engine = engine, .umask = 077, .fsname = "imap://ann@host"};
    int rc = fs_create(&fs, &options, why);
    ck_assert_int_eq(rc, 0);
    rc = fs_mount(fs, path, why);
    fs_destroy(&fs);
    fake_destroy(engine);
    return rc;
}

static void check_refused(const char *path, int errnum, const char *says)
{
    struct err why = ERR_INIT;
    ck_assert_int_eq(try_mount(path, &why), -errnum);
    ck_assert_int_eq(why.errnum, errnum);
    ck_assert_int_eq(why.class, ERR_LOCAL);
    ck_assert_msg(strstr(why.text, says) != NULL, "%s", why.text);
    ck_assert_msg(strstr(why.text, path) != NULL, "%s", why.text);
}

START_TEST(a_mount_point_that_is_missing_or_no_directory_is_refused)
{
    char dir[128];
    char path[160];
    make_test_dir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/missing", dir);
    check_refused(path, ENOENT, "does not exist");
    (void)snprintf(path, sizeof path, "%s/file", dir);
    (void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    check_refused(path, ENOTDIR, "is not a directory");
    check_refused(dir, ENOTEMPTY, "is not empty");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_symbolic_link_is_no_mount_point)
{
    char dir[128];
    char path[160];
    make_test_dir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s.link", dir);
    ck_assert_int_eq(symlink(dir, path), 0);
    check_refused(path, ENOTDIR, "symbolic link");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_mount_that_has_died_is_named_with_its_cure)
{
    char dir[128];
    char options[128];
    make_test_dir(dir, sizeof dir);
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    int rc = mount("dead", dir, "fuse", MS_NOSUID | MS_NODEV, options);
    (void)close(fd);
    if (rc == 0) { /* only root may make one */
        check_refused(dir, EBUSY, "fusermount3 -u");
        ck_assert_int_eq(umount2(dir, MNT_DETACH), 0);
    }
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_mount_without_a_run_is_taken_down_again)
{
    char dir[128];
    struct err why = ERR_INIT;
    make_test_dir(dir, sizeof dir);
    ck_assert_int_eq(try_mount(dir, &why), 0);
    ck_assert_int_eq(try_mount(dir, &why), 0);
    ck_assert_int_eq(rmdir(dir), 0); /* fails on a mount point */
}
END_TEST

START_TEST(an_option_that_libfuse_does_not_know_is_refused)
{
    static const char *const more[] = {"no_such_option", NULL};
    struct engine *engine = fake_create();
    struct fs *fs = NULL;
    struct err why = ERR_INIT;
    struct fs_options options = {.engine = engine, .fuse_options = more};
    ck_assert_int_eq(fs_create(&fs, &options, &why), -EINVAL);
    ck_assert_ptr_null(fs);
    ck_assert_int_eq(why.errnum, EINVAL);
    ck_assert_ptr_nonnull(strstr(why.text, "-o"));
    fake_destroy(engine);
}
END_TEST

START_TEST(the_mount_table_names_the_server)
{
    struct mounted m;
    char line[1024];
    bool found = false;
    mounted_start(&m);
    FILE *file = fopen("/proc/self/mounts", "re");
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, m.dir) != NULL) {
            found = true;
            /* a backslash is written as its octal number there */
            ck_assert_msg(strncmp(line, "imap://ann@host,with\\134odd,name ", 32) == 0, "%s", line);
            ck_assert_msg(strstr(line, " fuse.imapfs ro,") != NULL, "%s", line);
            ck_assert_msg(strstr(line, "default_permissions") != NULL, "%s", line);
            ck_assert_msg(strstr(line, "allow_other") == NULL, "%s", line);
        }
    }
    (void)fclose(file);
    ck_assert(found);
    mounted_stop(&m);
}
END_TEST

START_TEST(a_message_that_goes_away_is_told_to_the_kernel)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    struct inode_no ino = fake_add_message(m.engine, box, "x.eml", "text", 4);
    CLEANUP(free) char *path = mounted_path(&m, "INBOX/x.eml");
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    CLEANUP(fd_close) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ck_assert_int_ge(inotify_add_watch(fd, path, IN_DELETE_SELF), 0);
    fake_remove(m.engine, ino);
    struct pollfd news = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&news, 1, 60000), 1);
    ck_assert_int_eq(stat(path, &about), -1);
    ck_assert_int_eq(errno, ENOENT);
    (void)close(steal_fd(&fd));
    mounted_stop(&m);
}
END_TEST

START_TEST(more_news_than_is_kept_does_no_harm)
{
    struct mounted m;
    struct stat about;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    (void)fake_add_message(m.engine, box, "x.eml", "text", 4);
    CLEANUP(free) char *path = mounted_path(&m, "INBOX/x.eml");
    for (int i = 0; i < 20000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "m%d.eml", i);
        fake_tell_entry(m.engine, box, i % 4 == 0 ? "x.eml" : name);
        if (i % 1000 == 0) {
            ck_assert_int_eq(stat(path, &about), 0);
        }
    }
    ck_assert_int_eq(stat(path, &about), 0);
    mounted_stop(&m);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("mount");
    tcase_add_test(tests, a_mount_point_that_is_missing_or_no_directory_is_refused);
    tcase_add_test(tests, a_symbolic_link_is_no_mount_point);
    tcase_add_test(tests, a_mount_that_has_died_is_named_with_its_cure);
    tcase_add_test(tests, a_mount_without_a_run_is_taken_down_again);
    tcase_add_test(tests, an_option_that_libfuse_does_not_know_is_refused);
    tcase_add_test(tests, the_mount_table_names_the_server);
    tcase_add_test(tests, a_message_that_goes_away_is_told_to_the_kernel);
    tcase_add_test(tests, more_news_than_is_kept_does_no_harm);
    return mounted_run("mount", tests);
}
