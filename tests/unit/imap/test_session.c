/* Opening a connection: greeting, STARTTLS and its attackers, capabilities, mailboxes, ends. */
#include <check.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "imap/session_core.h"
#include "session_case.h"

/* ---- STARTTLS ------------------------------------------------------------------------------- */

struct attack {
    const char *name;
    const char *script;
    enum err_class class;
    int errnum;
};

/* RFC 9051 7.1.4, 11.3 and the known attacks on STARTTLS: none of these may see a password. */
static const struct attack attacks[] = {
    {"a logged-in greeting", "S * PREAUTH [CAPABILITY IMAP4rev1] welcome\nEOF", ERR_HOSTILE,
        EPROTO},
    {"a refusing greeting", "S * BYE go away\nEOF", ERR_RETRY, EHOSTDOWN},
    {"a NO for a greeting", "S * NO never\nEOF", ERR_RETRY, EHOSTDOWN},
    {"a BAD for a greeting", "S * BAD never\nEOF", ERR_HOSTILE, EPROTO},
    {"a greeting of another protocol", "S 220 smtp ESMTP\nEOF", ERR_HOSTILE, EPROTO},
    {"an empty greeting", "S \nEOF", ERR_HOSTILE, EPROTO},
    {"a tagged greeting", "S a1 OK hi\nEOF", ERR_HOSTILE, EPROTO},
    {"data for a greeting", "S * 3 EXISTS\nEOF", ERR_HOSTILE, EPROTO},
    {"a continuation for a greeting", "S + go on\nEOF", ERR_HOSTILE, EPROTO},
    {"a NO", "S * OK hi\nC STARTTLS\nS $T NO not today\nEOF", ERR_RETRY, EHOSTDOWN},
    {"a BAD", "S * OK hi\nC STARTTLS\nS $T BAD what\nEOF", ERR_RETRY, EHOSTDOWN},
    {"neither", "S * OK hi\nC STARTTLS\nS $T PREAUTH welcome\nEOF", ERR_HOSTILE, EPROTO},
    {"a continuation", "S * OK hi\nC STARTTLS\nS + more\nEOF", ERR_HOSTILE, EPROTO},
    {"a goodbye", "S * OK hi\nC STARTTLS\nS * BYE no\nEOF", ERR_RETRY, EHOSTDOWN},
    {"an OK sent before it was asked", "S * OK hi\\r\\n1 OK begin\nC STARTTLS\nEOF", ERR_HOSTILE,
        EPROTO},
    {"an OK for another tag", "S * OK hi\nC STARTTLS\nS x$T OK begin\nEOF", ERR_HOSTILE, EPROTO},
    {"an answer injected behind the OK",
        "S * OK hi\nC STARTTLS\nS $T OK begin\\r\\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\nEOF",
        ERR_HOSTILE, EPROTO},
    {"a login's OK injected behind the OK",
        "S * OK hi\nC STARTTLS\nS $T OK begin\\r\\n$T OK [CAPABILITY IMAP4rev1] in\nEOF",
        ERR_HOSTILE, EPROTO},
    {"no capability of encryption",
        "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\nC STARTTLS\n"
        "S $T BAD unknown\nEOF",
        ERR_RETRY, EHOSTDOWN},
    {"clear words instead of a handshake",
        "S * OK hi\nC STARTTLS\nS $T OK begin\nMARK\nS * OK still clear\nEOF", ERR_RETRY,
        EHOSTDOWN},
    {"an end", "S * OK hi\nC STARTTLS\nCLOSE", ERR_RETRY, EHOSTDOWN},
};

static void assert_no_login(const char *heard)
{
    ck_assert_msg(strstr(heard, PASSWORD) == NULL && strstr(heard, "LOGIN") == NULL &&
                      strstr(heard, "AUTHENTICATE") == NULL && strstr(heard, USER) == NULL,
        "said in the clear: %s", heard);
}

