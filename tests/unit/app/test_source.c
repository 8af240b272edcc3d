/* SOURCE and the command line, as a person types them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings.h"
#include "app/source.h"
#include "unit.h"

struct good {
    const char *text, *user, *host, *port, *mailbox;
    bool starttls;
};

static const struct good GOOD[] = {
    {"imap.example.org", NULL, "imap.example.org", "993", "", false},
    {"ann@imap.example.org", "ann", "imap.example.org", "993", "", false},
    {"ann@example.org@imap.example.org", "ann@example.org", "imap.example.org", "993", "", false},
    {"ann@imap.example.org:1993/Lists/cycling", "ann", "imap.example.org", "1993", "Lists/cycling",
        false},
    {"ann@imap.example.org:143", "ann", "imap.example.org", "143", "", true},
    {"ann@[::1]:1143", "ann", "::1", "1143", "", false},
    {"ann@[2001:db8::1]/INBOX/", "ann", "2001:db8::1", "993", "INBOX", false},
    {"imaps://ann%40example.org@imap.example.org/Caf%C3%A9", "ann@example.org", "imap.example.org",
        "993", "Caf\303\251", false},
    {"imap://ann@imap.example.org", "ann", "imap.example.org", "143", "", true},
    {"imaps://ann@imap.example.org:143/", "ann", "imap.example.org", "143", "", false},
};

START_TEST(a_source_names_user_host_port_and_mailbox)
{
    const struct good *good = &GOOD[_i];
    struct source source;
    struct err why = ERR_INIT;
    ck_assert_msg(source_parse(&source, good->text, &why) == 0, "%s: %s", good->text, why.text);
    ck_assert_pstr_eq(source.user, good->user);
    ck_assert_str_eq(source.host, good->host);
    ck_assert_str_eq(source.port, good->port);
    ck_assert_str_eq(source.mailbox, good->mailbox);
    ck_assert_int_eq(source.starttls, good->starttls);
    source_finish(&source);
}
END_TEST

static const char *const BAD[] = {"", "@host", "ann@", "ann:secret@host",
    "imaps://ann:secret@host/", "host:0", "host:65536", "host:http", "host:", "http://host",
    "ann@[::1", "ann@[::1]x", "a\nb@host", "ann@ho st", "imaps://ann%0A@host"};

START_TEST(an_odd_source_is_refused_with_a_sentence)
{
    struct source source = {.user = NULL};
    struct err why = ERR_INIT;
    ck_assert_int_eq(source_parse(&source, BAD[_i], &why), -EINVAL);
    ck_assert_int_ne(why.text[0], '\0');
    ck_assert_ptr_null(strstr(why.text, "secret"));
    ck_assert_ptr_null(source.host);
}
END_TEST

START_TEST(an_accounts_directory_is_one_safe_component)
{
    struct source source;
    ck_assert_int_eq(source_parse(&source, "imaps://..%2F..%2Fx%20y@h.example:993", NULL), 0);
    char *name = source_directory(&source);
    ck_assert_str_eq(name, "%2E.%2F..%2Fx%20y@h.example:993");
    free(name);
    source_finish(&source);
}
END_TEST

/* ---- settings ---- */

static char *config_file(const char *text, mode_t mode)
{
    static const char TEMPLATE[] = "/tmp/imapfs-config-XXXXXX";
    char *path = strdup(TEMPLATE);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    (void)close(fd);
    return path;
}

static int read_words(struct settings *settings, const char *config, struct err *why, char **words)
{
    int count = 0;
    while (words[count] != NULL) {
        count++;
    }
    return settings_read(settings, count, words, config, why);
}
#define READ(settings, config, why, ...)                                                           \
    read_words(settings, config, why, (char *[]){(char[]){"imapfs"}, __VA_ARGS__, NULL})
#define WORD(text) ((char[]){text})

START_TEST(the_command_line_wins_over_the_account_and_that_over_the_defaults)
{
    char *config = config_file("[defaults]\ntimeout=11\nmax_age=12\nconnections=2\n"
                               "[work]\nsource=ann@imap.example.org/"
                               "Team\nmax_age=21\nconnections=3\nexclude=Spam;Trash/*\n",
        0600);
    struct settings settings;
    struct err why = ERR_INIT;
    int result = READ(&settings, config, &why, WORD("-f"), WORD("-o"),
        WORD("connections=5,exclude=Old"), WORD("work"), WORD("/mnt"));
    ck_assert_msg(result == 0, "%s", why.text);
    ck_assert_int_eq(settings.timeout_s, 11);
    ck_assert_int_eq(settings.max_age_s, 21);
    ck_assert_int_eq(settings.connections, 5);
    ck_assert_str_eq(settings.source.host, "imap.example.org");
    ck_assert_str_eq(settings.source.mailbox, "Team");
    ck_assert_str_eq(settings.mountpoint, "/mnt");
    ck_assert(settings.foreground);
    ck_assert_str_eq(settings.exclude[0], "Spam");
    ck_assert_str_eq(settings.exclude[1], "Trash/*");
    ck_assert_str_eq(settings.exclude[2], "Old");
    ck_assert_ptr_null(settings.exclude[3]);
    settings_finish(&settings);
    (void)unlink(config);
    free(config);
}
END_TEST

