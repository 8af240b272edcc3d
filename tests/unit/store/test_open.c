#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground.h"
#include "store/db.h"
#include "store/schema.h"
#include "unit.h"

static struct ground ground;

static void set_up(void)
{
    ground_make(&ground);
}

static void tear_down(void)
{
    ground_remove(&ground);
}

static int try_open(void)
{
    int rc = store_open(&ground.store, &ground.options, &ground.rebuilt, &ground.why);
    ck_assert(rc == 0 || ground.store == NULL);
    return rc;
}

static mode_t mode_of(const char *dir, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    struct stat st;
    ck_assert_msg(lstat(path, &st) == 0, "%s", path);
    return st.st_mode & 07777;
}

START_TEST(directories_are_made_for_us_alone)
{
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    (void)ground_inbox(&ground);
    ck_assert_uint_eq(mode_of(ground.root, "a"), 0700);
    ck_assert_uint_eq(mode_of(ground.state, "."), 0700);
    ck_assert_uint_eq(mode_of(ground.cache, "bodies"), 0700);
    static const char *const files[] = {"index.db", "index.db-wal", "index.db-shm", "lock"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        ck_assert_uint_eq(mode_of(ground.state, files[i]), 0600);
    }
}
END_TEST

START_TEST(a_second_store_is_refused_by_the_pid_of_the_first)
{
    ground_open(&ground);
    struct store *second = NULL;
    bool rebuilt = false;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "(pid %ld)", (long)getpid());
    int rc = store_open(&second, &ground.options, &rebuilt, &ground.why);
    ck_assert_int_eq(rc, -EBUSY);
    ck_assert_ptr_nonnull(strstr(ground.why.text, pid));
    /* Nor may two accounts share a cache. */
    char other[128];
    (void)snprintf(other, sizeof other, "%s/other", ground.root);
    struct store_options options = ground.options;
    options.state_dir = other;
    rc = store_open(&second, &options, &rebuilt, &ground.why);
    ck_assert_int_eq(rc, -EBUSY);
    ck_assert_ptr_nonnull(strstr(ground.why.text, pid));
    ground_close(&ground);
    ground_open(&ground);
}
END_TEST

START_TEST(directories_that_others_can_reach_are_refused)
{
    static const mode_t modes[] = {0750, 0705, 0710, 0701, 0777, 01777, 0770};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        ground_shell("mkdir -p -m 700 %s %s", ground.state, ground.cache);
        ck_assert_int_eq(chmod(ground.state, modes[i]), 0);
        ck_assert_int_eq(try_open(), -EACCES);
        ck_assert_ptr_nonnull(strstr(ground.why.text, ground.state));
        ck_assert_int_eq(chmod(ground.state, 0700), 0);
        ck_assert_int_eq(chmod(ground.cache, modes[i]), 0);
        ck_assert_int_eq(try_open(), -EACCES);
        ck_assert_ptr_nonnull(strstr(ground.why.text, ground.cache));
        ck_assert_int_eq(chmod(ground.cache, 0700), 0);
    }
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(ground.state, 12345, 0), 0);
        ck_assert_int_eq(try_open(), -EACCES);
        ck_assert_ptr_nonnull(strstr(ground.why.text, "12345"));
        ck_assert_int_eq(chown(ground.state, 0, 0), 0);
    }
    ground_open(&ground);
}
END_TEST

START_TEST(symbolic_links_and_files_are_no_directories_of_ours)
{
    ground_shell("mkdir -m 700 -p %s/real %s/a/b && ln -s %s/real %s", ground.root, ground.root,
        ground.root, ground.state);
    ck_assert_int_eq(try_open(), -EACCES);
    char slashed[128];
    (void)snprintf(slashed, sizeof slashed, "%s//", ground.state);
    ground.options.state_dir = slashed;
    ck_assert_int_eq(try_open(), -EACCES);
    ground.options.state_dir = ground.state;
    ground_shell("rm %s && echo >%s", ground.state, ground.state);
    ck_assert_int_lt(try_open(), 0);
    ground_shell("rm %s && mkdir -m 700 %s && ln -s %s/real/x %s/index.db", ground.state,
        ground.state, ground.root, ground.state);
    ck_assert_int_eq(try_open(), -EACCES);
    static const char *const no_names[] = {"/", "", ".", "/tmp/.."};
    for (size_t i = 0; i < sizeof no_names / sizeof no_names[0]; i++) {
        ground.options.state_dir = no_names[i];
        ck_assert_int_eq(try_open(), -EINVAL);
    }
    ground_shell("test -z \"$(ls %s/real)\"", ground.root);
}
END_TEST

