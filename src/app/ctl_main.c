/* imapfsctl: asks a running mount. status and errors are read through the mount, sync and retry go
 * over its control socket. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "app/control.h"
#include "app/version.h"
#include "base/clock.h"

enum { EXIT_USAGE = 2, EXIT_TIMEOUT = 75 };

static const char USAGE[] =
    "usage: imapfsctl status [--json] MOUNTPOINT\n"
    "       imapfsctl errors MOUNTPOINT\n"
    "       imapfsctl sync [--timeout SECONDS] MOUNTPOINT\n"
    "       imapfsctl retry MOUNTPOINT\n\n"
    "  status  what the mount is doing and has done (--json: for programs)\n"
    "  errors  what went wrong lately\n"
    "  sync    ask the server for every mailbox's news now, and wait until they are here\n"
    "  retry   connect now, also after a refused login\n";

struct request {
    const char *verb;
    const char *mountpoint;
    bool json;
    int64_t timeout_s; /* -1: as long as it takes */
};

static int complain(const char *text)
{
    (void)fprintf(stderr, "imapfsctl: %s\n", text);
    return EXIT_FAILURE;
}

static int not_a_mount(const char *mountpoint)
{
    CLEANUP(free)
    char *text = errno == ENOTCONN
                     ? g_strdup_printf("the mount at %s has died; end it with: fusermount3 -u %s",
                           mountpoint, mountpoint)
                     : g_strdup_printf("%s is no mount of imapfs: %s", mountpoint,
                           errno == ENODATA || errno == ENOTSUP ? "something else is there"
                                                                : strerrordesc_np(errno));
    return complain(text);
}

static int show(const struct request *request, const char *name)
{
    CLEANUP(free) char *path = g_build_filename(request->mountpoint, ".imapfs", name, NULL);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return not_a_mount(request->mountpoint);
    }
    char piece[4096];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) > 0) {
        if (fwrite(piece, 1, (size_t)got, stdout) != (size_t)got) {
            return complain("standard output cannot be written");
        }
    }
    if (got < 0 || fflush(stdout) != 0) {
        return complain("the answer cannot be read or written");
    }
    return EXIT_SUCCESS;
}

static int ask(const struct request *request)
{
    char control[4096];
    ssize_t len = getxattr(request->mountpoint, "user.imap.control", control, sizeof control - 1);
    if (len <= 0) {
        return not_a_mount(request->mountpoint);
    }
    control[len] = '\0';
    struct err why = ERR_INIT;
    int64_t deadline =
        request->timeout_s < 0 ? DEADLINE_NEVER : deadline_in(request->timeout_s * 1000);
    int result = control_ask(control, request->verb, deadline, &why);
    if (result == 0) {
        return EXIT_SUCCESS;
    }
    (void)complain(why.text);
    return result == -ETIMEDOUT ? EXIT_TIMEOUT : EXIT_FAILURE;
}

static bool read_seconds(const char *text, int64_t *ret)
{
    gint64 number = 0;
    if (!g_ascii_string_to_signed(text, 10, 0, 86400, &number, NULL)) {
        return false;
    }
    *ret = number;
    return true;
}

enum { ARGS_RIGHT = 0, ARGS_WRONG, ARGS_DONE };

static int read_args(int argc, char **argv, struct request *request)
{
    static const struct option LONG[] = {{"json", no_argument, NULL, 'j'},
        {"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    int key;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    while ((key = getopt_long(argc, argv, "hV", LONG, NULL)) != -1) {
        switch (key) {
        case 'j':
            request->json = true;
            break;
        case 't':
            if (!read_seconds(optarg, &request->timeout_s)) {
                (void)complain("--timeout takes a number of seconds from 0 to 86400");
                return ARGS_WRONG;
            }
            break;
        case 'h':
            (void)fputs(USAGE, stdout);
            return ARGS_DONE;
        case 'V':
            printf("imapfsctl %s\n", IMAPFS_VERSION);
            return ARGS_DONE;
        default:
            return ARGS_WRONG;
        }
    }
    if (argc - optind != 2) {
        (void)fputs(USAGE, stderr);
        return ARGS_WRONG;
    }
    request->verb = argv[optind];
    request->mountpoint = argv[optind + 1];
    return ARGS_RIGHT;
}

int main(int argc, char **argv)
{
    struct request request = {.timeout_s = -1};
    int args = read_args(argc, argv, &request);
    if (args != ARGS_RIGHT) {
        return args == ARGS_DONE ? EXIT_SUCCESS : EXIT_USAGE;
    }
    if (strcmp(request.verb, "status") == 0) {
        return show(&request, request.json ? "status.json" : "status");
    }
    if (strcmp(request.verb, "errors") == 0) {
        return show(&request, "errors");
    }
    if (strcmp(request.verb, "sync") == 0 || strcmp(request.verb, "retry") == 0) {
        return ask(&request);
    }
    (void)fputs(USAGE, stderr);
    return EXIT_USAGE;
}
