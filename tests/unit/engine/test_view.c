#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/inside.h"
#include "mount.h"
#include "unit.h"

enum { MESSAGES = 40 };

static void begin(struct mount *mount, unsigned count)
{
    mount_init(mount);
    fake_mailbox(mount->pool, "INBOX", '/', 0);
    fake_mailbox(mount->pool, "INBOX/a", '/', 0);
    fake_mailbox(mount->pool, "INBOX/b", '/', 0);
    (void)fake_messages(mount->pool, "INBOX", count);
    mount_start(mount);
    ck_assert_int_eq(mount_freshen(mount, "INBOX"), 0);
}

/* ---- paging -------------------------------------------------------------------------------------
 */

struct page {
    unsigned left; /* entries that fit */
    uint64_t next;
    GHashTable *seen; /* of names */
    GPtrArray *order; /* the same, as they came */
    unsigned repeated;
};

static int take(void *arg, const char *name, const struct node *node, uint64_t next)
{
    struct page *page = arg;
    (void)node;
    if (page->left == 0) {
        return 1;
    }
    page->left--;
    page->next = next;
    page->repeated += g_hash_table_contains(page->seen, name) ? 1 : 0;
    g_ptr_array_add(page->order, g_strdup(name));
    g_hash_table_add(page->seen, g_strdup(name));
    return 0;
}

static void page_init(struct page *page)
{
    *page = (struct page){.next = 0};
    page->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    page->order = g_ptr_array_new_with_free_func(g_free);
}

static void page_finish(struct page *page)
{
    g_hash_table_destroy(page->seen);
    g_ptr_array_free(page->order, TRUE);
}

static bool page_on(struct mount *mount, struct page *page, unsigned entries)
{
    bool end = false;
    page->left = entries;
    ck_assert_int_eq(
        view_list(mount->engine, mount_at(mount, "INBOX"), page->next, take, page, &end), 0);
    return end;
}

/* _i: how many entries fit a page */
START_TEST(pages_join_without_gap_or_overlap)
{
    struct mount mount;
    struct page page;
    begin(&mount, MESSAGES);
    page_init(&page);
    while (!page_on(&mount, &page, (unsigned)_i)) {
    }
    ck_assert_uint_eq(g_hash_table_size(page.seen), MESSAGES + 2);
    ck_assert_uint_eq(page.repeated, 0);
    ck_assert_str_eq(page.order->pdata[0], "a");
    ck_assert_str_eq(page.order->pdata[1], "b");
    page_finish(&page);
    mount_finish(&mount);
}
END_TEST

START_TEST(what_was_there_throughout_is_listed_once_while_others_come_and_go)
{
    struct mount mount;
    struct page page;
    begin(&mount, MESSAGES);
    page_init(&page);
    char *before = mount_known(&mount, "INBOX");
    (void)page_on(&mount, &page, 12);      /* both mailboxes and UIDs 1 to 10 */
    fake_expunge(mount.pool, "INBOX", 10); /* where the reader stands */
    fake_expunge(mount.pool, "INBOX", 11); /* the next one */
    fake_expunge(mount.pool, "INBOX", 2);
    (void)fake_messages(mount.pool, "INBOX", 5);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    while (!page_on(&mount, &page, 7)) {
    }
    ck_assert_uint_eq(page.repeated, 0);
    char *rest = before;
    for (char *name = strsep(&rest, " "); name != NULL; name = strsep(&rest, " ")) {
        bool is_11th = strstr(name, ".m11.") != NULL;
        ck_assert_msg(g_hash_table_contains(page.seen, name) != is_11th, "%s", name);
    }
    ck_assert_uint_eq(g_hash_table_size(page.seen), MESSAGES + 2 - 1 + 5);
    free(before);
    page_finish(&page);
    mount_finish(&mount);
}
END_TEST

START_TEST(an_offset_is_valid_after_the_next_start)
{
    struct mount mount;
    struct page page;
    begin(&mount, MESSAGES);
    page_init(&page);
    (void)page_on(&mount, &page, 20);
    mount_stop(&mount);
    mount_start(&mount);
    while (!page_on(&mount, &page, 1000)) {
    }
    ck_assert_uint_eq(g_hash_table_size(page.seen), MESSAGES + 2);
    ck_assert_uint_eq(page.repeated, 0);
    page_finish(&page);
    mount_finish(&mount);
}
END_TEST

/* ---- a first listing that is read while it comes
 * ---------------------------------------------------- */