/* A store with 3,000 messages; closed, or left as by a kill (then its log holds them). */
static void fill_and_end(bool clean)
{
    ground_open(&ground);
    struct mailbox_id inbox = ground_inbox(&ground);
    ground_fill(&ground, inbox, 1, 3000);
    if (!clean) {
        ground_shell("cp -rp %s %s/killed", ground.state, ground.root);
    }
    ground_close(&ground);
    if (!clean) {
        ground_shell("rm -r %s && mv %s/killed %s", ground.state, ground.root, ground.state);
    }
}

static void assert_messages(uint64_t expected)
{
    uint64_t messages = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, expected);
}

static size_t files_aside(void)
{
    char pattern[256];
    (void)snprintf(pattern, sizeof pattern, "%s -name index.db.corrupt-*[0-9]", ground.state);
    return ground_count_files(pattern);
}

START_TEST(what_was_committed_is_there_after_a_kill)
{
    fill_and_end(false);
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    assert_messages(3000);
}
END_TEST

/* What is done to the files of the state directory: by a shell there, then by SQL. */
struct damage {
    const char *command, *sql;
};
static const struct damage damages[] = {
    {"dd if=/dev/urandom of=index.db bs=4096 count=1 conv=notrunc status=none", NULL},
    {"dd if=/dev/zero of=index.db bs=100 count=1 conv=notrunc status=none", NULL},
    {"truncate -s 20000 index.db", NULL},
    {"truncate -s 17 index.db", NULL},
    {"head -c 5000 /dev/zero | tr '\\0' x >index.db", NULL},
    {"rm index.db && touch index.db", "CREATE TABLE message(x); INSERT INTO message VALUES(1)"},
    {":", "DROP TABLE total"},
    {":", "DROP INDEX message_by_name"},
};

/* Runs SQL on the index of a closed store. */
static void run_sql(const char *sql)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/index.db", ground.state);
    struct db *db = NULL;
    ck_assert_int_eq(db_open(&db, path, DB_WRITER, -1, &ground.why), 0);
    ck_assert_int_eq(db_exec(db, sql, &ground.why), 0);
    db_close(&db, false);
}

static void assert_begun_anew(const char *damage)
{
    ground_open(&ground);
    ck_assert_msg(ground.rebuilt, "%s", damage);
    ck_assert_msg(files_aside() == 1, "%s", damage);
    assert_messages(0);
    ground_fill(&ground, ground_inbox(&ground), 1, 10);
    ground_close(&ground);
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    assert_messages(10);
}

START_TEST(a_corrupted_index_is_moved_aside_and_a_new_one_begun)
{
    fill_and_end(true);
    const struct damage *damage = &damages[_i];
    ground_shell("cd %s && %s && rm -f clean", ground.state, damage->command);
    if (damage->sql != NULL) {
        run_sql(damage->sql);
    }
    assert_begun_anew(damage->sql == NULL ? damage->command : damage->sql);
}
END_TEST

START_TEST(a_page_that_rotted_is_found_after_an_unclean_end)
{
    fill_and_end(true);
    ground_shell("cd %s && rm clean && dd if=/dev/urandom of=index.db bs=4096 seek=30 count=20 "
                 "conv=notrunc status=none",
        ground.state);
    assert_begun_anew("rot");
}
END_TEST

static int ignore_row(void *arg, const struct message_row *row)
{
    (void)arg;
    (void)row;
    return 0;
}

