#include "app/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/waker.h"

enum { LINE_MAX_BYTES = 512, REQUEST_MS = 5000 };

struct control {
    /* const after create */
    struct control_options options;
    int listen_fd;
    struct waker stop;
    pthread_t thread;
    bool started;
};

/*
 * A socket's address holds 107 bytes and a state directory's path may be longer: the directory is
 * opened and named through /proc. The address is good while *ret_dir_fd is open.
 */
static int address_of(const char *path, struct sockaddr_un *ret, int *ret_dir_fd)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return -EINVAL;
    }
    CLEANUP(free) char *directory = strndup(path, (size_t)(slash - path));
    int fd = directory != NULL ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return -errno;
    }
    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    int len = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", fd, slash + 1);
    if (len < 0 || (size_t)len >= sizeof ret->sun_path) {
        (void)close(fd);
        return -ENAMETOOLONG;
    }
    *ret_dir_fd = fd;
    return 0;
}

/* Reads one line within the deadline; its length, or -errno. `stop_fd` (-1: none) ends the wait. */
static ssize_t read_line(int fd, char *line, size_t size, int64_t deadline_ms, int stop_fd)
{
    size_t len = 0;
    while (len + 1 < size) {
        struct pollfd waited[2] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
        int ready = poll(waited, 2, deadline_poll_ms(deadline_ms));
        if (ready == 0) {
            return -ETIMEDOUT;
        }
        if (waited[1].revents != 0) {
            return -EINTR;
        }
        ssize_t got = ready > 0 ? recv(fd, line + len, 1, MSG_DONTWAIT) : -1;
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -errno : -EPIPE;
        }
        if (line[len] == '\n') {
            line[len] = '\0';
            return (ssize_t)len;
        }
        len++;
    }
    return -E2BIG;
}

static void answer(int fd, const char *line)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    buf_printf(&text, "%s\n", line);
    (void)!send(
        fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT); /* who left needs no answer */
}

/* A wait of the engine that ends a poll of ours. */
struct sync_wait {
    struct wait wait;
    struct waker ended;
    int result;
};

static void sync_done(struct wait *wait, int result)
{
    struct sync_wait *sync = (struct sync_wait *)(void *)wait; /* the first member */
    sync->result = result;
    waker_wake(&sync->ended);
}

/* Waits for the engine, for the person to give up, or for the end of the mount. True: it ended by
 * itself. */
static bool sync_finish(struct control *control, int fd, struct sync_wait *sync)
{
    struct pollfd waited[3] = {{.fd = sync->ended.fd, .events = POLLIN},
        {.fd = fd, .events = POLLRDHUP}, {.fd = control->stop.fd, .events = POLLIN}};
    while (poll(waited, 3, -1) < 0 && errno == EINTR) {
    }
    if (waited[0].revents != 0 || !engine_cancel(control->options.engine, &sync->wait)) {
        struct pollfd last = {.fd = sync->ended.fd, .events = POLLIN};
        while (poll(&last, 1, -1) < 0 &&
               errno == EINTR) { /* done is on its way: it must not find the memory gone */
        }
        waker_clear(&sync->ended); /* what done wrote before is ours to read from here */
        return true;
    }
    return false;
}

static void serve_sync(struct control *control, int fd)
{
    struct sync_wait sync = {.wait = {.done = sync_done}};
    if (waker_init(&sync.ended) < 0) {
        answer(fd, "error no descriptor is free");
        return;
    }
    int result = engine_sync_all(control->options.engine, &sync.wait);
    bool ended = true;
    if (result == PARKED) {
        ended = sync_finish(control, fd, &sync);
        result = sync.result;
    }
    waker_finish(&sync.ended);
    if (ended && result == 0) {
        answer(fd, "ok");
    } else if (ended) {
        char line[LINE_MAX_BYTES];
        (void)snprintf(line, sizeof line,
            "error not everything could be synchronised: %s; imapfsctl errors tells more",
            strerrordesc_np(-result));
        answer(fd, line);
    }
}

