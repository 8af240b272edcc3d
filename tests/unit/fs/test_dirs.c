/* Directories as a program sees them: listings, positions, lookups. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "mounted.h"

enum { MANY = 10000 };

static const char BODY[] = "Subject: one\r\n\r\nbody\r\n";

static struct inode_no add_numbered(struct mounted *m, struct inode_no box, int number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "m%05d.eml", number);
    return fake_add_message(m->engine, box, name, BODY, (int64_t)strlen(BODY));
}

static DIR *open_dir(const struct mounted *m, const char *name)
{
    CLEANUP(free) char *path = mounted_path(m, name);
    DIR *dir = opendir(path);
    ck_assert_msg(dir != NULL, "%s", strerrorname_np(errno));
    return dir;
}

/* Reads on to the end; how often each of the numbered messages came. Returns the entries read. */
static int count_entries(DIR *dir, unsigned char *times, int most)
{
    int count = 0;
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        int number = -1;
        if (sscanf(entry->d_name, "m%d.eml", &number) == 1 && number < most) {
            times[number]++;
        }
        count++;
    }
    return count;
}

START_TEST(a_long_listing_has_each_entry_once)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    for (int i = 0; i < MANY; i++) {
        (void)add_numbered(&m, box, i);
    }
    DIR *dir = open_dir(&m, "INBOX");
    CLEANUP(free) unsigned char *times = alloc_zeroed(MANY, 1);
    ck_assert_int_eq(count_entries(dir, times, MANY), MANY + 2);
    ck_assert_int_eq(errno, 0);
    for (int i = 0; i < MANY; i++) {
        ck_assert_uint_eq(times[i], 1);
    }
    (void)closedir(dir);
    mounted_stop(&m);
}
END_TEST

START_TEST(a_position_stays_right_while_entries_come_and_go)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    CLEANUP(free) struct inode_no *inos = alloc_zeroed(MANY, sizeof *inos);
    for (int i = 0; i < MANY; i++) {
        inos[i] = add_numbered(&m, box, i);
    }
    DIR *dir = open_dir(&m, "INBOX");
    for (int i = 0; i < 5000 + 2; i++) {
        ck_assert_ptr_nonnull(readdir(dir));
    }
    long position = telldir(dir);
    for (int i = 0; i < 5000; i += 2) { /* what was passed already */
        fake_remove(m.engine, inos[i]);
    }
    for (int i = 0; i < 1000; i++) {
        (void)add_numbered(&m, box, MANY + i);
    }
    for (int round = 0; round < 2; round++) {
        CLEANUP(free) unsigned char *times = alloc_zeroed(MANY + 1000, 1);
        ck_assert_int_eq(count_entries(dir, times, MANY + 1000), MANY - 5000 + 1000);
        for (int i = 0; i < MANY + 1000; i++) {
            ck_assert_uint_eq(times[i], i < 5000 ? 0 : 1);
        }
        seekdir(dir, position);
    }
    rewinddir(dir);
    CLEANUP(free) unsigned char *times = alloc_zeroed(MANY + 1000, 1);
    ck_assert_int_eq(count_entries(dir, times, MANY + 1000), MANY - 2500 + 1000 + 2);
    (void)closedir(dir);
    mounted_stop(&m);
}
END_TEST

struct lister {
    const struct mounted *m;
    unsigned char times[200];
    int count;
    int errnum;
};

static void *list_all(void *arg)
{
    struct lister *lister = arg;
    DIR *dir = open_dir(lister->m, "INBOX");
    lister->count = count_entries(dir, lister->times, 200);
    lister->errnum = errno;
    (void)closedir(dir);
    return NULL;
}