START_TEST(no_attack_on_starttls_sees_a_password)
{
    struct place place;
    const struct attack *attack = &attacks[_i];
    place_start(&place, &attack->script, 1);
    place.account.security = SECURITY_STARTTLS;
    int rc = place_try(&place);
    ck_assert_msg(
        place.why.class == attack->class ||
            (place.why.class == ERR_HOSTILE && strstr(attack->name, "clear words") != NULL),
        "%s: %s: %s", attack->name, err_class_name(place.why.class), place.why.text);
    ck_assert_int_ne(rc, 0);
    ck_assert_ptr_null(place.session);
    char *clear = imap_script_heard_clear(place.script);
    char *secret = imap_script_heard_tls(place.script);
    assert_no_login(clear);
    assert_no_login(secret);
    free(clear);
    free(secret);
    place_end(&place);
}
END_TEST

START_TEST(starttls_forgets_what_was_said_in_the_clear)
{
    /* In the clear the server pretends that LOGIN is disabled and offers nothing: not believed. */
    static const char *const script[] = {
        "S * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\nC STARTTLS\n"
        "S * CAPABILITY IMAP4rev1 LITERAL+ AUTH=SCRAM-SHA-256\\r\\n* OK [ALERT] call this number\n"
        "S $T OK begin\nTLS\nC CAPABILITY\nS * CAPABILITY IMAP4rev1\nS $T OK\n"
        "C LOGIN \"ann\" \"canary-secret\"\nS $T OK in\n"
        "C CAPABILITY\nS * CAPABILITY IMAP4rev1 IDLE\nS $T OK\nAUTO"};
    struct place place;
    place_start(&place, script, 1);
    place.account.security = SECURITY_STARTTLS;
    ck_assert_msg(place_try(&place) == 0, "%s", place.why.text);
    ck_assert_uint_eq(session_capabilities(place.session), CAP_IDLE);
    char *clear = imap_script_heard_clear(place.script);
    assert_no_login(clear);
    ck_assert_ptr_nonnull(strstr(clear, " STARTTLS\r\n"));
    free(clear);
    place_end(&place);
}
END_TEST

START_TEST(tags_cannot_be_guessed)
{
    static const char *const script[] = {"S * OK hi\nC STARTTLS\nS $T NO\nEOF"};
    char *first = NULL;
    for (int i = 0; i < 2; i++) {
        struct place place;
        place_start(&place, script, 1);
        place.account.security = SECURITY_STARTTLS;
        ck_assert_int_ne(place_try(&place), 0);
        char *clear = imap_script_heard_clear(place.script);
        ck_assert_uint_ge(strcspn(clear, " "), 16);
        ck_assert(first == NULL || strcmp(first, clear) != 0);
        free(first);
        first = clear;
        place_end(&place);
    }
    free(first);
}
END_TEST

/* ---- greetings over TLS --------------------------------------------------------------------- */

START_TEST(somebody_elses_login_is_refused)
{
    static const char *const script[] = {"TLS\nS * PREAUTH [CAPABILITY IMAP4rev1] hello bob\nEOF"};
    struct place place;
    place_start(&place, script, 1);
    place_failed(&place, place_try(&place), ERR_AUTH, EACCES);
    place_end(&place);
}
END_TEST

START_TEST(a_goodbye_is_told_in_the_servers_cleaned_words)
{
    static const char *const script[] = {"TLS\nS * BYE too \\033[31mmany of you\nEOF"};
    struct place place;
    place_start(&place, script, 1);
    place_failed(&place, place_try(&place), ERR_RETRY, EHOSTDOWN);
    ck_assert_ptr_nonnull(strstr(place.why.text, "many of you"));
    ck_assert_ptr_null(strchr(place.why.text, '\033'));
    ck_assert_ptr_nonnull(strstr(place.why.text, "localhost"));
    place_end(&place);
}
END_TEST

START_TEST(a_server_that_never_greets_is_given_up)
{
    static const char *const script[] = {"TLS\nEOF"};
    struct place place;
    place_start(&place, script, 1);
    place.account.timeout_ms = 2000;
    place_failed(&place, place_try(&place), ERR_RETRY, ETIMEDOUT);
    place_end(&place);
}
END_TEST

