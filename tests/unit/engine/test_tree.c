#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "engine/tree_build.h"
#include "mount.h"
#include "unit.h"

struct line {
    const char *raw;
    char delimiter;
    unsigned attributes;
};

/* The tree as "path" of each node in order, a '*' behind those that are listed. */
static char *built(const struct line *lines, size_t count, bool backwards)
{
    struct tree_build *build = tree_build_create();
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &lines[backwards ? count - 1 - i : i];
        const struct listed_mailbox mailbox = {
            line->raw, strlen(line->raw), line->delimiter, line->attributes, ""};
        tree_build_add(build, &mailbox);
    }
    const struct tree_node *nodes;
    size_t node_count;
    size_t left_out;
    tree_build_nodes(build, &nodes, &node_count, &left_out);
    ck_assert_uint_eq(left_out, 0);
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].parent != SIZE_MAX) {
            ck_assert_uint_lt(nodes[i].parent, i);
            buf_printf(&text, "%s/", nodes[nodes[i].parent].component);
        }
        buf_printf(&text, "%s%s ", nodes[i].component, nodes[i].listed ? "*" : "");
    }
    tree_build_destroy(&build);
    return buf_steal(&text);
}

static void check_built(const struct line *lines, size_t count, const char *expected)
{
    assert_text(built(lines, count, false), expected);
    assert_text(built(lines, count, true), expected);
}

START_TEST(names_become_a_tree_with_the_parents_they_imply)
{
    const struct line lines[] = {{"b/x/y", '/', 0}, {"a", '/', 0}, {"INBOX", '/', 0}};
    check_built(lines, 3, "INBOX* a* b b/x x/y* ");
}
END_TEST

START_TEST(each_delimiter_cuts_its_own_names_and_nil_cuts_none)
{
    const struct line lines[] = {{"a.b", '.', 0}, {"c/d", '/', 0}, {"e.f/g", '\0', 0}};
    check_built(lines, 3, "a a/b* c c/d* e.f%2Fg* ");
}
END_TEST

START_TEST(inbox_is_one_node_however_it_is_spelt)
{
    const struct line lines[] = {{"INBOX", '/', 0}, {"Inbox/a", '/', 0}, {"inbox/b", '/', 0}};
    check_built(lines, 3, "INBOX* INBOX/a* INBOX/b* ");
}
END_TEST

START_TEST(names_that_differ_in_the_delimiter_alone_are_told_apart)
{
    const struct line lines[] = {{"a", '.', 0}, {"a.b", '.', 0}, {"a/b", '/', 0}};
    /* '.' sorts before '/'; SHA-256 of "a/b" begins with these digits */
    check_built(lines, 3, "a* a/b* a/b%=c14cddc033f64b9dea80ea67* ");
}
END_TEST

START_TEST(a_mailbox_that_is_listed_twice_is_one)
{
    const struct line lines[] = {{"a", '/', 0}, {"a", '/', MAILBOX_NOSELECT}};
    check_built(lines, 2, "a* ");
}
END_TEST

START_TEST(an_empty_level_is_a_level)
{
    const struct line lines[] = {{"a//b", '/', 0}};
    check_built(lines, 1, "a a/%empty %empty/b* ");
}
END_TEST

START_TEST(a_line_too_many_is_counted)
{
    struct tree_build *build = tree_build_create();
    char raw[16];
    for (unsigned i = 0; i <= TREE_NODES_MAX; i++) {
        (void)snprintf(raw, sizeof raw, "m%06u", i);
        const struct listed_mailbox mailbox = {raw, strlen(raw), '/', 0, ""};
        tree_build_add(build, &mailbox);
    }
    const struct tree_node *nodes;
    size_t count;
    size_t left_out;
    tree_build_nodes(build, &nodes, &count, &left_out);
    ck_assert_uint_eq(count, TREE_NODES_MAX);
    ck_assert_uint_eq(left_out, 1);
    tree_build_destroy(&build);
}
END_TEST

/* ---- with a server
 * ------------------------------------------------------------------------------- */

