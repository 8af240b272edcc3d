#include "app/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MAX = 4096, CONTROL_C = 3 };

/* Echo off, and ^C taken as a byte that ends the line: no signal may leave the terminal without
 * echo. */
static bool echo_off(int fd, struct termios *ret_before)
{
    if (tcgetattr(fd, ret_before) < 0) {
        return false;
    }
    struct termios quiet = *ret_before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    quiet.c_cc[VEOL] = CONTROL_C;
    return tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
}

static ssize_t read_line(int fd, char *line, size_t size)
{
    ssize_t got;
    do {
        got = read(fd, line, size);
    } while (got < 0 && errno == EINTR);
    return got;
}

int prompt_password(const char *account, struct buf *ret, struct err *why)
{
    CLEANUP(fd_close) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    struct termios before;
    if (fd < 0 || !echo_off(fd, &before)) {
        return err_set(why, ERR_AUTH, EACCES,
            "there is no password: give password_command, a netrc file or a terminal to ask on");
    }
    (void)dprintf(fd, "Password for %s: ", account);
    char line[PASSWORD_MAX];
    ssize_t got = read_line(fd, line, sizeof line);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)dprintf(fd, "\n");
    size_t len = got > 0 ? (size_t)got : 0;
    bool whole = len > 0 && line[len - 1] == '\n';
    len -= whole ? 1 : 0;
    int result = 0;
    if (!whole || len == 0 || memchr(line, CONTROL_C, len) != NULL ||
        memchr(line, '\0', len) != NULL) {
        result = err_set(why, ERR_AUTH, EACCES, "no password was given");
    } else {
        buf_append(ret, line, len);
    }
    explicit_bzero(line, sizeof line);
    return result;
}