START_TEST(a_page_that_rotted_and_is_met_in_use_is_dealt_with_at_the_next_start)
{
    fill_and_end(true);
    ground_shell("cd %s && dd if=/dev/urandom of=index.db bs=4096 seek=20 count=1000 "
                 "conv=notrunc status=none && truncate -s %s index.db",
        ground.state, "$(( $(stat -c %s index.db) / 4096 * 4096 ))");
    int rc = try_open();
    if (rc == 0) {
        rc = store_message_page(ground.store, (struct mailbox_id){1}, (struct message_id){0}, 5000,
            ignore_row, NULL, &ground.why);
        ck_assert_int_eq(rc, -EIO);
        ck_assert_int_eq(ground.why.class, ERR_LOCAL);
        ground_close(&ground);
    }
    assert_begun_anew("rot in use");
}
END_TEST

START_TEST(a_log_without_its_database_is_not_replayed)
{
    fill_and_end(false);
    ground_shell("rm %s/index.db && test -s %s/index.db-wal", ground.state, ground.state);
    ground_open(&ground);
    ck_assert(ground.rebuilt);
    assert_messages(0);
}
END_TEST

START_TEST(an_index_of_a_newer_program_is_left_alone)
{
    fill_and_end(true);
    run_sql("PRAGMA user_version=99");
    ck_assert_int_eq(try_open(), -EPROTONOSUPPORT);
    ck_assert_uint_eq(files_aside(), 0);
    run_sql("PRAGMA user_version=1");
    ground_open(&ground);
    assert_messages(3000);
}
END_TEST

START_TEST(steps_run_once_each_in_order_and_a_failing_one_is_undone)
{
    static const struct schema_step steps[] = {{1, "CREATE TABLE t(a); INSERT INTO t VALUES(1);"},
        {2, "ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a + 1;"},
        {3, "UPDATE t SET b = b * 10; INSERT INTO nowhere VALUES(1);"}};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/old.db", ground.root);
    ground_shell("touch %s", path);
    struct db *db = NULL;
    ck_assert_int_eq(db_open(&db, path, DB_WRITER, -1, &ground.why), 0);
    ck_assert_int_eq(schema_migrate(db, steps, 1, &ground.why), 0);
    int64_t number = 0;
    ck_assert_int_eq(db_number(db, "PRAGMA user_version", &number, &ground.why), 0);
    ck_assert_int_eq(number, 1);
    ck_assert_int_eq(schema_migrate(db, steps, 2, &ground.why), 0);
    ck_assert_int_eq(schema_migrate(db, steps, 2, &ground.why), 0);
    ck_assert_int_lt(schema_migrate(db, steps, 3, &ground.why), 0);
    ck_assert_int_eq(db_number(db, "PRAGMA user_version", &number, &ground.why), 0);
    ck_assert_int_eq(number, 2);
    ck_assert_int_eq(db_number(db, "SELECT b FROM t", &number, &ground.why), 0);
    ck_assert_int_eq(number, 2);
    ck_assert_int_eq(schema_migrate(db, steps, 1, &ground.why), -EPROTONOSUPPORT);
    db_close(&db, false);
}
END_TEST

/* ---- full disks ---- */

/* A small disk of this test's own, at the root of the ground; false where that is not allowed. */
static bool mount_small_disk(const char *size)
{
    char options[64];
    (void)snprintf(options, sizeof options, "size=%s,mode=700", size);
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("small", ground.root, "tmpfs", 0, options) == 0;
}

START_TEST(a_full_disk_at_the_start_says_so)
{
    if (!mount_small_disk("256k")) {
        return;
    }
    ground_shell("head -c 1000000 /dev/zero >%s/ballast 2>/dev/null || true", ground.root);
    int rc = try_open();
    ck_assert_int_eq(rc, -ENOSPC);
    ck_assert_int_eq(ground.why.class, ERR_LOCAL);
    ground_shell("truncate -s 150000 %s/ballast", ground.root);
    rc = try_open();
    ck_assert_msg(rc == 0 || rc == -ENOSPC, "%d %s", rc, ground.why.text);
    store_destroy(&ground.store);
    ground_shell("rm %s/ballast", ground.root);
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    ground_close(&ground);
    ck_assert_int_eq(umount2(ground.root, MNT_DETACH), 0);
}
END_TEST