START_TEST(a_listing_that_has_only_begun_goes_on_as_entries_come)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    fake_hold(m.engine, FAKE_MORE, box);
    struct lister lister = {.m = &m};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, list_all, &lister), 0);
    for (int i = 0; i < 200; i++) {
        ck_assert(fake_await_parked(m.engine, FAKE_MORE, box, 1));
        (void)add_numbered(&m, box, i);
        fake_wake(m.engine, FAKE_MORE, box, 0);
    }
    ck_assert(fake_await_parked(m.engine, FAKE_MORE, box, 1));
    fake_release(m.engine, FAKE_MORE, box, 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(lister.errnum, 0);
    ck_assert_int_eq(lister.count, 200 + 2);
    for (int i = 0; i < 200; i++) {
        ck_assert_uint_eq(lister.times[i], 1);
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(a_listing_that_breaks_off_says_so_after_its_entries)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    (void)add_numbered(&m, box, 0);
    fake_fail(m.engine, FAKE_MORE, box, -EHOSTDOWN);
    struct lister lister = {.m = &m};
    (void)list_all(&lister);
    ck_assert_int_eq(lister.count, 3);
    ck_assert_int_eq(lister.errnum, EHOSTDOWN);
    fake_fail(m.engine, FAKE_MORE, box, 0);

    fake_hold(m.engine, FAKE_MORE, box);
    pthread_t thread;
    lister = (struct lister){.m = &m};
    ck_assert_int_eq(pthread_create(&thread, NULL, list_all, &lister), 0);
    ck_assert(fake_await_parked(m.engine, FAKE_MORE, box, 1));
    fake_release(m.engine, FAKE_MORE, box, -ETIMEDOUT);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(lister.count, 3);
    ck_assert_int_eq(lister.errnum, ETIMEDOUT);
    mounted_stop(&m);
}
END_TEST

START_TEST(a_directory_that_cannot_be_had_is_not_opened)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    CLEANUP(free) char *path = mounted_path(&m, "INBOX");
    fake_fail(m.engine, FAKE_FRESHEN, box, -EHOSTDOWN);
    ck_assert_ptr_null(opendir(path));
    ck_assert_int_eq(errno, EHOSTDOWN);
    mounted_stop(&m);
}
END_TEST

/* All names but the dots, sorted by coming, joined by blanks. */
static void list_names(const struct mounted *m, const char *name, char *ret, size_t size)
{
    DIR *dir = open_dir(m, name);
    const struct dirent *entry;
    ret[0] = '\0';
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            size_t len = strlen(ret);
            (void)snprintf(ret + len, size - len, "%s ", entry->d_name);
        }
    }
    (void)closedir(dir);
}

START_TEST(what_the_mount_itself_serves_is_found_but_not_listed)
{
    struct mounted m;
    char names[256];
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    struct inode_no message = add_numbered(&m, box, 7);
    list_names(&m, ".", names, sizeof names);
    ck_assert_str_eq(names, "INBOX ");
    list_names(&m, ".imapfs", names, sizeof names);
    ck_assert_str_eq(names, "status status.json errors ");
    list_names(&m, "INBOX", names, sizeof names);
    ck_assert_str_eq(names, "m00007.eml ");
    list_names(&m, "INBOX/.uid", names, sizeof names);
    ck_assert_str_eq(names, "");
    struct stat by_name;
    struct stat by_uid;
    CLEANUP(free) char *name_path = mounted_path(&m, "INBOX/m00007.eml");
    CLEANUP(free) char *uid_path = mounted_path(&m, "INBOX/.uid/2.eml");
    ck_assert_int_eq(stat(name_path, &by_name), 0);
    ck_assert_int_eq(stat(uid_path, &by_uid), 0);
    ck_assert_uint_eq(by_name.st_ino, message.value);
    ck_assert_uint_eq(by_uid.st_ino, message.value);
    mounted_stop(&m);
}
END_TEST

START_TEST(the_dots_of_a_directory_name_it_and_its_parent)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    struct inode_no child = fake_add_mailbox(m.engine, box, "child");
    DIR *dir = open_dir(&m, "INBOX/child");
    const struct dirent *entry = readdir(dir);
    ck_assert_str_eq(entry->d_name, ".");
    ck_assert_uint_eq(entry->d_ino, child.value);
    entry = readdir(dir);
    ck_assert_str_eq(entry->d_name, "..");
    ck_assert_uint_eq(entry->d_ino, box.value);
    ck_assert_ptr_null(readdir(dir));
    (void)closedir(dir);
    mounted_stop(&m);
}
END_TEST