static void serve(struct control *control, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        answer(fd, "error this mount is another user's");
        return;
    }
    char line[LINE_MAX_BYTES];
    if (read_line(fd, line, sizeof line, deadline_in(REQUEST_MS), control->stop.fd) < 0) {
        return;
    }
    if (strcmp(line, "sync") == 0) {
        serve_sync(control, fd);
    } else if (strcmp(line, "retry") == 0) {
        pool_retry_now(control->options.pool);
        answer(fd, "ok");
    } else {
        answer(fd, "error this mount does not know that request; the two programs are of different "
                   "versions");
    }
}

static void *control_thread(void *arg)
{
    struct control *control = arg;
    for (;;) {
        struct pollfd waited[2] = {{.fd = control->listen_fd, .events = POLLIN},
            {.fd = control->stop.fd, .events = POLLIN}};
        if (poll(waited, 2, -1) < 0) {
            continue;
        }
        if (waited[1].revents != 0) {
            return NULL;
        }
        CLEANUP(fd_close) int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(control, fd);
        }
    }
}

static int control_listen(struct control *control)
{
    struct sockaddr_un address;
    CLEANUP(fd_close) int dir_fd = -1;
    int result = address_of(control->options.path, &address, &dir_fd);
    if (result < 0) {
        return result;
    }
    control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->listen_fd < 0) {
        return -errno;
    }
    (void)unlink(address.sun_path); /* one left by a mount that was killed: the lock says that it is
                                       not alive */
    if (bind(control->listen_fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(address.sun_path, 0600) < 0 || listen(control->listen_fd, 8) < 0) {
        return -errno;
    }
    return 0;
}

int control_create(struct control **ret, const struct control_options *options, struct err *why)
{
    struct control *control = alloc_zeroed(1, sizeof *control);
    control->options = *options;
    control->listen_fd = -1;
    int result = waker_init(&control->stop);
    if (result == 0) {
        result = control_listen(control);
    }
    if (result == 0) {
        result = thread_start(&control->thread, "control", control_thread, control);
        control->started = result == 0;
    }
    if (result < 0) {
        control_destroy(&control);
        return err_set(why, ERR_LOCAL, -result, "the control socket %s cannot be made: %s",
            options->path, strerrordesc_np(-result));
    }
    *ret = control;
    return 0;
}

void control_destroy(struct control **control)
{
    struct control *gone = *control;
    if (gone == NULL) {
        return;
    }
    *control = NULL;
    if (gone->started) {
        waker_wake(&gone->stop);
        (void)pthread_join(gone->thread, NULL);
        (void)unlink(gone->options.path);
    }
    if (gone->listen_fd >= 0) {
        (void)close(gone->listen_fd);
    }
    waker_finish(&gone->stop);
    free(gone);
}

int control_ask(const char *path, const char *request, int64_t deadline_ms, struct err *why)
{
    struct sockaddr_un address;
    CLEANUP(fd_close) int dir_fd = -1;
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = address_of(path, &address, &dir_fd);
    if (result < 0 || fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        return err_set(why, ERR_LOCAL, EHOSTDOWN,
            "the mount does not listen on %s; is it yours and still running?", path);
    }
    char line[LINE_MAX_BYTES];
    int len = snprintf(line, sizeof line, "%s\n", request);
    if (len < 0 || send(fd, line, (size_t)len, MSG_NOSIGNAL) != len) {
        return err_set(why, ERR_LOCAL, EHOSTDOWN, "the mount does not take requests on %s", path);
    }
    ssize_t got = read_line(fd, line, sizeof line, deadline_ms, -1);
    if (got == -ETIMEDOUT) {
        return err_set(why, ERR_RETRY, ETIMEDOUT,
            "the mount did not finish in time; it goes on in the background");
    }
    if (got < 0) {
        return err_set(why, ERR_LOCAL, EHOSTDOWN, "the mount ended before it answered");
    }
    if (strcmp(line, "ok") == 0) {
        return 0;
    }
    return err_set(why, ERR_REFUSED, EIO, "%s", strncmp(line, "error ", 6) == 0 ? line + 6 : line);
}
