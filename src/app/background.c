#include "app/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* The parent's whole rest: one byte from the child is the status; the end of the pipe means that it
 * died. */
static _Noreturn void wait_for_child(int fd, pid_t child)
{
    unsigned char status = 1;
    ssize_t got;
    do {
        got = read(fd, &status, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) {
        static const char WORDS[] = "imapfs: the mount ended before it was ready\n";
        (void)!write(
            STDERR_FILENO, WORDS, sizeof WORDS - 1); /* nothing else can be done about it */
        status = 1;
    }
    if (status != 0) {
        (void)waitpid(child, NULL, 0); /* what it wrote is out before we are gone */
    }
    _exit(status);
}

int background_start(struct background *ret, struct err *why)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_set(
            why, ERR_LOCAL, errno, "cannot go to the background: %s", strerrordesc_np(errno));
    }
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        (void)close(ends[0]);
        (void)close(ends[1]);
        return err_set(
            why, ERR_LOCAL, error, "cannot go to the background: %s", strerrordesc_np(error));
    }
    if (child > 0) {
        (void)close(ends[1]);
        wait_for_child(ends[0], child);
    }
    (void)close(ends[0]);
    ret->report_fd = ends[1];
    return 0;
}

static void report(struct background *background, int status)
{
    if (background->report_fd >= 0) {
        unsigned char byte = (unsigned char)status;
        (void)!write(
            background->report_fd, &byte, 1); /* a parent that was killed needs no answer */
        (void)close(background->report_fd);
        background->report_fd = -1;
    }
}

void background_ready(struct background *background)
{
    if (background->report_fd < 0) {
        return;
    }
    (void)setsid();
    (void)!chdir("/"); /* "/" is always there */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)close(null);
    }
    report(background, 0);
}

void background_failed(struct background *background, int status)
{
    report(background, status);
}
