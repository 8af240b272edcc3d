/* Where a password may come from: netrc files and commands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/netrc.h"
#include "base/clock.h"
#include "unit.h"

static const struct netrc_wanted WANTED = {"imap.example.org", "993", "ann"};

struct entry {
    const char *text;
    const char *password; /* NULL: none is found */
};

static const struct entry ENTRIES[] = {
    {"machine imap.example.org login ann password secret", "secret"},
    {"machine imap.example.org\n  login ann\n  password secret\n", "secret"},
    {"machine IMAP.example.org login ann password secret", "secret"},
    {"machine imap.example.org port 993 login ann password secret", "secret"},
    {"machine imap.example.org port imaps login ann password secret", "secret"},
    {"machine imap.example.org port 143 login ann password secret", NULL},
    {"machine imap.example.org login bob password other\nmachine imap.example.org login ann "
     "password secret",
        "secret"},
    {"machine other.example.org login ann password other\nmachine imap.example.org login ann "
     "password secret",
        "secret"},
    {"machine imap.example.org login ann\nmachine other.example.org password other", NULL},
    {"machine imap.example.org password other", NULL},
    {"default login ann password other", NULL},
    {"default login ann password other machine imap.example.org login ann password secret",
        "secret"},
    {"machine imap.example.org login ann password \"two words\"", "two words"},
    {"machine imap.example.org login ann password \"a\\\"b\"", "a\"b"},
    {"# machine imap.example.org login ann password other\nmachine imap.example.org login ann "
     "password secret",
        "secret"},
    {"macdef init\ncd /pub\nmachine imap.example.org login ann password other\n\nmachine "
     "imap.example.org login ann password secret",
        "secret"},
    {"machine imap.example.org login ann password", NULL},
    {"machine imap.example.org login ann account x password secret", "secret"},
    {"", NULL},
    {"machine", NULL},
};

START_TEST(an_entry_counts_only_if_machine_port_and_login_match)
{
    struct buf password = BUF_INIT;
    int found = netrc_find(ENTRIES[_i].text, &WANTED, &password);
    ck_assert_int_eq(found, ENTRIES[_i].password != NULL ? 1 : 0);
    ck_assert_pstr_eq(found == 1 ? password.data : NULL, ENTRIES[_i].password);
    buf_finish(&password);
}
END_TEST

START_TEST(a_netrc_file_that_others_may_read_is_refused)
{
    char path[] = "/tmp/imapfs-netrc-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(dprintf(fd, "%s", ENTRIES[0].text), 0);
    struct buf password = BUF_INIT;
    struct err why = ERR_INIT;
    ck_assert_int_eq(fchmod(fd, 0640), 0);
    ck_assert_int_eq(netrc_read(path, &WANTED, &password, &why), -EACCES);
    ck_assert_ptr_nonnull(strstr(why.text, "chmod 600"));
    ck_assert_uint_eq(password.len, 0);
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    ck_assert_int_eq(netrc_read(path, &WANTED, &password, &why), 1);
    ck_assert_str_eq(password.data, "secret");
    (void)close(fd);
    (void)unlink(path);
    ck_assert_int_eq(netrc_read(path, &WANTED, &password, &why), 0);
    buf_finish(&password);
}
END_TEST

struct command {
    const char *line;
    const char *password; /* NULL: refused */
};

static const struct command COMMANDS[] = {
    {"printf secret", "secret"},
    {"printf 'two words\\nsecond line\\n'", "two words"},
    {"printf 'dos\\r\\n'", "dos"},
    {"sh -c 'cat; pwd'", "/"},
    {"true", NULL},
    {"printf '\\n'", NULL},
    {"sh -c 'echo secret; exit 3'", NULL},
    {"/nonexistent/command", NULL},
    {"printf 'a\\000b\\n'", NULL},
    {"head -c 70000 /dev/zero", NULL},
    {"echo \"unended", NULL},
    {"", NULL},
};

START_TEST(a_commands_first_line_is_the_password_if_it_ends_well)
{
    struct buf password = BUF_INIT;
    struct err why = ERR_INIT;
    int result = command_first_line(COMMANDS[_i].line, deadline_in(60000), &password, &why);
    ck_assert_int_eq(result, COMMANDS[_i].password != NULL ? 0 : -EACCES);
    ck_assert_pstr_eq(result == 0 ? password.data : NULL, COMMANDS[_i].password);
    ck_assert_int_eq(why.text[0] == '\0', result == 0);
    ck_assert_ptr_null(strstr(why.text, "secret"));
    buf_finish(&password);
}
END_TEST

START_TEST(a_command_that_does_not_end_is_stopped)
{
    static const char *const LINES[] = {"sleep 600", "sh -c 'exec >&-; sleep 600'"};
    struct buf password = BUF_INIT;
    struct err why = ERR_INIT;
    ck_assert_int_eq(command_first_line(LINES[_i], deadline_in(200), &password, &why), -EACCES);
    ck_assert_ptr_nonnull(strstr(why.text, "in time"));
    buf_finish(&password);
}
END_TEST

int main(void)
{
    TCase *cases = unit_case("password");
    tcase_add_loop_test(cases, an_entry_counts_only_if_machine_port_and_login_match, 0,
        sizeof ENTRIES / sizeof ENTRIES[0]);
    tcase_add_test(cases, a_netrc_file_that_others_may_read_is_refused);
    tcase_add_loop_test(cases, a_commands_first_line_is_the_password_if_it_ends_well, 0,
        sizeof COMMANDS / sizeof COMMANDS[0]);
    tcase_add_loop_test(cases, a_command_that_does_not_end_is_stopped, 0, 2);
    return unit_run("app/password", cases);
}
