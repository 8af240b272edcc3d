#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ground.h"
#include "unit.h"

static struct ground ground;
static struct mailbox_id inbox;

static void set_up(void)
{
    ground_make(&ground);
    ground_open(&ground);
    inbox = ground_inbox(&ground);
}

static void tear_down(void)
{
    ground_remove(&ground);
}

static void add(uint32_t uid, int64_t size_bytes)
{
    char name[32];
    (void)snprintf(name, sizeof name, "m%u.eml", uid);
    struct message_new row = ground_row(uid, name);
    row.size_bytes = size_bytes;
    ground_add(&ground, inbox, &row, 1);
}

static struct message_id id_of(uint32_t uid)
{
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, uid, &copied));
    return copied.id;
}

static void assert_body(uint32_t uid, const char *expected)
{
    CLEANUP(free) char *text = ground_read(&ground, id_of(uid));
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, expected);
    ck_assert(store_body_has(ground.store, id_of(uid)));
}

static void assert_not_cached(uint32_t uid)
{
    ck_assert(!store_body_has(ground.store, id_of(uid)));
    ck_assert_ptr_null(ground_read(&ground, id_of(uid)));
}

static void assert_totals(uint64_t files, uint64_t bytes)
{
    struct body_totals totals;
    store_body_totals(ground.store, &totals);
    ck_assert_uint_eq(totals.files, files);
    ck_assert_uint_eq(totals.bytes, bytes);
}

static size_t incoming_files(void)
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s/incoming", ground.cache);
    return ground_count_files(dir);
}

START_TEST(a_committed_body_is_read_back_and_proves_its_size)
{
    add(5, 5);
    assert_not_cached(5);
    bool changed = true;
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", &changed), 0);
    ck_assert(!changed);
    assert_body(5, "hello");
    assert_totals(1, 5);
    ck_assert_uint_eq(incoming_files(), 0);
    ck_assert_int_eq(store_body_settle(ground.store, &ground.why), 0);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 5, &copied));
    ck_assert(copied.proven);
    ck_assert_int_eq(copied.size_bytes, 5);
}
END_TEST

START_TEST(the_true_size_replaces_a_lie_at_once)
{
    add(5, 100);
    bool changed = false;
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", &changed), 0);
    ck_assert(changed);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 5, &copied));
    ck_assert(copied.proven);
    ck_assert_int_eq(copied.size_bytes, 5);
    uint64_t messages = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(bytes, 5);
    assert_body(5, "hello");
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", &changed), 0);
    ck_assert(!changed);
    assert_totals(1, 5);
}
END_TEST

START_TEST(a_dropped_writer_leaves_nothing)
{
    add(5, 5);
    struct body_writer *writer = NULL;
    ck_assert_int_eq(store_body_begin(ground.store, inbox, 7, &writer, &ground.why), 0);
    ck_assert_int_eq(body_writer_add(writer, "hel", 3, &ground.why), 0);
    ck_assert_int_eq(body_writer_size(writer), 3);
    ck_assert_uint_eq(incoming_files(), 1);
    body_writer_drop(&writer);
    ck_assert_ptr_null(writer);
    ck_assert_uint_eq(incoming_files(), 0);
    assert_not_cached(5);
    body_writer_drop(&writer);
}
END_TEST

START_TEST(a_body_of_no_message_is_refused)
{
    add(5, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 6, "hello", NULL), -ENOENT);
    ck_assert_int_eq(ground.why.class, ERR_GONE);
    struct body_writer *writer = NULL;
    struct message_id id;
    bool changed = false;
    ck_assert_int_eq(store_body_begin(ground.store, inbox, 8, &writer, &ground.why), 0);
    int rc = body_writer_commit(&writer, (struct imap_uid){5}, &id, &changed, &ground.why);
    ck_assert_int_eq(rc, -ENOENT);
    ck_assert_int_eq(
        store_body_begin(ground.store, (struct mailbox_id){99}, 7, &writer, &ground.why), -ENOENT);
    ck_assert_uint_eq(incoming_files(), 0);
    int fd = -1;
    int64_t size_bytes = 0;
    rc = store_body_open(ground.store, (struct message_id){99}, &fd, &size_bytes, &ground.why);
    ck_assert_int_eq(rc, -ESTALE);
    ck_assert(!store_body_has(ground.store, (struct message_id){99}));
}
END_TEST

START_TEST(an_empty_body_is_believed_only_for_an_empty_message)
{
    add(5, 5);
    add(6, 0);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "", NULL), -EPROTO);
    ck_assert_int_eq(ground.why.class, ERR_HOSTILE);
    assert_not_cached(5);
    ck_assert_int_eq(ground_body(&ground, inbox, 6, "", NULL), 0);
    assert_body(6, "");
}
END_TEST

