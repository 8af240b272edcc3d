/* Files as a program sees them: bytes, sizes, attributes, and that nothing can be changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "mounted.h"

enum { LONG_LEN = 300 * 1000 + 7, ONE_BLOCK = 4096 };

/* A body whose every place is recognised; the caller frees it. */
static char *long_body(size_t len)
{
    char *text = alloc_zeroed(len + 1, 1);
    struct unit_random random = {len};
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)('a' + unit_random_below(&random, 26));
    }
    return text;
}

static int open_file(const struct mounted *m, const char *name)
{
    CLEANUP(free) char *path = mounted_path(m, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The whole file by read(2); the caller frees it. */
static char *read_file(const struct mounted *m, const char *name, size_t *ret_len)
{
    CLEANUP(fd_close) int fd = open_file(m, name);
    ck_assert_msg(fd >= 0, "%s: %s", name, strerrorname_np(errno));
    size_t capacity = 2 * LONG_LEN;
    char *bytes = alloc_zeroed(capacity, 1);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, bytes + len, capacity - len)) > 0) {
        len += (size_t)n;
    }
    ck_assert_int_eq(n, 0);
    *ret_len = len;
    return bytes;
}

static struct stat stat_of(const struct mounted *m, const char *name)
{
    struct stat about;
    CLEANUP(free) char *path = mounted_path(m, name);
    ck_assert_int_eq(stat(path, &about), 0);
    return about;
}

START_TEST(a_message_is_read_byte_for_byte)
{
    static const size_t lens[] = {0, 1, 4095, 4096, 4097, 131072, LONG_LEN};
    struct mounted m;
    mounted_start(&m);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        char name[32];
        size_t len = 0;
        (void)snprintf(name, sizeof name, "%zu.eml", lens[i]);
        CLEANUP(free) char *text = long_body(lens[i]);
        (void)fake_add_message(m.engine, INODE_ROOT, name, text, (int64_t)lens[i]);
        for (int round = 0; round < 2; round++) { /* the second from the kernel's cache */
            CLEANUP(free) char *bytes = read_file(&m, name, &len);
            ck_assert_uint_eq(len, lens[i]);
            ck_assert_int_eq(memcmp(bytes, text, len), 0);
        }
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(any_part_of_a_message_can_be_read)
{
    struct mounted m;
    mounted_start(&m);
    CLEANUP(free) char *text = long_body(LONG_LEN);
    (void)fake_add_message(m.engine, INODE_ROOT, "long.eml", text, LONG_LEN);
    CLEANUP(fd_close) int fd = open_file(&m, "long.eml");
    struct unit_random random = {1};
    for (int i = 0; i < 500; i++) {
        char part[5000];
        size_t off = unit_random_below(&random, LONG_LEN + 1000);
        size_t size = unit_random_below(&random, sizeof part);
        size_t expected = off >= LONG_LEN ? 0 : (LONG_LEN - off < size ? LONG_LEN - off : size);
        ck_assert_int_eq(pread(fd, part, size, (off_t)off), (ssize_t)expected);
        ck_assert_int_eq(memcmp(part, text + (expected == 0 ? 0 : off), expected), 0);
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(attributes_are_those_of_a_private_read_only_tree)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    struct inode_no message = fake_add_message(m.engine, box, "x.eml", "text", 4);
    (void)fake_add_message(m.engine, box, "big.eml", "text", 1025);
    struct stat about = stat_of(&m, "INBOX");
    ck_assert_uint_eq(about.st_mode, S_IFDIR | 0500);
    ck_assert_uint_eq(about.st_ino, box.value);
    ck_assert_uint_eq(about.st_nlink, 2);
    about = stat_of(&m, "INBOX/x.eml");
    ck_assert_uint_eq(about.st_mode, S_IFREG | 0400);
    ck_assert_uint_eq(about.st_ino, message.value);
    ck_assert_uint_eq(about.st_nlink, 1);
    ck_assert_uint_eq(about.st_uid, getuid());
    ck_assert_uint_eq(about.st_gid, getgid());
    ck_assert_int_eq(about.st_size, 4);
    ck_assert_int_eq(about.st_blocks, 1);
    ck_assert_int_eq(about.st_mtime, 1030000000);
    ck_assert_int_eq(about.st_atime, 1030000000);
    ck_assert_int_eq(about.st_ctime, 1030000000);
    ck_assert_int_eq(stat_of(&m, "INBOX/big.eml").st_blocks, 3);
    ck_assert_uint_eq(stat_of(&m, ".").st_ino, 1);
    ck_assert_uint_eq(stat_of(&m, ".imapfs").st_mode, S_IFDIR | 0500);
    ck_assert_uint_eq(stat_of(&m, "INBOX/.uid").st_mode, S_IFDIR | 0500);
    ck_assert_uint_eq(fake_calls(m.engine, FAKE_BODY), 0);
    mounted_stop(&m);
}
END_TEST

/* What was believed of a size before the body came, against 5000 bytes. */
static const int64_t BELIEVED[] = {0, 10, 4096, 4999, 5001, 100000};
enum { TRUE_LEN = 5000, BELIEVED_COUNT = sizeof BELIEVED / sizeof BELIEVED[0] };

struct reader {
    const struct mounted *m;
    bool by_mapping;
    char *bytes;
    size_t len;
};

static void *read_wrongly_sized(void *arg)
{
    struct reader *reader = arg;
    if (!reader->by_mapping) {
        reader->bytes = read_file(reader->m, "x.eml", &reader->len);
        return NULL;
    }
    struct stat about;
    CLEANUP(fd_close) int fd = open_file(reader->m, "x.eml");
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &about), 0);
    reader->len = (size_t)about.st_size;
    const void *map = mmap(NULL, reader->len, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert(map != MAP_FAILED);
    reader->bytes = alloc_zeroed(reader->len, 1);
    memcpy(reader->bytes, map, reader->len);
    ck_assert_int_eq(munmap((void *)(uintptr_t)map, reader->len), 0);
    return NULL;
}

static void check_wrong_size(int64_t believed, bool by_mapping)
{
    struct mounted m;
    mounted_start(&m);
    CLEANUP(free) char *text = long_body(TRUE_LEN);
    struct inode_no ino = fake_add_message(m.engine, INODE_ROOT, "x.eml", text, believed);
    ck_assert_int_eq(stat_of(&m, "x.eml").st_size, believed); /* the kernel knows it now */
    fake_hold(m.engine, FAKE_BODY, ino);
    struct reader reader = {.m = &m, .by_mapping = by_mapping};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, read_wrongly_sized, &reader), 0);
    ck_assert(fake_await_parked(m.engine, FAKE_BODY, ino, 1));
    ck_assert_int_eq(stat_of(&m, "x.eml").st_size, believed);
    fake_correct_size(m.engine, ino);
    fake_release(m.engine, FAKE_BODY, ino, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(reader.len, TRUE_LEN);
    ck_assert_int_eq(memcmp(reader.bytes, text, TRUE_LEN), 0);
    ck_assert_int_eq(stat_of(&m, "x.eml").st_size, TRUE_LEN);
    free(reader.bytes);
    mounted_stop(&m);
}