START_TEST(sizes_masks_commas_and_what_fstab_adds_are_understood)
{
    struct settings settings;
    struct err why = ERR_INIT;
    int result = READ(&settings, "/nonexistent/config", &why, WORD("a@h"), WORD("/mnt"), WORD("-o"),
        WORD("rw,nosuid,_netdev,x-systemd.automount,cache_size=3M,umask=027,password_command=pass "
             "show a\\,b"));
    ck_assert_msg(result == 0, "%s", why.text);
    ck_assert_int_eq(settings.cache_size_bytes, 3 << 20);
    ck_assert_int_eq(settings.umask, 027);
    ck_assert_str_eq(settings.password_command, "pass show a,b");
    settings_finish(&settings);
}
END_TEST

static const char *const BAD_OPTIONS[] = {"connections=0", "connections=17", "timeout=x",
    "timeout=", "timeout", "cache_size=1Q", "cache_size=9999999999T", "umask=888",
    "subscribed=maybe", "nonsense", "password=secret", "pass=secret", "passwd=secret"};

START_TEST(an_odd_option_is_refused_with_a_sentence)
{
    struct settings settings;
    struct err why = ERR_INIT;
    char option[64];
    (void)strcpy(option, BAD_OPTIONS[_i]);
    ck_assert_int_eq(
        READ(&settings, "/nonexistent/config", &why, WORD("a@h"), WORD("/mnt"), WORD("-o"), option),
        -EINVAL);
    ck_assert_int_ne(why.text[0], '\0');
    ck_assert_ptr_null(strstr(why.text, "secret"));
}
END_TEST

START_TEST(a_configuration_that_others_may_write_is_refused)
{
    char *config = config_file("[work]\nsource=ann@imap.example.org\n", 0622);
    struct settings settings;
    struct err why = ERR_INIT;
    ck_assert_int_eq(READ(&settings, config, &why, WORD("work"), WORD("/mnt")), -EACCES);
    ck_assert_ptr_nonnull(strstr(why.text, "chmod"));
    (void)unlink(config);
    free(config);
}
END_TEST

static const char *const BAD_CONFIGS[] = {"[work]\nnonsense=1\nsource=a@h\n", "[work]\ntimeout=5\n",
    "work\n", "[work]\nsource=a@h\npassword=secret\n",
    "[defaults]\nconnections=99\n[work]\nsource=a@h\n"};

START_TEST(an_odd_configuration_is_refused_with_a_sentence)
{
    char *config = config_file(BAD_CONFIGS[_i], 0600);
    struct settings settings;
    struct err why = ERR_INIT;
    ck_assert_int_eq(READ(&settings, config, &why, WORD("work"), WORD("/mnt")), -EINVAL);
    ck_assert_int_ne(why.text[0], '\0');
    ck_assert_ptr_null(strstr(why.text, "secret"));
    (void)unlink(config);
    free(config);
}
END_TEST

START_TEST(source_and_mountpoint_are_both_needed_and_nothing_more)
{
    struct settings settings;
    struct err why = ERR_INIT;
    ck_assert_int_eq(READ(&settings, "/nonexistent/config", &why, WORD("a@h")), -EINVAL);
    ck_assert_int_eq(
        READ(&settings, "/nonexistent/config", &why, WORD("a@h"), WORD("/m"), WORD("/n")), -EINVAL);
    ck_assert_int_eq(
        READ(&settings, "/nonexistent/config", &why, WORD("a@h"), WORD("/m"), WORD("--what")),
        -EINVAL);
}
END_TEST

int main(void)
{
    TCase *cases = unit_case("source");
    tcase_add_loop_test(
        cases, a_source_names_user_host_port_and_mailbox, 0, sizeof GOOD / sizeof GOOD[0]);
    tcase_add_loop_test(
        cases, an_odd_source_is_refused_with_a_sentence, 0, sizeof BAD / sizeof BAD[0]);
    tcase_add_test(cases, an_accounts_directory_is_one_safe_component);
    tcase_add_test(cases, the_command_line_wins_over_the_account_and_that_over_the_defaults);
    tcase_add_test(cases, sizes_masks_commas_and_what_fstab_adds_are_understood);
    tcase_add_loop_test(cases, an_odd_option_is_refused_with_a_sentence, 0,
        sizeof BAD_OPTIONS / sizeof BAD_OPTIONS[0]);
    tcase_add_test(cases, a_configuration_that_others_may_write_is_refused);
    tcase_add_loop_test(cases, an_odd_configuration_is_refused_with_a_sentence, 0,
        sizeof BAD_CONFIGS / sizeof BAD_CONFIGS[0]);
    tcase_add_test(cases, source_and_mountpoint_are_both_needed_and_nothing_more);
    return unit_run("app/source", cases);
}
