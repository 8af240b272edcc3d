/* Proving who we are, and having the server prove that it knows us. */
#include <check.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "session_case.h"

#define OFFER(capabilities) "TLS\nS * OK [CAPABILITY IMAP4rev1 " capabilities "] hi\n"
#define DONE "S $T OK [CAPABILITY IMAP4rev1 IDLE] in\nAUTO"

struct way {
    const char *script;
    const char *auth;     /* of the account */
    const char *password; /* NULL: PASSWORD */
};

/* "\0ann\0canary-secret" in base64, by hand of coreutils' base64. */
#define PLAIN_WORD "AGFubgBjYW5hcnktc2VjcmV0"

static const struct way ways[] = {
    {OFFER("SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1") "C AUTHENTICATE SCRAM-SHA-256 "
                                                                     "*\n"
                                                                     "SASL SCRAM-SHA-256 " PASSWORD
                                                                     " 4096 sound\n" DONE,
        NULL, NULL},
    {OFFER("AUTH=PLAIN AUTH=SCRAM-SHA-256") "C AUTHENTICATE SCRAM-SHA-256\n"
                                            "SASL SCRAM-SHA-256 " PASSWORD " 4096 sound\n" DONE,
        NULL, NULL},
    {OFFER("SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-1") "C AUTHENTICATE SCRAM-SHA-1 *\n"
                                                  "SASL SCRAM-SHA-1 " PASSWORD " 4096 sound\n" DONE,
        NULL, NULL},
    {OFFER("SASL-IR AUTH=PLAIN") "C AUTHENTICATE PLAIN " PLAIN_WORD "\n" DONE, NULL, NULL},
    {OFFER("AUTH=PLAIN") "C AUTHENTICATE PLAIN\nS + \nL " PLAIN_WORD "\n" DONE, NULL, NULL},
    {OFFER("SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256") "C AUTHENTICATE PLAIN " PLAIN_WORD "\n" DONE,
        "plain", NULL},
    {OFFER("SASL-IR AUTH=PLAIN") "C LOGIN \"ann\" \"canary-secret\"\n" DONE, "LOGIN", NULL},
    {OFFER("AUTH=GSSAPI") "C LOGIN \"ann\" \"q\\\\\\\\uo\\\\\"te\"\n" DONE, NULL, "q\\uo\"te"},
    /* 8-bit: a literal that waits for "+" */
    {OFFER("IDLE") "C LOGIN \"ann\" {7}\nS + go on\nL se\303\251ret\n" DONE, NULL, "se\303\251ret"},
    {OFFER("LITERAL+") "C LOGIN \"ann\" {7+}\nL se\303\251ret\n" DONE, NULL, "se\303\251ret"},
    {OFFER("LOGINDISABLED AUTH=LOGIN") "C AUTHENTICATE LOGIN\nS + VXNlcm5hbWU6\nL YW5u\n"
                                       "S + UGFzc3dvcmQ6\nL Y2FuYXJ5LXNlY3JldA==\n" DONE,
        NULL, NULL},
    /* Untagged words while we log in. */
    {OFFER("SASL-IR AUTH=PLAIN") "C AUTHENTICATE *\nS * OK [ALERT] full soon\nS * 3 EXISTS\n" DONE,
        NULL, NULL},
};

START_TEST(each_way_in_works)
{
    struct place place;
    const struct way *way = &ways[_i];
    place_start(&place, &way->script, 1);
    place.account.auth = way->auth;
    place.account.secret_arg = (char *)(uintptr_t)way->password;
    ck_assert_msg(place_try(&place) == 0, "%s: %s", way->script, place.why.text);
    ck_assert_uint_eq(session_capabilities(place.session), CAP_IDLE);
    place_end(&place);
}
END_TEST