START_TEST(a_wrong_size_is_corrected_before_the_first_read)
{
    check_wrong_size(BELIEVED[_i], false);
}
END_TEST

START_TEST(a_wrong_size_is_corrected_before_the_first_mapping)
{
    check_wrong_size(BELIEVED[_i], true);
}
END_TEST

START_TEST(an_open_message_stays_readable_when_it_is_gone)
{
    struct mounted m;
    char bytes[8] = "";
    mounted_start(&m);
    struct inode_no ino = fake_add_message(m.engine, INODE_ROOT, "x.eml", "text", 4);
    CLEANUP(fd_close) int fd = open_file(&m, "x.eml");
    fake_remove(m.engine, ino);
    ck_assert_int_eq(pread(fd, bytes, sizeof bytes, 0), 4);
    ck_assert_str_eq(bytes, "text");
    (void)close(steal_fd(&fd));
    mounted_stop(&m);
}
END_TEST

START_TEST(a_body_that_cannot_be_had_says_why)
{
    static const int errors[] = {EHOSTDOWN, ETIMEDOUT, EIO, EFBIG, ENOSPC};
    struct mounted m;
    mounted_start(&m);
    struct inode_no ino = fake_add_message(m.engine, INODE_ROOT, "x.eml", "text", 4);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fake_fail(m.engine, FAKE_BODY, ino, -errors[i]);
        ck_assert_int_eq(open_file(&m, "x.eml"), -1);
        ck_assert_int_eq(errno, errors[i]);
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(status_files_show_no_size_and_are_made_at_each_open)
{
    static const struct {
        const char *name;
        const char *text;
    } files[] = {
        {".imapfs/status", "text of special file 2\n"},
        {".imapfs/status.json", "text of special file 3\n"},
        {".imapfs/errors", "text of special file 4\n"},
    };
    struct mounted m;
    mounted_start(&m);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t len = 0;
        struct stat about = stat_of(&m, files[i].name);
        ck_assert_uint_eq(about.st_mode, S_IFREG | 0400);
        ck_assert_int_eq(about.st_size, 0);
        CLEANUP(free) char *bytes = read_file(&m, files[i].name, &len);
        ck_assert_str_eq(bytes, files[i].text);
        CLEANUP(fd_close) int fd = open_file(&m, files[i].name);
        char part[8] = "";
        ck_assert_int_eq(pread(fd, part, 4, 8), 4);
        ck_assert_str_eq(part, "spec");
        ck_assert_int_eq(pread(fd, part, 4, 1000), 0);
    }
    mounted_stop(&m);
}
END_TEST

