#include "fs/fs_inside.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/notify.h"
#include "fs/parked.h"

enum { THREADS = 4 };

/* libfuse's messages come without an argument; each thread's own. */
/* NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables) */
static _Thread_local struct log *messages_log;

__attribute__((format(printf, 2, 0))) static void on_message(
    enum fuse_log_level level, const char *fmt, va_list args)
{
    char line[1024];
    if (messages_log == NULL) {
        return;
    }
    (void)vsnprintf(line, sizeof line, fmt, args); /* a longer one is cut */
    line[strcspn(line, "\n")] = '\0';
    log_line(messages_log, level <= FUSE_LOG_ERR ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "%s", line);
}

void fs_take_messages(struct log *log)
{
    messages_log = log;
    fuse_set_log_func(on_message);
}

static ssize_t read_request(int fd, void *buf, size_t size, void *userdata)
{
    struct fs *fs = userdata;
    ssize_t len = read(fd, buf, size);
    if (!fs->init_answered && len >= (ssize_t)sizeof(struct fuse_in_header)) {
        const struct fuse_in_header *in = buf;
        if (in->opcode == FUSE_INIT) {
            fs->init_unique = in->unique;
        }
    }
    return len;
}

/*
 * libfuse 3.14 knows the flag FUSE_PARALLEL_DIROPS but never passes it on. Without it the kernel
 * sends one lookup or readdir of a directory at a time, and one that is parked keeps all others
 * waiting, so it is set in the reply to INIT here.
 */
static void complete_init_reply(const struct fs *fs, const struct iovec *iov, int count)
{
    const struct fuse_out_header *out = iov[0].iov_base;
    if (!fs->parallel_dirops || count != 2 || out->unique != fs->init_unique || out->error != 0 ||
        iov[1].iov_len < sizeof(struct fuse_init_out)) {
        return;
    }
    struct fuse_init_out *init = iov[1].iov_base;
    init->flags |= FUSE_PARALLEL_DIROPS;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
    const struct fs *fs = userdata;
    if (!fs->init_answered) {
        complete_init_reply(fs, iov, count);
    }
    ssize_t len = writev(fd, iov, count);
    if (len < 0 && errno != ENOENT) {
        log_line(fs->log, LOG_LEVEL_DEBUG, "a reply did not reach the kernel: %s",
            strerrorname_np(errno));
        errno = ENOENT; /* libfuse prints any other to standard error */
    }
    return len;
}

const struct fuse_custom_io fs_io = {
    .read = read_request,
    .writev = write_reply,
};

/* 1: a request was answered or parked. 0: the session has ended. -errno. */
static int serve_one(struct fs *fs, struct fuse_buf *buf)
{
    int len = fuse_session_receive_buf(fs->session, buf);
    if (len <= 0) {
        return len;
    }
    fuse_session_process_buf(fs->session, buf);
    return 1;
}

/* -EAGAIN: another thread took the request. */
static bool is_passing(int rc)
{
    return rc == -EAGAIN || rc == -EINTR;
}

static int loop_requests(struct fs *fs, int epoll_fd, struct fuse_buf *buf)
{
    for (;;) {
        int rc = serve_one(fs, buf);
        if (rc > 0) {
            continue; /* look for the next at once: mostly it is there */
        }
        if (!is_passing(rc)) {
            return rc;
        }
        struct epoll_event event;
        int count = epoll_wait(epoll_fd, &event, 1, -1);
        if (count < 0 && errno != EINTR) {
            return -errno;
        }
        if (count == 1 && event.data.fd == fs->quit.fd) {
            return 0;
        }
    }
}

/* EPOLLEXCLUSIVE: a request wakes one thread, not all. */
static int watch(struct fs *fs, int epoll_fd)
{
    int fd = fuse_session_fd(fs->session);
    struct epoll_event requests = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.fd = fd}};
    struct epoll_event quit = {.events = EPOLLIN, .data = {.fd = fs->quit.fd}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fs->quit.fd, &quit) != 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &requests) != 0) {
        return -errno;
    }
    return 0;
}

static void *loop_main(void *arg)
{
    struct fs *fs = arg;
    struct fuse_buf buf = {.mem = NULL};
    fs_take_messages(fs->log);
    CLEANUP(fd_close) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int rc = epoll_fd < 0 ? -errno : watch(fs, epoll_fd);
    if (rc == 0) {
        rc = loop_requests(fs, epoll_fd, &buf);
    }
    free(buf.mem);
    if (rc < 0) {
        lock_take(&fs->lock);
        fs->loop_error = rc;
        lock_release(&fs->lock);
    }
    waker_wake(&fs->stop); /* one thread that ends ends the mount */
    return NULL;
}

/* Until one of the two is readable; whether it is the first. */
static bool poll_two(int fd, int stop_fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR) {
    }
    return fds[1].revents == 0;
}

/* Serves alone until the kernel's INIT was answered; 1, 0 if the end came first, or -errno. */
static int await_init(struct fs *fs)
{
    struct fuse_buf buf = {.mem = NULL};
    int rc = 0;
    while (fs->init_unique == 0 && poll_two(fuse_session_fd(fs->session), fs->stop.fd)) {
        rc = serve_one(fs, &buf);
        if (rc <= 0 && !is_passing(rc)) {
            break;
        }
    }
    free(buf.mem);
    fs->init_answered = true;
    return fs->init_unique != 0 && !fuse_session_exited(fs->session) ? 1 : (rc < 0 ? rc : 0);
}

static int start_threads(struct fs *fs, pthread_t *threads, int *ret_count)
{
    int rc = notify_start(fs->notify);
    *ret_count = 0;
    while (rc == 0 && *ret_count < THREADS) {
        rc = thread_start(&threads[*ret_count], "fuse", loop_main, fs);
        *ret_count += rc == 0 ? 1 : 0;
    }
    return *ret_count > 0 ? 0 : rc; /* with fewer it goes on, slower */
}

/*
 * The threads serve on until the notifier has ended: its last word to the kernel may wait for a
 * request that is still on its way to us.
 */
static void end_threads(struct fs *fs, const pthread_t *threads, int count)
{
    parked_give_up(fs);
    notify_stop(fs->notify);
    fuse_session_exit(fs->session);
    waker_wake(&fs->quit);
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL); /* they are ours and joined once */
    }
    parked_settle(fs);
}

int fs_run(struct fs *fs)
{
    pthread_t threads[THREADS];
    int count = 0;
    fs_take_messages(fs->log);
    int rc = await_init(fs);
    if (rc > 0) {
        rc = start_threads(fs, threads, &count);
    }
    if (count > 0) {
        struct pollfd stop = {.fd = fs->stop.fd, .events = POLLIN};
        while (poll(&stop, 1, -1) < 0 && errno == EINTR) {
        }
    }
    end_threads(fs, threads, count);
    fs_unmount(fs);
    fs_take_messages(NULL);
    lock_take(&fs->lock);
    int loop_error = fs->loop_error;
    lock_release(&fs->lock);
    return rc < 0 ? rc : loop_error;
}

void fs_stop(struct fs *fs)
{
    waker_wake(&fs->stop);
}
