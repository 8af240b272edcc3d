#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "engine/inside.h"
#include "mount.h"
#include "unit.h"

static void begin(struct mount *mount)
{
    mount_init(mount);
    fake_mailbox(mount->pool, "INBOX", '/', 0);
}

static void check_flags(struct mount *mount, uint32_t uid, const char *expected)
{
    char path[64];
    (void)snprintf(path, sizeof path, "INBOX/.uid/%u.eml", uid);
    assert_text(mount_xattr(mount, path, "user.imap.flags"), expected);
}

START_TEST(a_mailbox_shows_its_messages)
{
    struct mount mount;
    begin(&mount);
    (void)fake_message(mount.pool, "INBOX", "Hello World");
    (void)fake_message(mount.pool, "INBOX", "Bye");
    mount_start(&mount);
    char *names = mount_ls(&mount, "INBOX");
    ck_assert_ptr_nonnull(strstr(names, "2002-08-22.Hello-World."));
    ck_assert_ptr_nonnull(strstr(names, "2002-08-22.Bye."));
    free(names);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 2);
    struct node node;
    ck_assert_int_eq(view_get(mount.engine, mount_at(&mount, "INBOX/.uid/1.eml"), &node), 0);
    char *body = fake_body(mount.pool, "INBOX", 1);
    ck_assert_int_eq(node.size_bytes, (int64_t)strlen(body));
    free(body);
    ck_assert_int_eq(node.mtime_s, 1030040787);
    ck_assert(!node.is_dir);
    mount_finish(&mount);
}
END_TEST

START_TEST(an_unchanged_mailbox_costs_one_question)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    struct fake_counts first = fake_counts(mount.pool);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    struct fake_counts second = fake_counts(mount.pool);
    ck_assert_uint_eq(second.statuses + second.examines, first.statuses + first.examines + 1);
    ck_assert_uint_eq(second.searches, first.searches);
    ck_assert_uint_eq(second.row_commands, first.row_commands);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_young_listing_costs_nothing)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount.options.max_age_ms = 3600000;
    mount_start(&mount);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    }
    ck_assert_uint_eq(fake_counts(mount.pool).statuses, 1);
    ck_assert_uint_eq(fake_counts(mount.pool).lists, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(only_new_messages_are_fetched)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    mount_stop(&mount);
    (void)fake_messages(mount.pool, "INBOX", 2);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 5);
    assert_text(fake_row_log(mount.pool), "1,2,3,4,5");
    mount_finish(&mount);
}
END_TEST

START_TEST(what_is_expunged_goes)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 4);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    struct inode_no second = mount_at(&mount, "INBOX/.uid/2.eml");
    fake_expunge(mount.pool, "INBOX", 2);
    fake_expunge(mount.pool, "INBOX", 4);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 2);
    struct node node;
    ck_assert_int_eq(view_get(mount.engine, second, &node), -ENOENT);
    ck_assert_uint_ne(mount_at(&mount, "INBOX/.uid/1.eml").value, 0);
    ck_assert_uint_ne(mount_at(&mount, "INBOX/.uid/3.eml").value, 0);
    mount_finish(&mount);
}
END_TEST

START_TEST(as_many_gone_as_new_is_seen)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    fake_expunge(mount.pool, "INBOX", 1);
    (void)fake_message(mount.pool, "INBOX", "new");
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_at(&mount, "INBOX/.uid/1.eml").value, 0);
    ck_assert_uint_ne(mount_at(&mount, "INBOX/.uid/4.eml").value, 0);
    mount_finish(&mount);
}
END_TEST