START_TEST(the_root_shows_what_the_server_lists)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    fake_mailbox(mount.pool, "..", '/', 0);
    fake_mailbox(mount.pool, "Lists/dev", '/', 0);
    mount_start(&mount);
    assert_text(mount_ls(&mount, ""), "%2E. INBOX Lists");
    assert_text(mount_ls(&mount, "Lists"), "dev");
    struct node node;
    ck_assert_int_eq(view_get(mount.engine, INODE_ROOT, &node), 0);
    ck_assert_uint_eq(node.nlink, 5);
    ck_assert(node.is_dir);
    struct inode_no parent;
    ck_assert_int_eq(view_parent(mount.engine, mount_at(&mount, "Lists/dev"), &parent), 0);
    ck_assert_uint_eq(parent.value, mount_at(&mount, "Lists").value);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_mailbox_made_elsewhere_appears_and_one_removed_goes)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    fake_mailbox(mount.pool, "old", '/', 0);
    mount_start(&mount);
    assert_text(mount_ls(&mount, ""), "INBOX old");
    fake_mailbox_remove(mount.pool, "old");
    fake_mailbox(mount.pool, "new", '/', 0);
    mount_relist(&mount);
    assert_text(mount_ls(&mount, ""), "INBOX new");
    mount_finish(&mount);
}
END_TEST

START_TEST(an_empty_list_is_not_believed)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    mount_start(&mount);
    fake_mailbox_remove(mount.pool, "INBOX");
    mount_relist(&mount);
    assert_text(mount_ls(&mount, ""), "INBOX");
    char *errors = mount_errors(&mount);
    ck_assert_ptr_nonnull(strstr(errors, "the server lists no mailbox at all"));
    free(errors);
    mount_finish(&mount);
}
END_TEST

START_TEST(unreadable_lines_of_the_list_are_noted)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    fake_odd_lines(mount.pool, 3);
    mount_start(&mount);
    assert_text(
        mount_errors(&mount), "3 answers of the list of mailboxes were unreadable or too many\n");
    mount_finish(&mount);
}
END_TEST

START_TEST(filters_hide_mailboxes_and_keep_the_parents_of_what_they_show)
{
    static const struct {
        const char *include[3], *exclude[3];
        bool subscribed;
        const char *root, *lists, *dev_count;
    } cases[] = {
        {{NULL}, {NULL}, false, "Archive INBOX Lists Spam", "dev users", "1"},
        {{"Lists/dev", NULL}, {NULL}, false, "Lists", "dev", "1"},
        {{"Lists", NULL}, {"Lists/users", NULL}, false, "Lists", "dev", "1"},
        {{NULL}, {"Spam", "Arch*", NULL}, false, "INBOX Lists", "dev users", "1"},
        {{NULL}, {"Lists", NULL}, false, "Archive INBOX Spam", "!2", "0"},
        {{NULL}, {NULL}, true, "INBOX Lists", "users", "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount mount;
        mount_init(&mount);
        fake_mailbox(mount.pool, "Archive", '/', 0);
        fake_mailbox(mount.pool, "INBOX", '/', 0);
        fake_mailbox(mount.pool, "Lists", '/', 0);
        fake_mailbox(mount.pool, "Lists/dev", '/', 0);
        fake_mailbox(mount.pool, "Lists/users", '/', MAILBOX_SUBSCRIBED);
        fake_mailbox(mount.pool, "Spam", '/', 0);
        mount.options.include = cases[i].include;
        mount.options.exclude = cases[i].exclude;
        mount.options.subscribed_only = cases[i].subscribed;
        mount_start(&mount);
        assert_text(mount_ls(&mount, ""), cases[i].root);
        if (cases[i].lists[0] != '!') {
            assert_text(mount_ls(&mount, "Lists"), cases[i].lists);
        } else {
            ck_assert_uint_eq(mount_at(&mount, "Lists").value, 0);
        }
        bool dev = mount_at(&mount, "Lists/dev").value != 0;
        ck_assert_int_eq(dev, cases[i].dev_count[0] == '1');
        mount_finish(&mount);
    }
}
END_TEST

START_TEST(a_hidden_parent_shows_no_messages)
{
    static const char *const include[] = {"Lists/dev", NULL};
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "Lists", '/', 0);
    fake_mailbox(mount.pool, "Lists/dev", '/', 0);
    fake_message(mount.pool, "Lists", "hidden");
    mount.options.include = include;
    mount_start(&mount);
    assert_text(mount_ls(&mount, "Lists"), "dev");
    ck_assert_uint_eq(mount_at(&mount, "Lists/.uid").value, 0);
    ck_assert_uint_eq(fake_counts(mount.pool).examines, 0);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_mailbox_can_be_the_root)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '.', 0);
    fake_mailbox(mount.pool, "INBOX.sub", '.', 0);
    fake_mailbox(mount.pool, "other", '.', 0);
    uint32_t uid = fake_message(mount.pool, "INBOX", "hello");
    ck_assert_uint_eq(uid, 1);
    mount.options.root_mailbox = "/inbox/";
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, ""), 0);
    ck_assert_uint_eq(mount_count(&mount, ""), 2);
    ck_assert_uint_ne(mount_at(&mount, ".uid/1.eml").value, 0);
    struct inode_no parent;
    ck_assert_int_eq(view_parent(mount.engine, mount_at(&mount, "sub"), &parent), 0);
    ck_assert_uint_eq(parent.value, INODE_ROOT.value);
    ck_assert_uint_eq(mount_at(&mount, "other").value, 0);
    ck_assert_uint_ne(mount_at(&mount, ".imapfs/status").value, 0);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_root_that_does_not_exist_is_told)
{
    struct mount mount;
    struct err why = ERR_INIT;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    mount.options.root_mailbox = "nowhere";
    ck_assert_int_eq(mount_try_start(&mount, &why), -ENOENT);
    ck_assert_str_eq(why.text, "there is no mailbox nowhere on the server");
    mount_finish(&mount);
}
END_TEST

