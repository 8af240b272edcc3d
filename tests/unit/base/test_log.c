#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "unit.h"

/* What is written to standard error from catch_begin to catch_end. */
struct catch
{
    int saved;
    int pipe[2];
};

static void catch_begin(struct catch *catch)
{
    ck_assert_int_eq(pipe2(catch->pipe, O_CLOEXEC), 0);
    catch->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    ck_assert_int_ge(catch->saved, 0);
    ck_assert_int_eq(dup2(catch->pipe[1], STDERR_FILENO), STDERR_FILENO);
}

static void catch_end(struct catch *catch, struct buf *ret_text)
{
    ck_assert_int_eq(dup2(catch->saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(catch->saved);
    (void)close(catch->pipe[1]); /* the last writer, so that reading ends */
    char piece[512];
    ssize_t got = 0;
    while ((got = read(catch->pipe[0], piece, sizeof piece)) > 0) {
        buf_append(ret_text, piece, (size_t)got);
    }
    (void)close(catch->pipe[0]);
}

START_TEST(lines_up_to_the_level_are_written_each_whole_and_printable)
{
    struct catch catch;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct log *log = log_create(LOG_LEVEL_INFO, false);
    catch_begin(&catch);
    log_line(log, LOG_LEVEL_ERROR, "no %s", "luck\x1B[2J\nimapfs: forged");
    log_line(log, LOG_LEVEL_WARNING, "take care");
    log_line(log, LOG_LEVEL_INFO, "%d messages", 3);
    log_line(log, LOG_LEVEL_DEBUG, "not this one");
    catch_end(&catch, &text);
    log_destroy(&log);
    ck_assert_ptr_null(log);
    ck_assert_str_eq(buf_text(&text), "imapfs: error: no luck?[2J?imapfs: forged\n"
                                      "imapfs: warning: take care\n"
                                      "imapfs: 3 messages\n");
}
END_TEST

START_TEST(a_debug_log_writes_all)
{
    struct catch catch;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct log *log = log_create(LOG_LEVEL_DEBUG, false);
    catch_begin(&catch);
    log_line(log, LOG_LEVEL_DEBUG, "this one");
    catch_end(&catch, &text);
    log_destroy(&log);
    ck_assert_str_eq(buf_text(&text), "imapfs: debug: this one\n");
}
END_TEST

START_TEST(a_long_line_is_cut_and_still_ends)
{
    struct catch catch;
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(buf) struct buf lengthy = BUF_INIT;
    for (int i = 0; i < 5000; i++) {
        buf_append_char(&lengthy, 'x');
    }
    struct log *log = log_create(LOG_LEVEL_INFO, false);
    catch_begin(&catch);
    log_line(log, LOG_LEVEL_ERROR, "%s", lengthy.data);
    catch_end(&catch, &text);
    log_destroy(&log);
    ck_assert_uint_gt(text.len, 1100);
    ck_assert_uint_lt(text.len, 2000);
    ck_assert_int_eq(text.data[text.len - 1], '\n');
    ck_assert_ptr_eq(strchr(text.data, '\n'), text.data + text.len - 1);
}
END_TEST

START_TEST(once_it_uses_syslog_standard_error_stays_empty)
{
    struct catch catch;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct log *log = log_create(LOG_LEVEL_INFO, false);
    log_use_syslog(log);
    log_use_syslog(log);
    catch_begin(&catch);
    log_line(log, LOG_LEVEL_DEBUG, "too low for the log anyway");
    log_line(log, LOG_LEVEL_INFO, "a line of the unit tests");
    catch_end(&catch, &text);
    log_destroy(&log);
    ck_assert_str_eq(buf_text(&text), "");
}
END_TEST

START_TEST(without_a_log_lines_are_dropped)
{
    struct catch catch;
    CLEANUP(buf) struct buf text = BUF_INIT;
    struct log *none = NULL;
    catch_begin(&catch);
    log_line(none, LOG_LEVEL_ERROR, "nobody hears");
    catch_end(&catch, &text);
    log_destroy(&none);
    ck_assert_str_eq(buf_text(&text), "");
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("log");
    tcase_add_test(tests, lines_up_to_the_level_are_written_each_whole_and_printable);
    tcase_add_test(tests, a_debug_log_writes_all);
    tcase_add_test(tests, a_long_line_is_cut_and_still_ends);
    tcase_add_test(tests, once_it_uses_syslog_standard_error_stays_empty);
    tcase_add_test(tests, without_a_log_lines_are_dropped);
    return unit_run("log", tests);
}
