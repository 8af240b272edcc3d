/* Which mailboxes there are, however oddly the server says it. */
#include <check.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "session_case.h"

struct found {
    GString *text; /* "name|delimiter|attributes|use;" for each */
    size_t count;
    size_t stop_after; /* 0: never */
};

static int collect(void *arg, const struct listed_mailbox *mailbox)
{
    struct found *found = arg;
    g_string_append_len(found->text, mailbox->raw, (gssize)mailbox->raw_len);
    g_string_append_printf(found->text, "|%c|%s%s%s|%s;",
        mailbox->delimiter != 0 ? mailbox->delimiter : '-',
        (mailbox->attributes & MAILBOX_NOSELECT) != 0 ? "n" : "",
        (mailbox->attributes & MAILBOX_NOINFERIORS) != 0 ? "i" : "",
        (mailbox->attributes & MAILBOX_SUBSCRIBED) != 0 ? "s" : "", mailbox->special_use);
    found->count++;
    return found->count == found->stop_after ? -ECANCELED : 0;
}

struct list_case {
    const char *script;
    const char *expected;
    size_t odd;
};

#define EXTENDED                                                                                   \
    IN("LIST-EXTENDED SPECIAL-USE") "C LIST \"\" \"\\*\" RETURN (SUBSCRIBED SPECIAL-USE)\n"
#define END "S $T OK done\nAUTO"

static const struct list_case cases[] = {
    /* atoms, quoted, literals; each kind of delimiter */
    {EXTENDED "S * LIST () \"/\" atom\nS * LIST () \".\" \"quo\\\\\"ted\\\\\\\\\"\nS * LIST () NIL "
              "{5}\\r\\na b c\n"
              "S * LIST () \"\\\\\\\\\" \"back\"\n" END,
        "atom|/||;quo\"ted\\|.||;a b c|-||;back|\\||;", 0},
    {EXTENDED "S * LIST (\\\\NOSELECT \\\\subscribed) \"/\" a\nS * LIST (\\\\NonExistent) \"/\" b\n"
              "S * LIST (\\\\NoInferiors \\\\Unmarked \\\\X-Own) \"/\" c\n" END,
        "a|/|ns|;b|/|n|;c|/|i|;", 0},
    {EXTENDED "S * LIST (\\\\sent) \"/\" a\nS * LIST (\\\\HasNoChildren \\\\Trash) \"/\" b\n"
              "S * LIST (\\\\All \\\\Archive) \"/\" c\n" END,
        "a|/||\\Sent;b|/||\\Trash;c|/||\\All;", 0},
    /* extended data behind the name */
    {EXTENDED
        "S * LIST (\\\\Subscribed) \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (b))\n" END,
        "a|/|s|;", 0},
    /* INBOX as it is spelt; twice in different spellings is once */
    {EXTENDED "S * LIST () \"/\" iNbOx\nS * LIST () \"/\" INBOX\nS * LIST () \"/\" a\nS * LIST () "
              "\"/\" a\n" END,
        "iNbOx|/||;a|/||;", 0},
    /* names that are no path */
    {EXTENDED "S * LIST () \"/\" \"..\"\nS * LIST () \"/\" \"a/../b\"\nS * LIST () \"/\" NIL\nS * "
              "LIST () \"/\" \"a*b%c\"\n"
              "S * LIST () \"/\" {4}\\r\\na\\r\\nb\n" END,
        "..|/||;a/../b|/||;NIL|/||;a*b%c|/||;a\r\nb|/||;", 0},
    /* odd lines hide nothing but themselves */
    {EXTENDED
        "S * LIST () \"/\" good\nS * LIST\nS * LIST (\nS * LIST () \"//\" x\nS * LIST () \"\" x\n"
        "S * LIST () nil2 x\nS * LIST () \"/\" \"\"\nS * LIST () \"/\"\nS * LIST \"/\" x\n"
        "S * LIST ((a)) \"/\" x\nS * LIST () \"/\" \"unended\nS * LIST () \"/\" (x)\n"
        "S * LIST () \"/\" fine\n" END,
        "good|/||;fine|/||;", 11},
    /* without LIST-EXTENDED: LSUB says what is subscribed */
    {IN("IDLE") "C LSUB \"\" \"\\*\"\nS * LSUB () \"/\" b\nS * LSUB () \"/\" inbox\nS * LSUB () "
                "\"/\" gone\nS * LSUB (\nS $T OK\n"
                "C LIST \"\" \"\\*\"\nS * LIST () \"/\" a\nS * LIST () \"/\" b\nS * LIST () \"/\" "
                "INBOX\n" END,
        "a|/||;b|/|s|;INBOX|/|s|;", 0},
    {IN("IDLE") "C LSUB *\nS $T NO not here\nC LIST *\nS * LIST () \"/\" a\n" END, "a|/||;", 0},
    /* nothing at all */
    {EXTENDED END, "", 0},
    /* a name of 4,096 bytes at most is tried below */
    /* namespaces that LIST "" "*" does not cover */
    {IN("LIST-EXTENDED NAMESPACE") "C LIST \"\" \"\\*\" RETURN (SUBSCRIBED)\nS * LIST () \".\" "
                                   "INBOX\nS * LIST () \".\" INBOX.a\n"
                                   "S * LIST () \".\" shared.x\nS $T OK\nC NAMESPACE\n"
                                   "S * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\" \"X\" "
                                   "(\"y\"))) ((\"shared.\" \".\")(\"#news.\" NIL))\n"
                                   "S $T OK\nC LIST \"\" \"user.\\*\" *\nS * LIST () \".\" "
                                   "user.bob\nS * LIST () \".\" INBOX\nS $T OK\n"
                                   "C LIST \"\" \"#news.\\*\" *\nS $T NO no\nAUTO",
        "INBOX|.||;INBOX.a|.||;shared.x|.||;user.bob|.||;", 0},
    {IN("LIST-EXTENDED NAMESPACE") "C LIST *\nS * LIST () \"/\" a\nS $T OK\nC NAMESPACE\nS * "
                                   "NAMESPACE ((\"\" \"/\")) NIL NIL\n" END,
        "a|/||;", 0},
    {IN("LIST-EXTENDED NAMESPACE") "C LIST *\nS * LIST () \"/\" a\nS $T OK\nC NAMESPACE\nS * "
                                   "NAMESPACE ((\"\" \"/\" NIL\n" END,
        "a|/||;", 0},
    {IN("LIST-EXTENDED NAMESPACE") "C LIST *\nS * LIST () \"/\" a\nS $T OK\nC NAMESPACE\nS $T "
                                   "BAD\nAUTO",
        "a|/||;", 0},
};