/* What fits is kept, what does not is refused whole; with room again it goes on. */
static void fill_until_full(int expected, int or_expected)
{
    struct mailbox_id inbox = ground_inbox(&ground);
    static char subject[3000];
    memset(subject, 's', sizeof subject - 1);
    uint32_t uid = 0;
    int rc = 0;
    while (rc == 0 && uid < 100000) {
        struct message_new rows[20];
        char names[20][32];
        for (uint32_t i = 0; i < 20; i++) {
            (void)snprintf(names[i], sizeof names[i], "m%u.eml", uid + i + 1);
            rows[i] = ground_row(uid + i + 1, names[i]);
            rows[i].subject = subject;
        }
        rc = store_messages_add(ground.store, inbox, 7, rows, 20, NULL, &ground.why);
        uid += rc == 0 ? 20 : 0;
    }
    ck_assert_msg(rc == expected || rc == or_expected, "%d %s", rc, ground.why.text);
    ck_assert_int_eq(ground.why.class, ERR_LOCAL);
    ck_assert_uint_gt(uid, 0);
    assert_messages(uid);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, uid, &copied));
    ck_assert(!ground_by_uid(&ground, inbox, uid + 1, &copied));
}

START_TEST(a_disk_that_becomes_full_loses_nothing)
{
    if (!mount_small_disk("4m")) {
        return;
    }
    ground_shell("head -c 500000 /dev/zero >%s/ballast", ground.root);
    ground_open(&ground);
    fill_until_full(-ENOSPC, -ENOSPC);
    CLEANUP(free) char *text = calloc(600001, 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', 600000);
    struct body_writer *writer = NULL;
    int rc = store_body_begin(ground.store, (struct mailbox_id){1}, 7, &writer, &ground.why);
    if (rc == 0) {
        rc = body_writer_add(writer, text, 600000, &ground.why);
        ck_assert_int_lt(body_writer_add(writer, text, 1, &ground.why), 0);
        body_writer_drop(&writer);
    }
    ck_assert_int_eq(rc, -ENOSPC);
    uint64_t before = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_totals(ground.store, &before, &bytes, &ground.why), 0);
    ground_shell("rm %s/ballast", ground.root);
    ground_fill(&ground, (struct mailbox_id){1}, 200001, 1);
    assert_messages(before + 1);
    ck_assert_int_eq(mount("small", ground.root, "tmpfs", MS_REMOUNT, "size=32m"), 0);
    ground_close(&ground);
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    assert_messages(before + 1);
    ground_close(&ground);
    ck_assert_int_eq(umount2(ground.root, MNT_DETACH), 0);
}
END_TEST

START_TEST(a_limit_on_file_sizes_loses_nothing)
{
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ground_open(&ground);
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {1000000, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill_until_full(-EFBIG, -EIO); /* SQLite forgets the one for the other */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    uint64_t messages = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ground_fill(&ground, (struct mailbox_id){1}, 200001, 1);
    ground_close(&ground);
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    assert_messages(messages + 1);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("open");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, directories_are_made_for_us_alone);
    tcase_add_test(tests, a_second_store_is_refused_by_the_pid_of_the_first);
    tcase_add_test(tests, directories_that_others_can_reach_are_refused);
    tcase_add_test(tests, symbolic_links_and_files_are_no_directories_of_ours);
    tcase_add_test(tests, what_was_committed_is_there_after_a_kill);
    tcase_add_loop_test(tests, a_corrupted_index_is_moved_aside_and_a_new_one_begun, 0,
        (int)(sizeof damages / sizeof damages[0]));
    tcase_add_test(tests, a_page_that_rotted_is_found_after_an_unclean_end);
    tcase_add_test(tests, a_page_that_rotted_and_is_met_in_use_is_dealt_with_at_the_next_start);
    tcase_add_test(tests, a_log_without_its_database_is_not_replayed);
    tcase_add_test(tests, an_index_of_a_newer_program_is_left_alone);
    tcase_add_test(tests, steps_run_once_each_in_order_and_a_failing_one_is_undone);
    tcase_add_test(tests, a_full_disk_at_the_start_says_so);
    tcase_add_test(tests, a_disk_that_becomes_full_loses_nothing);
    tcase_add_test(tests, a_limit_on_file_sizes_loses_nothing);
    return unit_run("open", tests);
}