START_TEST(a_reader_follows_a_first_listing_to_its_end)
{
    enum { COUNT = 3500 };
    struct mount mount;
    struct page page;
    struct awaited awaited;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", COUNT);
    mount_start(&mount);
    fake_hold_rows_after(mount.pool, 1500); /* the first thousand is shown by then */
    struct inode_no dir = mount_at(&mount, "INBOX");
    awaited_init(&awaited);
    int rc = engine_freshen(mount.engine, dir, FRESH_BEGUN, &awaited.wait);
    ck_assert_int_eq(rc == PARKED ? awaited_result(&awaited) : rc, 0);
    fake_await_held(mount.pool, 1);
    page_init(&page);
    bool released = false;
    for (;;) {
        uint64_t seen = engine_generation(mount.engine, dir);
        bool end = page_on(&mount, &page, 600);
        if (!end) {
            continue;
        }
        awaited_init(&awaited);
        rc = engine_more(mount.engine, dir, seen, &awaited.wait);
        if (rc == PARKED && !released) {
            ck_assert_uint_eq(g_hash_table_size(page.seen), 1000);
            released = true;
            fake_release(mount.pool);
        }
        if (rc == PARKED) {
            ck_assert_int_eq(awaited_result(&awaited), 0);
            continue;
        }
        if (rc == 0) {
            break;
        }
        ck_assert_int_eq(rc, -EAGAIN);
    }
    ck_assert(released);
    ck_assert_uint_eq(g_hash_table_size(page.seen), COUNT);
    ck_assert_uint_eq(page.repeated, 0);
    page_finish(&page);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_listing_that_breaks_off_is_not_taken_for_whole)
{
    struct mount mount;
    struct awaited awaited;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", 1500);
    mount_start(&mount);
    fake_break_after_rows(mount.pool, 1200);
    struct inode_no dir = mount_at(&mount, "INBOX");
    awaited_init(&awaited);
    int rc = engine_freshen(mount.engine, dir, FRESH_BEGUN, &awaited.wait);
    ck_assert_int_eq(rc == PARKED ? awaited_result(&awaited) : rc, 0);
    do {
        uint64_t seen = engine_generation(mount.engine, dir);
        awaited_init(&awaited);
        rc = engine_more(mount.engine, dir, seen, &awaited.wait);
        rc = rc == PARKED ? awaited_result(&awaited) : rc;
    } while (rc == 0 || rc == -EAGAIN);
    ck_assert_int_eq(rc, -EHOSTDOWN);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 1200);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_known_listing_gives_way_to_a_silent_server)
{
    struct mount mount;
    begin(&mount, 3);
    mount_stop(&mount);
    mount.options.timeout_ms = 50;
    mount_start(&mount);
    fake_hold(mount.pool, HOLD_STATUS);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 5);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_first_listing_of_a_silent_server_times_out)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    mount.options.timeout_ms = 50;
    mount_start(&mount);
    fake_hold(mount.pool, HOLD_STATUS);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), -ETIMEDOUT);
    mount_finish(&mount);
}
END_TEST

START_TEST(many_readers_of_a_directory_ask_once)
{
    enum { READERS = 30 };
    struct mount mount;
    struct awaited waits[READERS];
    begin(&mount, 3);
    unsigned before = fake_counts(mount.pool).statuses + fake_counts(mount.pool).examines;
    fake_hold(mount.pool, HOLD_STATUS);
    struct inode_no dir = mount_at(&mount, "INBOX");
    for (int i = 0; i < READERS; i++) {
        awaited_init(&waits[i]);
        ck_assert_int_eq(engine_freshen(mount.engine, dir, FRESH_WHOLE, &waits[i].wait), PARKED);
        engine_check(mount.engine);
    }
    ck_assert(engine_cancel(mount.engine, &waits[7].wait));
    fake_release(mount.pool);
    for (int i = 0; i < READERS; i++) {
        if (i != 7) {
            ck_assert_int_eq(awaited_result(&waits[i]), 0);
        }
    }
    ck_assert_uint_eq(awaited_times(&waits[7]), 0);
    ck_assert_uint_eq(
        fake_counts(mount.pool).statuses + fake_counts(mount.pool).examines, before + 1);
    mount_finish(&mount);
}
END_TEST

/* ---- names, attributes
 * ---------------------------------------------------------------------------------- */