/* ---- mailboxes ------------------------------------------------------------------------------ */

START_TEST(status_brings_all_counters)
{
    static const char *const script[] = {
        IN("CONDSTORE") "C STATUS \"box\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\n"
                        "S * STATUS BOX (UNSEEN 2 X-ODD (1 2) MESSAGES 5 UIDNEXT 9 UIDVALIDITY 4 "
                        "HIGHESTMODSEQ 77)\nS $T OK\nAUTO"};
    struct place place;
    struct mailbox_status status;
    place_open(&place, script);
    ck_assert_int_eq(session_status(place.session, "box", 3, &status, &place.why), 0);
    ck_assert_uint_eq(status.messages, 5);
    ck_assert_uint_eq(status.unseen, 2);
    ck_assert_uint_eq(status.uidnext, 9);
    ck_assert_uint_eq(status.uidvalidity, 4);
    ck_assert_uint_eq(status.highestmodseq, 77);
    place_end(&place);
}
END_TEST

START_TEST(an_unusable_uidvalidity_is_none)
{
    static const char *const values[] = {
        "UIDVALIDITY 0", "UIDVALIDITY 4294967296", "UIDVALIDITY -1", "UIDVALIDITY x", "UIDNEXT 4"};
    char *script =
        g_strdup_printf(IN("IDLE") "C STATUS *\nS * STATUS box (MESSAGES 1 %s)\nS $T OK\n"
                                   "C EXAMINE *\nS * 1 EXISTS\nS * OK [%s]\nS $T OK\nAUTO",
            values[_i], values[_i]);
    const char *const scripts[] = {script};
    struct place place;
    struct mailbox_status status;
    place_open(&place, scripts);
    ck_assert_int_eq(session_status(place.session, "box", 3, &status, &place.why), 0);
    ck_assert_uint_eq(status.uidvalidity, 0);
    ck_assert_int_eq(session_examine(place.session, "box", 3, &status, &place.why), 0);
    ck_assert_uint_eq(status.uidvalidity, 0);
    ck_assert_uint_eq(status.messages, 1);
    place_end(&place);
    g_free(script);
}
END_TEST