START_TEST(a_mount_starts_without_network_once_it_was_there)
{
    struct mount mount;
    struct err why = ERR_INIT;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    fake_offline(mount.pool, true);
    ck_assert_int_eq(mount_try_start(&mount, &why), -EHOSTDOWN);
    ck_assert_str_eq(why.text, "the server cannot be reached");
    mount_stop(&mount);
    fake_offline(mount.pool, false);
    mount_start(&mount);
    mount_stop(&mount);
    fake_offline(mount.pool, true);
    mount_start(&mount);
    assert_text(mount_ls(&mount, ""), "INBOX");
    mount_stop(&mount);
    fake_auth_failed(mount.pool, true);
    fake_offline(mount.pool, false);
    ck_assert_int_eq(mount_try_start(&mount, &why), -EACCES);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_list_that_stands_still_gives_way_to_what_is_known)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    mount.options.timeout_ms = 50;
    mount_start(&mount);
    fake_hold(mount.pool, HOLD_LIST);
    mount_relist(&mount);
    assert_text(mount_known(&mount, ""), "INBOX");
    fake_await_held(mount.pool, 1); /* it is still being asked */
    ck_assert_uint_eq(fake_counts(mount.pool).lists, 2);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_fresh_tree_costs_nothing)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    mount.options.max_age_ms = 3600000;
    mount_start(&mount);
    for (int i = 0; i < 5; i++) {
        assert_text(mount_ls(&mount, ""), "INBOX");
    }
    ck_assert_uint_eq(fake_counts(mount.pool).lists, 1);
    mount_finish(&mount);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("tree");
    tcase_add_test(tests, names_become_a_tree_with_the_parents_they_imply);
    tcase_add_test(tests, each_delimiter_cuts_its_own_names_and_nil_cuts_none);
    tcase_add_test(tests, inbox_is_one_node_however_it_is_spelt);
    tcase_add_test(tests, names_that_differ_in_the_delimiter_alone_are_told_apart);
    tcase_add_test(tests, a_mailbox_that_is_listed_twice_is_one);
    tcase_add_test(tests, an_empty_level_is_a_level);
    tcase_add_test(tests, a_line_too_many_is_counted);
    tcase_add_test(tests, the_root_shows_what_the_server_lists);
    tcase_add_test(tests, a_mailbox_made_elsewhere_appears_and_one_removed_goes);
    tcase_add_test(tests, an_empty_list_is_not_believed);
    tcase_add_test(tests, unreadable_lines_of_the_list_are_noted);
    tcase_add_test(tests, filters_hide_mailboxes_and_keep_the_parents_of_what_they_show);
    tcase_add_test(tests, a_hidden_parent_shows_no_messages);
    tcase_add_test(tests, a_mailbox_can_be_the_root);
    tcase_add_test(tests, a_root_that_does_not_exist_is_told);
    tcase_add_test(tests, a_mount_starts_without_network_once_it_was_there);
    tcase_add_test(tests, a_list_that_stands_still_gives_way_to_what_is_known);
    tcase_add_test(tests, a_fresh_tree_costs_nothing);
    return unit_run("tree", tests);
}