START_TEST(capabilities_are_asked_for_again_after_the_login)
{
    static const char *const script[] = {
        "TLS\nS * OK hi\nC CAPABILITY\nS * CAPABILITY IMAP4rev1 MOVE AUTH=PLAIN SASL-IR\nS $T OK\n"
        "C AUTHENTICATE PLAIN *\nS $T OK in\nC CAPABILITY\n"
        "S * CAPABILITY IMAP4rev1 QRESYNC ESEARCH\nS $T OK\nAUTO"};
    struct place place;
    place_open(&place, script);
    ck_assert_uint_eq(
        session_capabilities(place.session), CAP_QRESYNC | CAP_CONDSTORE | CAP_ESEARCH);
    place_end(&place);
}
END_TEST

struct refusal {
    const char *script;
    const char *auth;
    enum err_class class;
    int errnum;
    bool secret_needed; /* false: the password must not even be asked for */
};

#define PLAINLY(answer) OFFER("SASL-IR AUTH=PLAIN") "C AUTHENTICATE PLAIN *\nS " answer "\nEOF"
#define SCRAMBLED(mechanism, how)                                                                  \
    OFFER("SASL-IR AUTH=" mechanism) "C AUTHENTICATE " mechanism " *\nSASL " mechanism " " how "\n"

static const struct refusal refusals[] = {
    {PLAINLY("$T NO [AUTHENTICATIONFAILED] no"), NULL, ERR_AUTH, EACCES, true},
    {PLAINLY("$T NO [EXPIRED] too many days old"), NULL, ERR_AUTH, EACCES, true},
    {PLAINLY("$T NO [AUTHORIZATIONFAILED] no"), NULL, ERR_AUTH, EACCES, true},
    {PLAINLY("$T NO"), NULL, ERR_AUTH, EACCES, true},
    {PLAINLY("$T BAD"), NULL, ERR_AUTH, EACCES, true},
    {PLAINLY("$T NO [UNAVAILABLE] the user database is away"), NULL, ERR_RETRY, EHOSTDOWN, true},
    {PLAINLY("$T NO [INUSE] locked"), NULL, ERR_RETRY, EHOSTDOWN, true},
    {PLAINLY("$T NO [LIMIT] enough"), NULL, ERR_RETRY, EHOSTDOWN, true},
    {PLAINLY("$T NO [ALERT] Too many simultaneous connections. (Failure)"), NULL, ERR_RETRY,
        EHOSTDOWN, true},
    {PLAINLY("* BYE over"), NULL, ERR_RETRY, EHOSTDOWN, true},
    {PLAINLY("+ bW9yZQ=="), NULL, ERR_HOSTILE, EPROTO, true},
    {PLAINLY("other OK"), NULL, ERR_HOSTILE, EPROTO, true},
    {"TLS\nS * OK hi\nC CAPABILITY\nS $T BAD what\nEOF", NULL, ERR_HOSTILE, EPROTO, false},
    {"TLS\nS * OK hi\nC CAPABILITY\nS $T OK\nEOF", NULL, ERR_HOSTILE, EPROTO, false},
    {OFFER("LOGINDISABLED") "EOF", NULL, ERR_AUTH, EACCES, false},
    {OFFER("LOGINDISABLED AUTH=PLAIN") "EOF", "LOGIN", ERR_AUTH, EACCES, false},
    {OFFER("AUTH=PLAIN") "EOF", "SCRAM-SHA-256", ERR_AUTH, EACCES, false},
    {OFFER("AUTH=PLAIN") "EOF", "GSSAPI", ERR_AUTH, EACCES, false},
    {SCRAMBLED("SCRAM-SHA-256", "other-password 4096 sound"), NULL, ERR_AUTH, EACCES, true},
    {SCRAMBLED("SCRAM-SHA-256", PASSWORD " 4096 forged") "EOF", NULL, ERR_HOSTILE, EPROTO, true},
    {SCRAMBLED("SCRAM-SHA-1", PASSWORD " 4096 forged") "EOF", NULL, ERR_HOSTILE, EPROTO, true},
    {SCRAMBLED("SCRAM-SHA-256", PASSWORD " 4096 silent") "S $T OK in\nEOF", NULL, ERR_HOSTILE,
        EPROTO, true},
    {SCRAMBLED("SCRAM-SHA-256", PASSWORD " 1000001 sound"), NULL, ERR_HOSTILE, EPROTO, true},
    {SCRAMBLED("SCRAM-SHA-256", PASSWORD " 4294967296 sound"), NULL, ERR_HOSTILE, EPROTO, true},
    {OFFER("SASL-IR AUTH=SCRAM-SHA-256") "C AUTHENTICATE *\nS $T OK in already\nEOF", NULL,
        ERR_HOSTILE, EPROTO, true},
    {OFFER("SASL-IR AUTH=SCRAM-SHA-256") "C AUTHENTICATE *\nS + !not base64!\nEOF", NULL,
        ERR_HOSTILE, EPROTO, true},
    {OFFER("SASL-IR AUTH=SCRAM-SHA-256") "C AUTHENTICATE *\nS + "
                                         "cj1ub3RvdXJzLHM9QUFBQSxpPTQwOTY=\nEOF",
        NULL, ERR_HOSTILE, EPROTO, true}, /* r=notours,s=AAAA,i=4096 */
    {OFFER("IDLE") "C LOGIN *\nS $T NO [AUTHENTICATIONFAILED] no\nEOF", NULL, ERR_AUTH, EACCES,
        true},
};