START_TEST(a_message_has_its_name_and_its_uid_and_is_one_inode)
{
    struct mount mount;
    struct page page;
    begin(&mount, 3);
    page_init(&page);
    ck_assert(page_on(&mount, &page, 100));
    const char *name = page.order->pdata[2]; /* of the lowest UID: it came first */
    char path[300];
    (void)snprintf(path, sizeof path, "INBOX/%s", name);
    ck_assert_uint_eq(mount_at(&mount, path).value, mount_at(&mount, "INBOX/.uid/1.eml").value);
    ck_assert_uint_ne(mount_at(&mount, path).value, 0);
    ck_assert_uint_eq(mount_at(&mount, "INBOX/.uid/01.eml").value, 0);
    ck_assert_uint_eq(mount_at(&mount, "INBOX/.uid/9.eml").value, 0);
    ck_assert_uint_eq(mount_at(&mount, "INBOX/nothing.eml").value, 0);
    page_finish(&page);
    mount_finish(&mount);
}
END_TEST

START_TEST(names_of_the_mount_are_found_and_not_listed)
{
    struct mount mount;
    struct node node;
    begin(&mount, 1);
    assert_text(mount_known(&mount, ""), "INBOX");
    ck_assert_int_eq(view_lookup(mount.engine, INODE_ROOT, ".imapfs", &node), 0);
    ck_assert(node.is_dir);
    assert_text(mount_known(&mount, ".imapfs"), "status status.json errors");
    ck_assert_uint_eq(
        mount_at(&mount, ".imapfs/status").value, inode_make(INODE_SPECIAL, SPECIAL_STATUS).value);
    ck_assert_uint_eq(mount_at(&mount, "INBOX/.imapfs").value, 0);
    ck_assert_uint_eq(mount_at(&mount, ".uid").value, 0);
    struct inode_no uid_dir = mount_at(&mount, "INBOX/.uid");
    ck_assert_uint_ne(uid_dir.value, 0);
    assert_text(mount_known(&mount, "INBOX/.uid"), "");
    struct inode_no parent;
    ck_assert_int_eq(view_parent(mount.engine, uid_dir, &parent), 0);
    ck_assert_uint_eq(parent.value, mount_at(&mount, "INBOX").value);
    ck_assert_int_eq(view_get(mount.engine, uid_dir, &node), 0);
    ck_assert(node.is_dir);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_message_is_no_directory)
{
    struct mount mount;
    struct node node;
    bool end;
    begin(&mount, 1);
    struct inode_no ino = mount_at(&mount, "INBOX/.uid/1.eml");
    ck_assert_int_eq(view_lookup(mount.engine, ino, "x", &node), -ENOTDIR);
    ck_assert_int_eq(view_list(mount.engine, ino, 0, take, NULL, &end), -ENOTDIR);
    ck_assert_int_eq(view_get(mount.engine, inode_make(INODE_MESSAGE, 999), &node), -ENOENT);
    ck_assert_int_eq(view_get(mount.engine, inode_make(INODE_MAILBOX, 999), &node), -ENOENT);
    mount_finish(&mount);
}
END_TEST

START_TEST(attributes_tell_what_is_known)
{
    static const struct {
        const char *path, *name, *value;
    } cases[] = {
        {"INBOX/.uid/2.eml", "user.imap.flags", "\\Flagged \\Seen"},
        {"INBOX/.uid/1.eml", "user.imap.flags", ""},
        {"INBOX/.uid/2.eml", "user.imap.uid", "2"},
        {"INBOX/.uid/2.eml", "user.imap.uidvalidity", "1001"},
        {"INBOX/.uid/2.eml", "user.imap.message_id", "<m2.2@INBOX>"},
        {"INBOX/.uid/2.eml", "user.imap.subject", "m2"},
        {"INBOX/.uid/2.eml", "user.imap.from", "A <a@example.org>"},
        {"INBOX/.uid/2.eml", "user.imap.date", "Thu, 22 Aug 2002 18:26:02 +0000"},
        {"INBOX/.uid/2.eml", "user.imap.mailbox", "INBOX"},
        {"INBOX/.uid/2.eml", "user.imap.cached", "0"},
        {"INBOX/.uid/2.eml", "user.imap.other", "!61"},
        {"INBOX/.uid/2.eml", "user.other", "!61"},
        {"INBOX/.uid/2.eml", "security.selinux", "!61"},
        {"INBOX", "user.imap.special_use", "!61"},
        {"INBOX", "user.imap.messages", "3"},
        {"INBOX/a", "user.imap.mailbox", "INBOX/a"},
        {"", "user.imap.messages", "!61"},
    };
    struct mount mount;
    begin(&mount, 3);
    fake_flags(mount.pool, "INBOX", 2, "\\Flagged \\Seen");
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_text(mount_xattr(&mount, cases[i].path, cases[i].name), cases[i].value);
    }
    struct buf names = BUF_INIT;
    ck_assert_int_eq(
        view_xattr_names(mount.engine, mount_at(&mount, "INBOX/.uid/2.eml"), &names), 0);
    ck_assert_uint_eq(names.len, sizeof "user.imap.flags");
    ck_assert_str_eq(names.data, "user.imap.flags");
    buf_reset(&names);
    ck_assert_int_eq(view_xattr_names(mount.engine, mount_at(&mount, "INBOX"), &names), 0);
    ck_assert_uint_eq(names.len, 0);
    buf_finish(&names);
    mount_finish(&mount);
}
END_TEST