/* Every call that would change something; each returns -1 and sets errno. */
static int change(const char *dir, const char *file, int which)
{
    char fresh[256];
    (void)snprintf(fresh, sizeof fresh, "%s/fresh", dir);
    switch (which) {
    case 0:
        return open(file, O_WRONLY | O_CLOEXEC);
    case 1:
        return open(file, O_RDWR | O_CLOEXEC);
    case 2:
        return open(file, O_RDONLY | O_TRUNC | O_CLOEXEC);
    case 3:
        return open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    case 4:
        return mkdir(fresh, 0700);
    case 5:
        return unlink(file);
    case 6:
        return rmdir(dir);
    case 7:
        return symlink("x", fresh);
    case 8:
        return rename(file, fresh);
    case 9:
        return link(file, fresh);
    case 10:
        return mknod(fresh, S_IFREG | 0600, 0);
    case 11:
        return chmod(file, 0600);
    case 12:
        return chown(file, 1, 1);
    case 13:
        return truncate(file, 0);
    case 14:
        return utimensat(AT_FDCWD, file, NULL, 0);
    case 15:
        return setxattr(file, "user.imap.flags", "x", 1, 0);
    case 16:
        return removexattr(file, "user.imap.flags");
    default:
        return 0;
    }
}
enum { CHANGES = 17 };

START_TEST(nothing_can_be_changed)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    (void)fake_add_message(m.engine, box, "x.eml", "text", 4);
    CLEANUP(free) char *dir = mounted_path(&m, "INBOX");
    CLEANUP(free) char *file = mounted_path(&m, "INBOX/x.eml");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CHANGES; i++) {
            errno = 0;
            ck_assert_int_eq(change(dir, file, i), -1);
            ck_assert_msg(errno == EROFS, "change %d: %s", i, strerrorname_np(errno));
        }
        /* the kernel's own refusal does not hide that ours is missing */
        if (geteuid() != 0 ||
            mount(NULL, m.dir, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL) != 0) {
            break;
        }
    }
    size_t len = 0;
    CLEANUP(free) char *bytes = read_file(&m, "INBOX/x.eml", &len);
    ck_assert_str_eq(bytes, "text");
    mounted_stop(&m);
}
END_TEST

START_TEST(the_mount_is_read_only_and_runs_nothing)
{
    struct mounted m;
    struct statvfs space;
    mounted_start(&m);
    ck_assert_int_eq(statvfs(m.dir, &space), 0);
    unsigned long expected = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME;
    ck_assert_uint_eq(space.f_flag & expected, expected);
    ck_assert_uint_eq(space.f_namemax, 255);
    mounted_stop(&m);
}
END_TEST

START_TEST(free_space_is_the_quota_or_plenty)
{
    struct mounted m;
    struct statvfs space;
    mounted_start(&m);
    ck_assert_int_eq(statvfs(m.dir, &space), 0);
    ck_assert_uint_gt(space.f_bavail, UINT64_C(1) << 20);
    ck_assert_uint_gt(space.f_favail, 1000000);
    fake_set_space(m.engine, (struct view_space){.total_bytes = 1000 * ONE_BLOCK,
                                 .used_bytes = 250 * ONE_BLOCK,
                                 .messages = 17,
                                 .quota = true});
    ck_assert_int_eq(statvfs(m.dir, &space), 0);
    ck_assert_uint_eq(space.f_frsize * space.f_blocks, 1000 * ONE_BLOCK);
    ck_assert_uint_eq(space.f_bavail, 750);
    ck_assert_uint_eq(space.f_files - space.f_ffree, 17);
    fake_set_space(
        m.engine, (struct view_space){
                      .total_bytes = 10 * ONE_BLOCK, .used_bytes = 11 * ONE_BLOCK, .quota = true});
    ck_assert_int_eq(statvfs(m.dir, &space), 0);
    ck_assert_uint_eq(space.f_bavail, 0);
    mounted_stop(&m);
}
END_TEST