/* _i: whether the server has CONDSTORE */
START_TEST(changed_flags_are_seen_with_and_without_condstore)
{
    struct mount mount;
    begin(&mount);
    fake_condstore(mount.pool, _i != 0);
    (void)fake_messages(mount.pool, "INBOX", 3);
    fake_flags(mount.pool, "INBOX", 2, "\\Seen");
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    check_flags(&mount, 1, "");
    check_flags(&mount, 2, "\\Seen");
    fake_flags(mount.pool, "INBOX", 1, "\\Flagged \\Seen");
    /* without CONDSTORE the comparison waits until ten times its own duration has passed */
    int64_t deadline_ms = deadline_in(60000);
    while (deadline_left_ms(deadline_ms) > 0) {
        ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
        char *flags = mount_xattr(&mount, "INBOX/.uid/1.eml", "user.imap.flags");
        bool seen = strcmp(flags, "\\Flagged \\Seen") == 0;
        free(flags);
        if (seen) {
            break;
        }
    }
    check_flags(&mount, 1, "\\Flagged \\Seen");
    check_flags(&mount, 2, "\\Seen");
    check_flags(&mount, 3, "");
    if (_i != 0) { /* only the changed one was given */
        ck_assert_uint_eq(fake_counts(mount.pool).rows, 4);
    }
    mount_finish(&mount);
}
END_TEST

START_TEST(other_numbering_means_other_messages)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    struct inode_no first = mount_at(&mount, "INBOX/.uid/1.eml");
    fake_expunge(mount.pool, "INBOX", 1);
    fake_renumber(mount.pool, "INBOX", 77);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 2);
    struct inode_no now = mount_at(&mount, "INBOX/.uid/1.eml");
    ck_assert_uint_ne(now.value, first.value);
    assert_text(mount_xattr(&mount, "INBOX/.uid/1.eml", "user.imap.subject"), "m2");
    assert_text(mount_xattr(&mount, "INBOX/.uid/1.eml", "user.imap.uidvalidity"), "77");
    int rc = 0;
    ck_assert_ptr_null(mount_read(&mount, first, &rc));
    ck_assert_int_eq(rc, ESTALE);
    char *errors = mount_errors(&mount);
    ck_assert_ptr_nonnull(strstr(errors, "began to number its messages anew"));
    free(errors);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_first_listing_is_newest_first)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 1500);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    char *log = fake_row_log(mount.pool);
    unsigned first = (unsigned)atoi(log);
    ck_assert_uint_eq(first, 501); /* the newest 1,000 come before the other 500 */
    ck_assert_ptr_nonnull(strstr(log, ",1500,1,2,"));
    free(log);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 1500);
    mount_finish(&mount);
}
END_TEST

/* Breaks off after every 200 rows: what came is kept and never asked for again. */
START_TEST(a_listing_that_breaks_off_goes_on_where_it_was)
{
    enum { COUNT = 2500, STEP = 200 };
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", COUNT);
    mount_start(&mount);
    unsigned breaks = 0;
    unsigned before = 0;
    for (;;) {
        fake_break_after_rows(mount.pool, before + STEP < COUNT ? STEP : -1);
        int rc = mount_freshen(&mount, "INBOX");
        unsigned count = mount_count(&mount, "INBOX");
        if (rc == 0) {
            break;
        }
        ck_assert_int_eq(rc, -EHOSTDOWN);
        ck_assert_uint_eq(count, before + STEP);
        before = count;
        breaks++;
    }
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), COUNT);
    ck_assert_uint_eq(breaks, COUNT / STEP);
    char *log = fake_row_log(mount.pool);
    unsigned commas = 0;
    for (const char *at = log; *at != '\0'; at++) {
        commas += *at == ',';
    }
    free(log);
    ck_assert_uint_eq(commas + 1, COUNT); /* each once */
    mount_finish(&mount);
}
END_TEST

START_TEST(a_message_without_size_is_asked_for_again_and_then_left_out)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 3);
    fake_row_without_size(mount.pool, "INBOX", 2);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 2);
    assert_text(fake_row_log(mount.pool), "1,2,3,2");
    assert_text(mount_errors(&mount),
        "mailbox INBOX: the server names 1 messages whose size, date or header it does not give "
        "(UID 2): they are not shown\n");
    mount_finish(&mount);
}
END_TEST