START_TEST(the_time_of_a_directory_moves_with_its_content_alone)
{
    struct mount mount;
    struct node first;
    struct node later;
    begin(&mount, 3);
    struct inode_no dir = mount_at(&mount, "INBOX");
    ck_assert_int_eq(view_get(mount.engine, dir, &first), 0);
    ck_assert_int_gt(first.mtime_s, 0);
    ck_assert_uint_eq(first.nlink, 4);
    mount_stop(&mount);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_int_eq(view_get(mount.engine, dir, &later), 0);
    ck_assert_int_eq(later.mtime_s, first.mtime_s);
    mount_finish(&mount);
}
END_TEST

START_TEST(space_is_the_quota_or_plenty)
{
    struct mount mount;
    struct view_space space;
    begin(&mount, 3);
    ck_assert_int_eq(view_space(mount.engine, &space), 0);
    ck_assert(!space.quota);
    ck_assert_uint_eq(space.messages, 3);
    ck_assert_uint_gt(space.total_bytes, space.used_bytes);
    mount_stop(&mount);
    fake_quota(mount.pool, 1000, 5000);
    mount_start(&mount);
    do { /* it is asked in the background */
        ck_assert_int_eq(view_space(mount.engine, &space), 0);
    } while (!space.quota);
    ck_assert_uint_eq(space.used_bytes, 1000);
    ck_assert_uint_eq(space.total_bytes, 5000);
    unsigned asked = fake_counts(mount.pool).quotas;
    ck_assert_int_eq(view_space(mount.engine, &space), 0);
    ck_assert_uint_eq(fake_counts(mount.pool).quotas, asked);
    mount_finish(&mount);
}
END_TEST

/* ---- notes
 * -----------------------------------------------------------------------------------------------
 */

START_TEST(notes_keep_the_newest_and_count_repetitions)
{
    struct mount mount;
    begin(&mount, 0);
    for (int i = 0; i < (int)NOTES_MAX + 5; i++) {
        engine_note(mount.engine, "number %d", i);
    }
    engine_note(mount.engine, "number %d", NOTES_MAX);
    engine_note(mount.engine, "odd \x1b[2J text");
    char *errors = mount_errors(&mount);
    ck_assert_int_eq(strncmp(errors, "number 6\n", 9), 0);
    ck_assert_ptr_nonnull(strstr(errors, "number 100 (2 times)\n"));
    ck_assert_ptr_nonnull(strstr(errors, "odd ?[2J text\n"));
    free(errors);
    struct engine_status status;
    engine_get_status(mount.engine, &status);
    ck_assert_uint_eq(status.errors, NOTES_MAX + 7);
    mount_finish(&mount);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("view");
    tcase_add_loop_test(tests, pages_join_without_gap_or_overlap, 1, 6);
    tcase_add_test(tests, what_was_there_throughout_is_listed_once_while_others_come_and_go);
    tcase_add_test(tests, an_offset_is_valid_after_the_next_start);
    tcase_add_test(tests, a_reader_follows_a_first_listing_to_its_end);
    tcase_add_test(tests, a_listing_that_breaks_off_is_not_taken_for_whole);
    tcase_add_test(tests, a_known_listing_gives_way_to_a_silent_server);
    tcase_add_test(tests, a_first_listing_of_a_silent_server_times_out);
    tcase_add_test(tests, many_readers_of_a_directory_ask_once);
    tcase_add_test(tests, a_message_has_its_name_and_its_uid_and_is_one_inode);
    tcase_add_test(tests, names_of_the_mount_are_found_and_not_listed);
    tcase_add_test(tests, a_message_is_no_directory);
    tcase_add_test(tests, attributes_tell_what_is_known);
    tcase_add_test(tests, the_time_of_a_directory_moves_with_its_content_alone);
    tcase_add_test(tests, space_is_the_quota_or_plenty);
    tcase_add_test(tests, notes_keep_the_newest_and_count_repetitions);
    return unit_run("view", tests);
}