struct xattr_case {
    const char *file;
    const char *name;
    const char *value; /* NULL: errnum */
    int errnum;
};

static const struct xattr_case XATTRS[] = {
    {"x.eml", "user.imap.flags", "\\Seen \\Flagged", 0},
    {"x.eml", "user.imap.subject", "", 0},
    {"x.eml", "user.imap.nothing", NULL, ENODATA},
    {"x.eml", "user.other", NULL, ENODATA},
    {"x.eml", "user.imap.control", NULL, ENODATA},
    {".", "user.imap.control", "/run/control.socket", 0},
    {".", "user.imap.flags", NULL, ENODATA},
    {"x.eml", "security.capability", NULL, ENOTSUP},
    {"x.eml", "trusted.overlay", NULL, ENOTSUP},
};

START_TEST(extended_attributes_are_sized_and_read)
{
    struct mounted m;
    mounted_start(&m);
    (void)fake_add_message(m.engine, INODE_ROOT, "x.eml", "text", 4);
    const struct xattr_case *one = &XATTRS[_i];
    CLEANUP(free) char *path = mounted_path(&m, one->file);
    char value[64] = "";
    if (one->value == NULL) {
        ck_assert_int_eq(getxattr(path, one->name, value, sizeof value), -1);
        ck_assert_int_eq(errno, one->errnum);
        ck_assert_int_eq(getxattr(path, one->name, NULL, 0), -1);
        ck_assert_int_eq(errno, one->errnum);
    } else {
        size_t len = strlen(one->value);
        ck_assert_int_eq(getxattr(path, one->name, NULL, 0), (ssize_t)len);
        ck_assert_int_eq(getxattr(path, one->name, value, sizeof value), (ssize_t)len);
        ck_assert_str_eq(value, one->value);
        if (len > 1) {
            ck_assert_int_eq(getxattr(path, one->name, value, len), (ssize_t)len);
            ck_assert_int_eq(getxattr(path, one->name, value, len - 1), -1);
            ck_assert_int_eq(errno, ERANGE);
        }
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(only_flags_are_listed)
{
    struct mounted m;
    char names[64];
    mounted_start(&m);
    (void)fake_add_message(m.engine, INODE_ROOT, "x.eml", "text", 4);
    CLEANUP(free) char *path = mounted_path(&m, "x.eml");
    ssize_t len = (ssize_t)sizeof "user.imap.flags";
    ck_assert_int_eq(listxattr(path, NULL, 0), len);
    ck_assert_int_eq(listxattr(path, names, sizeof names), len);
    ck_assert_str_eq(names, "user.imap.flags");
    ck_assert_int_eq(listxattr(path, names, (size_t)len - 1), -1);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(listxattr(m.dir, names, sizeof names), 0);
    mounted_stop(&m);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("files");
    tcase_add_test(tests, a_message_is_read_byte_for_byte);
    tcase_add_test(tests, any_part_of_a_message_can_be_read);
    tcase_add_test(tests, attributes_are_those_of_a_private_read_only_tree);
    tcase_add_loop_test(tests, a_wrong_size_is_corrected_before_the_first_read, 0, BELIEVED_COUNT);
    tcase_add_loop_test(
        tests, a_wrong_size_is_corrected_before_the_first_mapping, 0, BELIEVED_COUNT);
    tcase_add_test(tests, an_open_message_stays_readable_when_it_is_gone);
    tcase_add_test(tests, a_body_that_cannot_be_had_says_why);
    tcase_add_test(tests, status_files_show_no_size_and_are_made_at_each_open);
    tcase_add_test(tests, nothing_can_be_changed);
    tcase_add_test(tests, the_mount_is_read_only_and_runs_nothing);
    tcase_add_test(tests, free_space_is_the_quota_or_plenty);
    tcase_add_loop_test(
        tests, extended_attributes_are_sized_and_read, 0, (int)(sizeof XATTRS / sizeof XATTRS[0]));
    tcase_add_test(tests, only_flags_are_listed);
    return mounted_run("files", tests);
}