START_TEST(mailboxes_are_listed)
{
    struct place place;
    const struct list_case *one = &cases[_i];
    struct found found = {.text = g_string_new(NULL)};
    size_t odd = 99;
    place_open(&place, &one->script);
    int rc = session_list(place.session, collect, &found, &odd, &place.why);
    ck_assert_msg(rc == 0, "%s", place.why.text);
    ck_assert_str_eq(found.text->str, one->expected);
    ck_assert_uint_eq(odd, one->odd);
    g_string_free(found.text, TRUE);
    place_end(&place);
}
END_TEST

START_TEST(a_name_may_have_4096_bytes)
{
    for (size_t len = 4095; len <= 4097; len++) {
        char *name = g_strnfill(len, 'x');
        char *script = g_strdup_printf(EXTENDED "S * LIST () \"/\" %s\n" END, name);
        const char *const scripts[] = {script};
        struct found found = {.text = g_string_new(NULL)};
        size_t odd;
        struct place place;
        place_open(&place, scripts);
        ck_assert_int_eq(session_list(place.session, collect, &found, &odd, &place.why), 0);
        ck_assert_uint_eq(found.count, len <= 4096 ? 1 : 0);
        ck_assert_uint_eq(odd, len <= 4096 ? 0 : 1);
        place_end(&place);
        g_string_free(found.text, TRUE);
        g_free(script);
        g_free(name);
    }
}
END_TEST

START_TEST(more_than_100000_mailboxes_are_counted_as_odd)
{
    GString *script = g_string_new(EXTENDED);
    for (int i = 0; i < 100002; i++) {
        g_string_append_printf(script, "S * LIST () \"/\" m%d\n", i);
    }
    g_string_append(script, END);
    const char *const scripts[] = {script->str};
    struct found found = {.text = g_string_new(NULL)};
    size_t odd;
    struct place place;
    place_open(&place, scripts);
    ck_assert_int_eq(session_list(place.session, collect, &found, &odd, &place.why), 0);
    ck_assert_uint_eq(found.count, 100000);
    ck_assert_uint_eq(odd, 2);
    place_end(&place);
    g_string_free(found.text, TRUE);
    g_string_free(script, TRUE);
}
END_TEST

START_TEST(a_list_may_be_stopped_and_the_session_goes_on)
{
    static const char *const script[] = {EXTENDED
        "S * LIST () \"/\" a\nS * LIST () \"/\" b\nS * LIST () \"/\" c\nS $T OK\n" EXAMINED "AUTO"};
    struct place place;
    struct found found = {.text = g_string_new(NULL), .stop_after = 2};
    place_open(&place, script);
    int rc = session_list(place.session, collect, &found, NULL, &place.why);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_uint_eq(found.count, 2);
    place_examine(&place);
    g_string_free(found.text, TRUE);
    place_end(&place);
}
END_TEST

START_TEST(a_refused_list_is_an_error)
{
    static const char *const script[] = {EXTENDED "S $T NO never\nAUTO"};
    struct place place;
    struct found found = {.text = g_string_new(NULL)};
    place_open(&place, script);
    int rc = session_list(place.session, collect, &found, NULL, &place.why);
    place_failed(&place, rc, ERR_REFUSED, EIO);
    g_string_free(found.text, TRUE);
    place_end(&place);
}
END_TEST

static Suite *list_suite(void)
{
    Suite *suite = suite_create("imap list");
    TCase *all = tcase_create("list");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, mailboxes_are_listed, 0, (int)G_N_ELEMENTS(cases));
    tcase_add_test(all, a_name_may_have_4096_bytes);
    tcase_add_test(all, more_than_100000_mailboxes_are_counted_as_odd);
    tcase_add_test(all, a_list_may_be_stopped_and_the_session_goes_on);
    tcase_add_test(all, a_refused_list_is_an_error);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(list_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