START_TEST(duplicates_are_told_apart_by_rank)
{
    struct mount mount;
    begin(&mount);
    uint32_t uid = fake_message(mount.pool, "INBOX", "same");
    (void)fake_copy(mount.pool, "INBOX", uid);
    (void)fake_copy(mount.pool, "INBOX", uid);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 3);
    char *names = mount_known(&mount, "INBOX");
    ck_assert_ptr_nonnull(strstr(names, "~2.eml"));
    ck_assert_ptr_nonnull(strstr(names, "~3.eml"));
    free(names);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_known_listing_is_served_without_the_server)
{
    struct mount mount;
    begin(&mount);
    fake_mailbox(mount.pool, "other", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    fake_offline(mount.pool, true);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 3);
    ck_assert_int_eq(mount_freshen(&mount, "other"), -EHOSTDOWN);
    fake_offline(mount.pool, false);
    fake_auth_failed(mount.pool, true);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_int_eq(mount_freshen(&mount, "other"), -EACCES);
    fake_auth_failed(mount.pool, false);
    ck_assert_int_eq(mount_freshen(&mount, "other"), 0);
    mount_finish(&mount);
}
END_TEST

START_TEST(trouble_is_noted_once_until_it_is_over)
{
    struct mount mount;
    begin(&mount);
    mount_start(&mount);
    fake_offline(mount.pool, true);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mount_freshen(&mount, "INBOX"), -EHOSTDOWN);
    }
    assert_text(mount_errors(&mount), "the server cannot be reached\n");
    struct engine_status status;
    engine_get_status(mount.engine, &status);
    ck_assert_uint_eq(status.errors, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_refused_mailbox_fails_alone)
{
    struct mount mount;
    begin(&mount);
    fake_mailbox(mount.pool, "shut", '/', 0);
    (void)fake_message(mount.pool, "INBOX", "a");
    fake_refuse(mount.pool, "shut", true);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "shut"), -EACCES);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    assert_text(mount_errors(&mount), "mailbox shut: the mailbox is refused\n");
    mount_finish(&mount);
}
END_TEST

START_TEST(a_mailbox_removed_elsewhere_is_stale_and_leaves_the_tree)
{
    struct mount mount;
    begin(&mount);
    fake_mailbox(mount.pool, "gone", '/', 0);
    mount.options.max_age_ms = 3600000; /* the tree counts as fresh */
    mount_start(&mount);
    struct inode_no dir = mount_at(&mount, "gone");
    fake_mailbox_remove(mount.pool, "gone");
    ck_assert_int_eq(mount_freshen(&mount, "gone"), -ESTALE);
    /* the list that this began is waited for by a synchronisation of everything */
    struct awaited awaited;
    awaited_init(&awaited);
    ck_assert_int_eq(engine_sync_all(mount.engine, &awaited.wait), PARKED);
    ck_assert_int_eq(awaited_result(&awaited), 0);
    struct node node;
    ck_assert_int_eq(view_get(mount.engine, dir, &node), -ENOENT);
    mount_finish(&mount);
}
END_TEST

