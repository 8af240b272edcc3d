#include "app/command_output.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { OUTPUT_MAX = 65536 };

static int spawn(pid_t *ret_pid, char **argv, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    (void)posix_spawn_file_actions_addchdir_np(&actions, "/");
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -error;
}

/* Reads to the end of the output: 0, or -ETIMEDOUT, -E2BIG, -errno. */
static int read_all(int fd, int64_t deadline_ms, struct buf *output)
{
    char piece[1024];
    int result = 0;
    for (;;) {
        struct pollfd waited = {.fd = fd, .events = POLLIN};
        int ready = poll(&waited, 1, deadline_poll_ms(deadline_ms));
        if (ready == 0) {
            result = -ETIMEDOUT;
            break;
        }
        ssize_t got = ready > 0 ? read(fd, piece, sizeof piece) : -1;
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            result = got < 0 ? -errno : 0;
            break;
        }
        if (output->len + (size_t)got > OUTPUT_MAX) {
            result = -E2BIG;
            break;
        }
        buf_append(output, piece, (size_t)got);
    }
    explicit_bzero(piece, sizeof piece);
    return result;
}

/* Whether the command ends by itself in time, now that it has closed its output. */
static bool ends_in_time(pid_t pid, int64_t deadline_ms)
{
    CLEANUP(fd_close) int handle = pidfd_open(pid, 0);
    struct pollfd waited = {.fd = handle, .events = POLLIN};
    return handle >= 0 && poll(&waited, 1, deadline_poll_ms(deadline_ms)) == 1;
}

/* Waits for the command, or ends it and everything in its session's process group. */
static int reap(pid_t pid, bool end_it)
{
    int status = 0;
    if (end_it) {
        (void)kill(-pid, SIGKILL); /* it may be gone already */
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int take_line(const struct buf *output, struct buf *ret, struct err *why)
{
    size_t len = output->len > 0 ? strcspn(output->data, "\r\n") : 0;
    if (len == 0 || memchr(output->data, '\0', output->len) != NULL) {
        return err_set(
            why, ERR_AUTH, EACCES, "password_command printed no password on its first line");
    }
    buf_append(ret, output->data, len);
    return 0;
}

static int run(char **argv, int64_t deadline_ms, struct buf *output, struct err *why)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_set(
            why, ERR_LOCAL, errno, "password_command cannot be run: %s", strerrordesc_np(errno));
    }
    CLEANUP(fd_close) int from = ends[0];
    int to = ends[1];
    pid_t pid = -1;
    int result = spawn(&pid, argv, to);
    (void)close(to);
    if (result < 0) {
        return err_set(why, ERR_AUTH, EACCES, "password_command \"%s\" cannot be run: %s", argv[0],
            strerrordesc_np(-result));
    }
    result = read_all(from, deadline_ms, output);
    if (result == 0 && !ends_in_time(pid, deadline_ms)) {
        result = -ETIMEDOUT;
    }
    int status = reap(pid, result < 0);
    if (result == -ETIMEDOUT) {
        return err_set(why, ERR_AUTH, EACCES,
            "password_command \"%s\" did not end in time and was stopped", argv[0]);
    }
    if (result < 0) {
        return err_set(why, ERR_AUTH, EACCES,
            "password_command \"%s\" printed too much or cannot be read", argv[0]);
    }
    if (status != 0) {
        return err_set(why, ERR_AUTH, EACCES, "password_command \"%s\" failed with status %d",
            argv[0], status);
    }
    return 0;
}

int command_first_line(
    const char *command_line, int64_t deadline_ms, struct buf *ret, struct err *why)
{
    char **argv = NULL;
    if (!g_shell_parse_argv(command_line, NULL, &argv, NULL)) {
        return err_set(why, ERR_AUTH, EACCES, "password_command has an unended quote or no word");
    }
    CLEANUP(buf) struct buf output = BUF_INIT;
    int result = run(argv, deadline_ms, &output, why);
    if (result == 0) {
        result = take_line(&output, ret, why);
    }
    if (output.data != NULL) {
        explicit_bzero(output.data, output.capacity);
    }
    g_strfreev(argv);
    return result;
}