START_TEST(refusals_have_their_class)
{
    static const struct {
        const char *answer;
        enum err_class class;
        int errnum;
        bool dead;
    } table[] = {
        {"NO [NONEXISTENT] none", ERR_GONE, ENOENT, false},
        {"NO [TRYCREATE] none", ERR_GONE, ENOENT, false},
        {"NO [NOPERM] not you", ERR_REFUSED, EACCES, false},
        {"NO", ERR_REFUSED, EIO, false},
        {"NO [SERVERBUG] oops", ERR_REFUSED, EIO, false},
        {"BAD what", ERR_REFUSED, EIO, false},
        {"OK", ERR_REFUSED, EIO, false}, /* without any STATUS */
        {"NO [LIMIT] slow down", ERR_RETRY, EAGAIN, true},
        {"BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", ERR_RETRY, EAGAIN,
            true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        char *script = g_strdup_printf(IN("IDLE") "C STATUS *\nS $T %s\nAUTO", table[i].answer);
        const char *const scripts[] = {script};
        struct place place;
        struct mailbox_status status;
        place_open(&place, scripts);
        int rc = session_status(place.session, "box", 3, &status, &place.why);
        place_failed(&place, rc, table[i].class, table[i].errnum);
        ck_assert_int_eq(session_is_dead(place.session), table[i].dead);
        place_end(&place);
        g_free(script);
    }
}
END_TEST

/* A server may go on with a mailbox that was deleted and made anew, and tell no news of it. */
START_TEST(an_open_mailbox_is_opened_anew_for_its_news)
{
    static const char *const script[] = {
        IN("CONDSTORE") "C EXAMINE \"box\" (CONDSTORE)\nS * 3 EXISTS\nS * OK [UIDVALIDITY 7]\n"
                        "S * OK [UIDNEXT 12]\nS * OK [HIGHESTMODSEQ 90]\nS $T OK\n"
                        "C EXAMINE \"box\" (CONDSTORE)\nS * OK [CLOSED]\nS * 1 EXISTS\n"
                        "S * OK [UIDVALIDITY 8]\nS * OK [UIDNEXT 2]\nS * OK [HIGHESTMODSEQ 1]\n"
                        "S $T OK\nAUTO"};
    static const struct mailbox_status expected[] = {
        {.messages = 3, .uidvalidity = 7, .uidnext = 12, .highestmodseq = 90},
        {.messages = 1, .uidvalidity = 8, .uidnext = 2, .highestmodseq = 1}};
    struct place place;
    place_open(&place, script);
    for (size_t i = 0; i < 2; i++) {
        struct mailbox_status status;
        ck_assert_int_eq(session_examine(place.session, "box", 3, &status, &place.why), 0);
        ck_assert_uint_eq(status.highestmodseq, expected[i].highestmodseq);
        ck_assert_uint_eq(status.uidvalidity, expected[i].uidvalidity);
        ck_assert_uint_eq(status.uidnext, expected[i].uidnext);
        ck_assert_uint_eq(status.messages, expected[i].messages);
    }
    place_end(&place);
}
END_TEST

START_TEST(what_is_said_before_closed_is_about_the_old_mailbox)
{
    static const char *const script[] = {
        IN("CONDSTORE") EXAMINED "C EXAMINE \"new\" (CONDSTORE)\nS * 900 EXISTS\n"
                                 "S * OK [HIGHESTMODSEQ 5000]\nS * OK [UIDVALIDITY 7]\n"
                                 "S * OK [CLOSED] done with it\nS * 1 EXISTS\nS $T OK\nAUTO"};
    struct place place;
    struct mailbox_status status;
    place_open(&place, script);
    place_examine(&place);
    ck_assert_int_eq(session_examine(place.session, "new", 3, &status, &place.why), 0);
    ck_assert_uint_eq(status.messages, 1);
    ck_assert_uint_eq(status.highestmodseq, 0);
    ck_assert_uint_eq(status.uidvalidity, 0);
    place_end(&place);
}
END_TEST

START_TEST(a_changed_uidvalidity_is_a_conflict_until_the_mailbox_is_opened_again)
{
    static const char *const script[] = {IN("ESEARCH") EXAMINED
        "C UID SEARCH RETURN (ALL) ALL\nS * OK [UIDVALIDITY 8] renumbered\nS $T OK\n" EXAMINED
        "C UID SEARCH RETURN (ALL) ALL\nS * ESEARCH (TAG \"$T\") UID ALL 4:6\n"
        "S $T OK\nAUTO"};
    struct place place;
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    place_open(&place, script);
    place_examine(&place);
    int rc = session_search_all(place.session, &set, &place.why);
    place_failed(&place, rc, ERR_CONFLICT, ESTALE);
    rc = session_search_all(place.session, &set, &place.why);
    place_failed(&place, rc, ERR_CONFLICT, ESTALE);
    ck_assert(!session_is_dead(place.session));
    place_examine(&place);
    ck_assert_int_eq(session_search_all(place.session, &set, &place.why), 0);
    ck_assert_uint_eq(uidset_size(&set), 3);
    place_end(&place);
}
END_TEST

/* ---- SEARCH --------------------------------------------------------------------------------- */

START_TEST(all_uids_come_in_either_form)
{
    static const struct {
        const char *script;
        const char *expected; /* NULL: REFUSED EIO */
    } table[] = {
        {IN("ESEARCH") EXAMINED "C UID SEARCH RETURN (ALL) ALL\n"
                                "S * ESEARCH (TAG \"other\") UID ALL 100\n"
                                "S * ESEARCH (TAG \"$T\") UID MIN 1 ALL 1:2,9\nS $T OK\nAUTO",
            "1:2,9"},
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * SEARCH 9 1 2 (MODSEQ 4)\nS $T OK\nAUTO",
            "1:2,9"},
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * SEARCH 9\nS * SEARCH 1 2\nS $T OK\nAUTO",
            "1:2,9"},
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * SEARCH 1 x\nS $T OK\nAUTO", NULL},
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * SEARCH 0 1\nS $T OK\nAUTO", NULL},
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * SEARCH 4294967296\nS $T OK\nAUTO", NULL},
        /* Nothing, though the mailbox holds three: it is not believed. */
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS $T OK\nAUTO", NULL},
        {IN("ESEARCH") EXAMINED "C UID SEARCH *\nS * ESEARCH (TAG \"$T\") UID\nS $T OK\nAUTO",
            NULL},
        /* Nothing, after all three were expunged. */
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * 3 EXPUNGE\nS * 1 EXPUNGE\nS * 1 EXPUNGE\n"
                             "S * SEARCH\nS $T OK\nAUTO",
            ""},
        {IN("IDLE") EXAMINED "C UID SEARCH ALL\nS * VANISHED 1:9\nS * SEARCH\nS $T OK\nAUTO", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        CLEANUP(uidset) struct uidset set = UIDSET_INIT;
        CLEANUP(buf) struct buf text = BUF_INIT;
        struct place place;
        place_open(&place, &table[i].script);
        place_examine(&place);
        int rc = session_search_all(place.session, &set, &place.why);
        if (table[i].expected == NULL) {
            place_failed(&place, rc, ERR_REFUSED, EIO);
            ck_assert_uint_eq(set.count, 0);
        } else {
            ck_assert_msg(rc == 0, "%zu: %s", i, place.why.text);
            uidset_format(&set, &text);
            ck_assert_str_eq(text.data != NULL ? text.data : "", table[i].expected);
        }
        place_end(&place);
    }
}
END_TEST