START_TEST(everything_is_synchronised_on_demand)
{
    struct mount mount;
    begin(&mount);
    char raw[16];
    for (int i = 0; i < 12; i++) {
        (void)snprintf(raw, sizeof raw, "m%d", i);
        fake_mailbox(mount.pool, raw, '/', 0);
        (void)fake_messages(mount.pool, raw, 2);
    }
    fake_mailbox(mount.pool, "none", '/', MAILBOX_NOSELECT);
    mount.options.max_age_ms = 3600000;
    mount_start(&mount);
    struct awaited awaited;
    awaited_init(&awaited);
    ck_assert_int_eq(engine_sync_all(mount.engine, &awaited.wait), PARKED);
    ck_assert_int_eq(awaited_result(&awaited), 0);
    struct engine_status status;
    engine_get_status(mount.engine, &status);
    ck_assert_uint_eq(status.messages, 24);
    ck_assert_uint_eq(status.synchronised_mailboxes, 13);
    ck_assert_uint_eq(status.mailboxes, 14);
    ck_assert_uint_eq(status.rows_fetched, 24);
    fake_refuse(mount.pool, "m3", true);
    (void)fake_message(mount.pool, "m5", "late");
    awaited_init(&awaited);
    ck_assert_int_eq(engine_sync_all(mount.engine, &awaited.wait), PARKED);
    ck_assert_int_eq(awaited_result(&awaited), -EACCES);
    engine_get_status(mount.engine, &status);
    ck_assert_uint_eq(status.messages, 25);
    engine_check(mount.engine);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_server_without_uidvalidity_is_shown_and_never_believed_later)
{
    struct mount mount;
    begin(&mount);
    (void)fake_messages(mount.pool, "INBOX", 2);
    fake_renumber(mount.pool, "INBOX", 0);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    struct inode_no first = mount_at(&mount, "INBOX/.uid/1.eml");
    int rc = 0;
    char *body = mount_read(&mount, first, &rc);
    ck_assert_ptr_nonnull(strstr(body, "This is m1"));
    free(body);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_at(&mount, "INBOX/.uid/1.eml").value, first.value);
    /* UID 2 is another message now, and nothing but its bytes says so */
    struct inode_no second = mount_at(&mount, "INBOX/.uid/2.eml");
    fake_expunge(mount.pool, "INBOX", 2);
    (void)fake_message(mount.pool, "INBOX", "other");
    fake_renumber(mount.pool, "INBOX", 0);
    ck_assert_ptr_null(mount_read(&mount, second, &rc));
    ck_assert_int_eq(rc, ESTALE);
    mount_stop(&mount);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    assert_text(mount_errors(&mount), "");
    ck_assert_uint_ne(mount_at(&mount, "INBOX/.uid/1.eml").value, first.value);
    mount_finish(&mount);
}
END_TEST

START_TEST(the_counters_of_a_mailbox_are_told)
{
    struct mount mount;
    begin(&mount);
    fake_mailbox_use(mount.pool, "INBOX", "\\Sent");
    (void)fake_messages(mount.pool, "INBOX", 3);
    fake_flags(mount.pool, "INBOX", 1, "\\Seen");
    mount_start(&mount);
    assert_text(mount_xattr(&mount, "INBOX", "user.imap.messages"), "!61");
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    assert_text(mount_xattr(&mount, "INBOX", "user.imap.messages"), "3");
    assert_text(mount_xattr(&mount, "INBOX", "user.imap.unseen"), "2");
    assert_text(mount_xattr(&mount, "INBOX", "user.imap.subscribed"), "0");
    assert_text(mount_xattr(&mount, "INBOX", "user.imap.special_use"), "\\Sent");
    mount_finish(&mount);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("sync");
    tcase_add_test(tests, a_mailbox_shows_its_messages);
    tcase_add_test(tests, an_unchanged_mailbox_costs_one_question);
    tcase_add_test(tests, a_young_listing_costs_nothing);
    tcase_add_test(tests, only_new_messages_are_fetched);
    tcase_add_test(tests, what_is_expunged_goes);
    tcase_add_test(tests, as_many_gone_as_new_is_seen);
    tcase_add_loop_test(tests, changed_flags_are_seen_with_and_without_condstore, 0, 2);
    tcase_add_test(tests, other_numbering_means_other_messages);
    tcase_add_test(tests, a_first_listing_is_newest_first);
    tcase_add_test(tests, a_listing_that_breaks_off_goes_on_where_it_was);
    tcase_add_test(tests, a_message_without_size_is_asked_for_again_and_then_left_out);
    tcase_add_test(tests, duplicates_are_told_apart_by_rank);
    tcase_add_test(tests, a_known_listing_is_served_without_the_server);
    tcase_add_test(tests, trouble_is_noted_once_until_it_is_over);
    tcase_add_test(tests, a_refused_mailbox_fails_alone);
    tcase_add_test(tests, a_mailbox_removed_elsewhere_is_stale_and_leaves_the_tree);
    tcase_add_test(tests, everything_is_synchronised_on_demand);
    tcase_add_test(tests, a_server_without_uidvalidity_is_shown_and_never_believed_later);
    tcase_add_test(tests, the_counters_of_a_mailbox_are_told);
    return unit_run("sync", tests);
}