START_TEST(bodies_of_every_size_around_the_buffer_are_whole)
{
    static const size_t pieces[] = {1, 7, 4096, 65535, 65536, 65537, 200000};
    enum { LARGEST = 200000 };
    CLEANUP(free) char *text = malloc(LARGEST + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < LARGEST; i++) {
        text[i] = (char)('a' + i % 23);
    }
    text[LARGEST] = '\0';
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        uint32_t uid = (uint32_t)i + 1;
        add(uid, LARGEST);
        struct body_writer *writer = NULL;
        ck_assert_int_eq(store_body_begin(ground.store, inbox, 7, &writer, &ground.why), 0);
        for (size_t at = 0; at < LARGEST; at += pieces[i]) {
            size_t len = LARGEST - at < pieces[i] ? LARGEST - at : pieces[i];
            unit_require(body_writer_add(writer, text + at, len, &ground.why) == 0);
        }
        ck_assert_int_eq(body_writer_size(writer), LARGEST);
        struct message_id id;
        bool changed = false;
        ck_assert_int_eq(
            body_writer_commit(&writer, (struct imap_uid){uid}, &id, &changed, &ground.why), 0);
        ck_assert(!changed);
        ck_assert_int_eq(id.value, id_of(uid).value);
        assert_body(uid, text);
    }
}
END_TEST

START_TEST(a_file_that_contradicts_a_proven_size_is_dropped)
{
    add(5, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ck_assert_int_eq(store_body_settle(ground.store, &ground.why), 0);
    char path[256];
    ground_body_path(&ground, 5, path);
    ck_assert_int_eq(truncate(path, 4), 0);
    ck_assert(!store_body_has(ground.store, id_of(5)));
    ck_assert_ptr_null(ground_read(&ground, id_of(5)));
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* rm -r of the state directory, as a user may do; the server then lists a size that is wrong. */
START_TEST(a_lost_index_finds_its_bodies_again_and_learns_their_sizes)
{
    add(5, 5);
    add(6, 6);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "five!", NULL), 0);
    ck_assert_int_eq(ground_body(&ground, inbox, 6, "sixsix", NULL), 0);
    ground_close(&ground);
    ground_shell("rm -r %s", ground.state);
    ground_open(&ground);
    /* Other ids than before, and another mailbox under the first id. */
    struct tree_node nodes[] = {
        ground_node("Other", SIZE_MAX, "Other"), ground_node("INBOX", SIZE_MAX, "INBOX")};
    ck_assert_int_eq(store_tree_replace(ground.store, nodes, 2, NULL, &ground.why), 0);
    struct mailbox_id other = {1};
    inbox = (struct mailbox_id){2};
    ck_assert_int_eq(store_mailbox_set_uidvalidity(ground.store, other, 7, NULL, &ground.why), 0);
    ck_assert_int_eq(store_mailbox_set_uidvalidity(ground.store, inbox, 7, NULL, &ground.why), 0);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    struct message_new row = ground_row(5, "x.eml");
    ground_add(&ground, other, &row, 1);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, other, 5, &copied));
    ck_assert_ptr_null(ground_read(&ground, copied.id));
    add(6, 6);
    add(5, 99);
    assert_body(5, "five!");
    assert_body(6, "sixsix");
    ck_assert(ground_by_uid(&ground, inbox, 5, &copied));
    ck_assert_int_eq(copied.size_bytes, 5);
    ck_assert(copied.proven);
}
END_TEST