struct asked {
    unsigned times;
};

static int count_secret(void *arg, struct secret *ret, struct err *why)
{
    struct asked *asked = arg;
    asked->times++;
    return give_secret(NULL, ret, why);
}

START_TEST(each_refusal_has_its_class)
{
    struct place place;
    struct asked asked = {0};
    const struct refusal *refusal = &refusals[_i];
    place_start(&place, &refusal->script, 1);
    place.account.auth = refusal->auth;
    place.account.secret = count_secret;
    place.account.secret_arg = &asked;
    int rc = place_try(&place);
    ck_assert_msg(rc == -refusal->errnum && place.why.class == refusal->class, "%s: %d %s: %s",
        refusal->script, rc, err_class_name(place.why.class), place.why.text);
    ck_assert_uint_eq(asked.times, refusal->secret_needed ? 1 : 0);
    ck_assert_ptr_null(strstr(place.why.text, PASSWORD));
    place_end(&place);
}
END_TEST

START_TEST(a_million_iterations_are_still_allowed)
{
    static const char *const script[] = {SCRAMBLED("SCRAM-SHA-1", PASSWORD " 1000000 sound") DONE};
    struct place place;
    place_open(&place, script);
    place_end(&place);
}
END_TEST

START_TEST(a_password_with_a_line_end_is_never_sent)
{
    static const char *const script[] = {OFFER("IDLE") "EOF"};
    struct place place;
    place_start(&place, script, 1);
    place.account.secret_arg = (char *)(uintptr_t) "two\r\nlines";
    place_failed(&place, place_try(&place), ERR_AUTH, EACCES);
    char *heard = imap_script_heard_tls(place.script);
    ck_assert_ptr_null(strstr(heard, "lines"));
    free(heard);
    place_end(&place);
}
END_TEST

static int no_secret(void *arg, struct secret *ret, struct err *why)
{
    (void)arg;
    (void)ret;
    return err_set(why, ERR_AUTH, EACCES, "the password command failed");
}

START_TEST(no_password_no_login)
{
    static const char *const script[] = {OFFER("IDLE") "EOF"};
    struct place place;
    place_start(&place, script, 1);
    place.account.secret = no_secret;
    place_failed(&place, place_try(&place), ERR_AUTH, EACCES);
    ck_assert_str_eq(place.why.text, "the password command failed");
    place_end(&place);
}
END_TEST

static Suite *login_suite(void)
{
    Suite *suite = suite_create("imap login");
    TCase *all = tcase_create("login");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, each_way_in_works, 0, (int)G_N_ELEMENTS(ways));
    tcase_add_test(all, capabilities_are_asked_for_again_after_the_login);
    tcase_add_loop_test(all, each_refusal_has_its_class, 0, (int)G_N_ELEMENTS(refusals));
    tcase_add_test(all, a_million_iterations_are_still_allowed);
    tcase_add_test(all, a_password_with_a_line_end_is_never_sent);
    tcase_add_test(all, no_password_no_login);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(login_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