static int stat_errno(const struct mounted *m, const char *name)
{
    struct stat about;
    CLEANUP(free) char *path = mounted_path(m, name);
    return stat(path, &about) == 0 ? 0 : errno;
}

START_TEST(a_known_name_is_found_without_asking_the_server)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    (void)add_numbered(&m, box, 1);
    ck_assert_int_eq(stat_errno(&m, "INBOX/m00001.eml"), 0);
    ck_assert_uint_eq(fake_calls(m.engine, FAKE_FRESHEN), 0);
    mounted_stop(&m);
}
END_TEST

START_TEST(an_unknown_name_is_asked_for_and_never_remembered_as_missing)
{
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    ck_assert_int_eq(stat_errno(&m, "INBOX/m00001.eml"), ENOENT);
    ck_assert_uint_eq(fake_calls(m.engine, FAKE_FRESHEN), 1);
    (void)add_numbered(&m, box, 1);
    ck_assert_int_eq(stat_errno(&m, "INBOX/m00001.eml"), 0);
    fake_fail(m.engine, FAKE_FRESHEN, box, -EHOSTDOWN);
    ck_assert_int_eq(stat_errno(&m, "INBOX/m00002.eml"), EHOSTDOWN);
    ck_assert_int_eq(stat_errno(&m, "INBOX/.uid/999.eml"), EHOSTDOWN);
    mounted_stop(&m);
}
END_TEST

START_TEST(names_that_can_never_come_are_refused_without_asking)
{
    static const struct {
        const char *name;
        int errnum;
    } cases[] = {
        {".git", ENOENT},
        {".hidden", ENOENT},
        {".Trash-1000", ENOENT},
        {".uid", ENOENT},
        {"INBOX/.git", ENOENT},
        {"INBOX/.uid/name.eml", ENOENT},
        {"INBOX/.uid/0.eml", ENOENT},
        {"INBOX/.uid/12", ENOENT},
        {"INBOX/.uid/12345678901.eml", ENOENT},
        {".imapfs/nothing", ENOENT},
        {"INBOX/m00001.eml/x", ENOTDIR},
    };
    struct mounted m;
    mounted_start(&m);
    struct inode_no box = fake_add_mailbox(m.engine, INODE_ROOT, "INBOX");
    (void)add_numbered(&m, box, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(stat_errno(&m, cases[i].name) == cases[i].errnum, "%s", cases[i].name);
    }
    char name[300] = "INBOX/";
    memset(name + 6, 'a', 256);
    ck_assert_int_eq(stat_errno(&m, name), ENAMETOOLONG);
    ck_assert_uint_eq(fake_calls(m.engine, FAKE_FRESHEN), 0);
    name[6 + 255] = '\0';
    ck_assert_int_eq(stat_errno(&m, name), ENOENT);
    ck_assert_uint_eq(fake_calls(m.engine, FAKE_FRESHEN), 1);
    mounted_stop(&m);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("directories");
    tcase_add_test(tests, a_long_listing_has_each_entry_once);
    tcase_add_test(tests, a_position_stays_right_while_entries_come_and_go);
    tcase_add_test(tests, a_listing_that_has_only_begun_goes_on_as_entries_come);
    tcase_add_test(tests, a_listing_that_breaks_off_says_so_after_its_entries);
    tcase_add_test(tests, a_directory_that_cannot_be_had_is_not_opened);
    tcase_add_test(tests, what_the_mount_itself_serves_is_found_but_not_listed);
    tcase_add_test(tests, the_dots_of_a_directory_name_it_and_its_parent);
    tcase_add_test(tests, a_known_name_is_found_without_asking_the_server);
    tcase_add_test(tests, an_unknown_name_is_asked_for_and_never_remembered_as_missing);
    tcase_add_test(tests, names_that_can_never_come_are_refused_without_asking);
    return mounted_run("directories", tests);
}