START_TEST(bodies_of_another_uidvalidity_are_never_served)
{
    add(5, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ck_assert_int_eq(store_mailbox_set_uidvalidity(ground.store, inbox, 8, NULL, &ground.why), 0);
    struct message_new row = ground_row(5, "m5.eml");
    row.size_bytes = 5;
    ck_assert_int_eq(store_messages_add(ground.store, inbox, 8, &row, 1, NULL, &ground.why), 0);
    assert_not_cached(5);
    ck_assert_int_eq(store_body_trim(ground.store, 1000, &ground.why), 0);
    assert_totals(0, 0);
    ck_assert_uint_eq(ground_count_files(ground.cache), 2); /* the note and the lock */
}
END_TEST

START_TEST(the_body_of_a_removed_message_goes_with_it)
{
    add(5, 5);
    add(6, 6);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ck_assert_int_eq(ground_body(&ground, inbox, 6, "worlds", NULL), 0);
    int fd = -1;
    int64_t size_bytes = 0;
    ck_assert_int_eq(store_body_open(ground.store, id_of(5), &fd, &size_bytes, &ground.why), 0);
    ground_gone(&ground, inbox, "5", NULL);
    assert_totals(1, 6);
    char path[256];
    ground_body_path(&ground, 5, path);
    ck_assert_str_eq(path, "");
    char text[8] = "";
    ck_assert_int_eq(read(fd, text, sizeof text), 5); /* who has it open reads on */
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* As if the body was last used and put there so many seconds ago. */
static void age(uint32_t uid, time_t used_s, time_t arrived_s)
{
    char path[256];
    ground_body_path(&ground, uid, path);
    ck_assert_str_ne(path, "");
    time_t now = time(NULL);
    const struct timespec times[2] = {{now - used_s, 0}, {now - arrived_s, 0}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(a_trim_keeps_the_limit_and_what_was_used_last)
{
    ground_close(&ground);
    ground.options.cache_limit_bytes = 4000;
    ground_open(&ground);
    CLEANUP(free) char *text = calloc(1001, 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', 1000);
    for (uint32_t uid = 1; uid <= 8; uid++) {
        add(uid, 1000);
        ck_assert_int_eq(ground_body(&ground, inbox, uid, text, NULL), 0);
        age(uid, (time_t)(uid % 2 == 0 ? 1000 + uid : 5000 + uid), 9000);
    }
    ck_assert(store_body_over_limit(ground.store));
    /* 3 is opened: so it is the one used last. */
    CLEANUP(free) char *read_text = ground_read(&ground, id_of(3));
    ck_assert_ptr_nonnull(read_text);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    ck_assert(!store_body_over_limit(ground.store));
    assert_totals(3, 3000);
    static const bool kept[9] = {false, false, true, true, true, false, false, false, false};
    for (uint32_t uid = 1; uid <= 8; uid++) {
        ck_assert_msg(store_body_has(ground.store, id_of(uid)) == kept[uid], "uid %u", uid);
    }
}
END_TEST

START_TEST(a_trim_leaves_alone_what_was_just_used)
{
    ground_close(&ground);
    ground.options.cache_limit_bytes = 0;
    ground_open(&ground);
    for (uint32_t uid = 1; uid <= 3; uid++) {
        add(uid, 5);
        ck_assert_int_eq(ground_body(&ground, inbox, uid, "hello", NULL), 0);
    }
    age(2, 500, 500);
    ck_assert_int_eq(store_body_trim(ground.store, 300, &ground.why), 0);
    ck_assert(store_body_has(ground.store, id_of(1)));
    ck_assert(!store_body_has(ground.store, id_of(2)));
    ck_assert(store_body_has(ground.store, id_of(3)));
    ck_assert(store_body_over_limit(ground.store));
    age(1, 1, 500);
    age(3, 1, 500);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    assert_totals(0, 0);
    ck_assert(!store_body_over_limit(ground.store));
}
END_TEST

START_TEST(a_trim_removes_orphans_once_the_listing_is_complete)
{
    add(1, 5);
    add(2, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 1, "hello", NULL), 0);
    ck_assert_int_eq(ground_body(&ground, inbox, 2, "world", NULL), 0);
    char path[256];
    char orphan[280];
    ground_body_path(&ground, 1, path);
    (void)snprintf(orphan, sizeof orphan, "%.*s/77.eml", (int)(strrchr(path, '/') - path), path);
    ck_assert_int_eq(link(path, orphan), 0);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    ck_assert_int_eq(access(orphan, F_OK), 0);
    ground_finish(&ground, inbox);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    ck_assert_int_ne(access(orphan, F_OK), 0);
    assert_body(1, "hello");
    assert_body(2, "world");
    assert_totals(2, 10);
    /* A mailbox that the server no longer lists takes its bodies along. */
    struct tree_node node = ground_node("Other", SIZE_MAX, "Other");
    ck_assert_int_eq(store_tree_replace(ground.store, &node, 1, NULL, &ground.why), 0);
    ck_assert_int_eq(store_body_trim(ground.store, 1000, &ground.why), 0);
    assert_totals(0, 0);
    ground_shell("rmdir %s/bodies", ground.cache);
}
END_TEST

START_TEST(strange_things_in_the_cache_are_not_followed)
{
    ground_shell(
        "cd %s/bodies && mkdir -p 0123456789abcdef0123456789abcdef/7/0 x/7/0 && echo secret >%s/s "
        "&& ln -s %s/s 0123456789abcdef0123456789abcdef/7/0/5.eml && ln -s /etc "
        "ffffffffffffffffffffffffffffffff && echo y >0123456789abcdef0123456789abcdef/7/0/05.eml",
        ground.cache, ground.root, ground.root);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    assert_totals(0, 0);
    ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
    /* Nor is a link in the place of a body. */
    add(6, 7);
    ck_assert_int_eq(ground_body(&ground, inbox, 6, "hello!!", NULL), 0);
    char path[256];
    ground_body_path(&ground, 6, path);
    ground_shell("rm %s && ln -s %s/s %s", path, ground.root, path);
    int fd = -1;
    int64_t size_bytes = 0;
    ck_assert_int_lt(store_body_open(ground.store, id_of(6), &fd, &size_bytes, &ground.why), 0);
    ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(the_count_outlives_a_clean_end)
{
    add(5, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ck_assert(store_body_over_limit(ground.store)); /* nobody has counted yet */
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    ck_assert(!store_body_over_limit(ground.store));
    ground_close(&ground);
    ground_open(&ground);
    assert_totals(1, 5);
    ck_assert(!store_body_over_limit(ground.store));
}
END_TEST

/* Makes the note say that the machine was started anew since, and that the end was not clean. */
static void pretend_power_cut(void)
{
    ground_shell(
        "sed -i 's/^[^ ]* \\([^ ]*\\) [a-z]*/another-boot \\1 open/' %s/settled", ground.cache);
}

START_TEST(after_a_power_cut_only_settled_bodies_are_served)
{
    add(5, 5);
    add(6, 6);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ck_assert_int_eq(store_body_settle(ground.store, &ground.why), 0);
    ck_assert_int_eq(ground_body(&ground, inbox, 6, "worlds", NULL), 0);
    char kept[128];
    (void)snprintf(kept, sizeof kept, "%s/kept", ground.root);
    ground_shell("cp -p %s/settled %s", ground.cache, kept);
    ground_close(&ground);
    ground_shell("cp -p %s %s/settled", kept, ground.cache);
    pretend_power_cut();
    ground_open(&ground);
    assert_body(5, "hello");
    assert_not_cached(6);
}
END_TEST

START_TEST(a_cache_without_its_note_is_not_trusted)
{
    add(5, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ground_close(&ground);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/settled", ground.cache);
    ck_assert_int_eq(unlink(path), 0);
    ground_open(&ground);
    assert_not_cached(5);
}
END_TEST

START_TEST(a_clean_end_keeps_everything_over_a_reboot)
{
    add(5, 5);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ground_close(&ground);
    ground_shell("sed -i 's/^[^ ]* /another-boot /' %s/settled", ground.cache);
    ground_open(&ground);
    assert_body(5, "hello");
}
END_TEST

START_TEST(a_cache_that_is_deleted_is_begun_anew)
{
    add(5, 5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    ground_close(&ground);
    ground_shell("rm -r %s", ground.cache);
    ground_open(&ground);
    assert_not_cached(5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    assert_body(5, "hello");
    /* Also under a store that is open: only what was below bodies. */
    ground_shell("rm -r %s/bodies/*", ground.cache);
    assert_not_cached(5);
    ck_assert_int_eq(ground_body(&ground, inbox, 5, "hello", NULL), 0);
    assert_body(5, "hello");
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("bodies");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_committed_body_is_read_back_and_proves_its_size);
    tcase_add_test(tests, the_true_size_replaces_a_lie_at_once);
    tcase_add_test(tests, a_dropped_writer_leaves_nothing);
    tcase_add_test(tests, a_body_of_no_message_is_refused);
    tcase_add_test(tests, an_empty_body_is_believed_only_for_an_empty_message);
    tcase_add_test(tests, bodies_of_every_size_around_the_buffer_are_whole);
    tcase_add_test(tests, a_file_that_contradicts_a_proven_size_is_dropped);
    tcase_add_test(tests, a_lost_index_finds_its_bodies_again_and_learns_their_sizes);
    tcase_add_test(tests, bodies_of_another_uidvalidity_are_never_served);
    tcase_add_test(tests, the_body_of_a_removed_message_goes_with_it);
    tcase_add_test(tests, a_trim_keeps_the_limit_and_what_was_used_last);
    tcase_add_test(tests, a_trim_leaves_alone_what_was_just_used);
    tcase_add_test(tests, a_trim_removes_orphans_once_the_listing_is_complete);
    tcase_add_test(tests, strange_things_in_the_cache_are_not_followed);
    tcase_add_test(tests, the_count_outlives_a_clean_end);
    tcase_add_test(tests, after_a_power_cut_only_settled_bodies_are_served);
    tcase_add_test(tests, a_cache_without_its_note_is_not_trusted);
    tcase_add_test(tests, a_clean_end_keeps_everything_over_a_reboot);
    tcase_add_test(tests, a_cache_that_is_deleted_is_begun_anew);
    return unit_run("bodies", tests);
}