START_TEST(a_huge_mailbox_is_listed_line_by_line)
{
    static const char *const script[] = {
        IN("IDLE") "C EXAMINE *\nS * 4000000000 EXISTS\nS $T OK\nC UID FETCH 1:\\* (UID)\n"
                   "S * 1 FETCH (UID 5)\nS * 2 FETCH (FLAGS () UID 7)\nS * 3 FETCH (FLAGS ())\n"
                   "S $T OK\nAUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct place place;
    place_open(&place, script);
    place_examine(&place);
    ck_assert_int_eq(session_search_all(place.session, &set, &place.why), 0);
    ck_assert(uidset_has(&set, 5) && uidset_has(&set, 7) && uidset_size(&set) == 2);
    place_end(&place);
}
END_TEST

/* ---- quota ---------------------------------------------------------------------------------- */

START_TEST(the_narrowest_storage_quota_counts)
{
    static const struct {
        const char *answers;
        bool known;
        uint64_t used, limit;
    } table[] = {
        {"S * QUOTAROOT box r1 r2\\r\\n* QUOTA r1 (STORAGE 10 512)\\r\\n"
         "* QUOTA r2 (MESSAGE 4 20 STORAGE 3 100)\n",
            true, 3072, 102400},
        {"S * QUOTAROOT box \"\"\\r\\n* QUOTA \"\" ()\n", false, 0, 0},
        {"S * QUOTAROOT box\n", false, 0, 0},
        {"S * QUOTA \"\" (STORAGE 1 9223372036854775807)\n", true, 1024, UINT64_MAX},
        {"S * QUOTA \"\" (STORAGE -1 5)\\r\\n* QUOTA \"\" (STORAGE 1)\\r\\n* QUOTA\n", false, 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        char *script = g_strdup_printf(
            IN("QUOTA") "C GETQUOTAROOT \"box\"\n%sS $T OK\nAUTO", table[i].answers);
        const char *const scripts[] = {script};
        struct place place;
        struct quota quota;
        place_open(&place, scripts);
        ck_assert_int_eq(session_quota(place.session, "box", 3, &quota, &place.why), 0);
        ck_assert_int_eq(quota.known, table[i].known);
        ck_assert_uint_eq(quota.storage_used_bytes, table[i].used);
        ck_assert_uint_eq(quota.storage_limit_bytes, table[i].limit);
        place_end(&place);
        g_free(script);
    }
}
END_TEST

START_TEST(without_the_capability_quota_is_not_asked_for)
{
    static const char *const script[] = {IN("IDLE") "C LOGOUT\nEOF"};
    struct place place;
    struct quota quota;
    place_open(&place, script);
    ck_assert_int_eq(session_quota(place.session, "box", 3, &quota, &place.why), 0);
    ck_assert(!quota.known);
    place_end(&place);
}
END_TEST

/* ---- bad manners and ends ------------------------------------------------------------------- */

START_TEST(what_no_sound_server_says_ends_the_session)
{
    static const struct {
        const char *answer;
        enum err_class class;
    } table[] = {
        {"S + go on", ERR_HOSTILE},
        {"S nonsense OK done", ERR_HOSTILE},
        {"S $1 OK done again", ERR_HOSTILE}, /* a command that is over */
        {"S $T BYE", ERR_HOSTILE},
        {"S * BYE shutting down", ERR_RETRY},
        {"CLOSE", ERR_RETRY},
        {"R * STATUS box (MESS\nCLOSE", ERR_RETRY},
        {"R * STATUS {100}\\r\\nabc\nCLOSE", ERR_RETRY},
        {"R * X {4294967299}\\r\\nabc\nEOF", ERR_HOSTILE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        char *script = g_strdup_printf(IN("IDLE") "C STATUS *\n%s\nEOF", table[i].answer);
        const char *const scripts[] = {script};
        struct place place;
        struct mailbox_status status;
        place_open(&place, scripts);
        int rc = session_status(place.session, "box", 3, &status, &place.why);
        ck_assert_msg(rc != 0 && place.why.class == table[i].class, "%s: %s: %s", table[i].answer,
            err_class_name(place.why.class), place.why.text);
        ck_assert(session_is_dead(place.session));
        ck_assert(!session_is_alive(place.session));
        rc = session_status(place.session, "box", 3, &status, &place.why);
        place_failed(&place, rc, ERR_RETRY, EHOSTDOWN);
        place_end(&place);
        g_free(script);
    }
}
END_TEST

START_TEST(unknown_answers_change_nothing)
{
    static const char *const script[] = {
        IN("IDLE") "S * XFOO (((\nC STATUS *\nS * 12 RECENT\nS * FLAGS (\\\\Seen x[y])\n"
                   "S * OK [X-NEW 1 2 (3)] words\nS * NO disk is nearly full\nS * BAD hm\n"
                   "S * STATUS box (MESSAGES 1)\nS \nS * LIST () \"/\" other\nS $T OK\nAUTO"};
    struct place place;
    struct mailbox_status status;
    place_open(&place, script);
    int rc = session_status(place.session, "box", 3, &status, &place.why);
    ck_assert_msg(rc == 0, "%s", place.why.text);
    ck_assert_uint_eq(status.messages, 1);
    place_end(&place);
}
END_TEST

START_TEST(a_server_that_stalls_is_given_up)
{
    static const char *const script[] = {IN("IDLE") "C STATUS *\nR * STATUS box (MESS\nEOF"};
    struct place place;
    struct mailbox_status status;
    place_open(&place, script);
    place.session->wait_ms = 100;
    int rc = session_status(place.session, "box", 3, &status, &place.why);
    place_failed(&place, rc, ERR_RETRY, ETIMEDOUT);
    place_end(&place);
}
END_TEST

struct waking {
    struct place *place;
    pthread_t thread;
};

static void *wake_at_mark(void *arg)
{
    struct waking *waking = arg;
    imap_script_await(waking->place->script, 1);
    waker_wake(&waking->place->waker);
    return NULL;
}

START_TEST(the_waker_ends_any_wait)
{
    static const char *const scripts[] = {
        IN("IDLE") "C STATUS *\nMARK\nEOF",
        "MARK\nEOF",
        "TLS\nMARK\nEOF",
        GREET "MARK\nEOF",
    };
    struct place place;
    struct mailbox_status status;
    struct waking waking = {.place = &place};
    place_start(&place, &scripts[_i], 1);
    ck_assert_int_eq(pthread_create(&waking.thread, NULL, wake_at_mark, &waking), 0);
    int rc = place_try(&place);
    if (rc == 0) {
        rc = session_status(place.session, "box", 3, &status, &place.why);
    }
    place_failed(&place, rc, ERR_CANCELLED, EINTR);
    pthread_join(waking.thread, NULL);
    place_end(&place);
}
END_TEST

START_TEST(an_idle_connection_is_asked_when_something_waits_to_be_read)
{
    static const char *const script[] = {IN(
        "IDLE") "C STATUS *\nS * STATUS box (MESSAGES 1)\nR $T OK\\r\\n* BYE asleep\\r\\n\nCLOSE"};
    struct place place;
    struct mailbox_status status;
    place_open(&place, script);
    ck_assert(session_is_alive(place.session));
    ck_assert_int_eq(session_status(place.session, "box", 3, &status, &place.why), 0);
    ck_assert(!session_is_alive(place.session));
    place_end(&place);
}
END_TEST

static Suite *session_suite(void)
{
    Suite *suite = suite_create("imap session");
    TCase *starttls = tcase_create("STARTTLS");
    tcase_set_timeout(starttls, 120);
    tcase_add_loop_test(
        starttls, no_attack_on_starttls_sees_a_password, 0, (int)G_N_ELEMENTS(attacks));
    tcase_add_test(starttls, starttls_forgets_what_was_said_in_the_clear);
    tcase_add_test(starttls, tags_cannot_be_guessed);
    suite_add_tcase(suite, starttls);
    TCase *greeting = tcase_create("greeting");
    tcase_set_timeout(greeting, 120);
    tcase_add_test(greeting, somebody_elses_login_is_refused);
    tcase_add_test(greeting, a_goodbye_is_told_in_the_servers_cleaned_words);
    tcase_add_test(greeting, a_server_that_never_greets_is_given_up);
    suite_add_tcase(suite, greeting);
    TCase *mailbox = tcase_create("mailbox");
    tcase_set_timeout(mailbox, 120);
    tcase_add_test(mailbox, status_brings_all_counters);
    tcase_add_loop_test(mailbox, an_unusable_uidvalidity_is_none, 0, 5);
    tcase_add_test(mailbox, refusals_have_their_class);
    tcase_add_test(mailbox, an_open_mailbox_is_opened_anew_for_its_news);
    tcase_add_test(mailbox, what_is_said_before_closed_is_about_the_old_mailbox);
    tcase_add_test(mailbox, a_changed_uidvalidity_is_a_conflict_until_the_mailbox_is_opened_again);
    tcase_add_test(mailbox, all_uids_come_in_either_form);
    tcase_add_test(mailbox, a_huge_mailbox_is_listed_line_by_line);
    tcase_add_test(mailbox, the_narrowest_storage_quota_counts);
    tcase_add_test(mailbox, without_the_capability_quota_is_not_asked_for);
    suite_add_tcase(suite, mailbox);
    TCase *ends = tcase_create("ends");
    tcase_set_timeout(ends, 120);
    tcase_add_test(ends, what_no_sound_server_says_ends_the_session);
    tcase_add_test(ends, unknown_answers_change_nothing);
    tcase_add_test(ends, a_server_that_stalls_is_given_up);
    tcase_add_loop_test(ends, the_waker_ends_any_wait, 0, 4);
    tcase_add_test(ends, an_idle_connection_is_asked_when_something_waits_to_be_read);
    suite_add_tcase(suite, ends);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(session_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
