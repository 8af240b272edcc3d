#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "imap/stream_inside.h"

/*
 * getaddrinfo(3) has neither a deadline nor a way out. It runs in a thread of its own, which shares
 * one question with whoever asks; who lets go of it last frees it, so that a resolver that stalls
 * keeps nobody waiting.
 */
struct question {
    /* const after create */
    char *host;
    char *port;
    struct waker answered;

    /* guarded by lock */
    struct lock lock;
    int holders;
    bool done;
    int result; /* of getaddrinfo */
    struct addrinfo *addresses;
};

static const struct addrinfo wanted = {
    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};

static void question_destroy(struct question *question) NO_LOCK_ANALYSIS /* nobody else is left */
{
    if (question->addresses != NULL) {
        freeaddrinfo(question->addresses);
    }
    waker_finish(&question->answered);
    lock_finish(&question->lock);
    free(question->host);
    free(question->port);
    free(question);
}

static void question_let_go(struct question *question)
{
    lock_take(&question->lock);
    bool last = --question->holders == 0;
    lock_release(&question->lock);
    if (last) {
        question_destroy(question);
    }
}

static void *answer_question(void *arg)
{
    struct question *question = arg;
    struct addrinfo *addresses = NULL;
    int result = getaddrinfo(question->host, question->port, &wanted, &addresses);
    lock_take(&question->lock);
    question->result = result;
    question->addresses = result == 0 ? addresses : NULL;
    question->done = true;
    lock_release(&question->lock);
    waker_wake(&question->answered);
    question_let_go(question);
    return NULL;
}

static int start_answering(struct question *question)
{
    pthread_t thread;
    int r = thread_start(&thread, "resolver", answer_question, question);
    if (r == 0) {
        (void)pthread_detach(thread); /* it exists and nobody joins it */
    }
    return r;
}

/* Asks in a thread of its own. LOCAL EMFILE, EAGAIN. */
static int question_ask(const struct stream_options *options, struct question **ret,
    struct err *why) NO_LOCK_ANALYSIS /* it is not shared yet */
{
    struct question *question = alloc_zeroed(1, sizeof *question);
    question->host = alloc_text(options->host);
    question->port = alloc_text(options->port);
    question->holders = 2;
    question->answered.fd = -1;
    lock_init(&question->lock, RANK_STREAM, "resolver");
    int r = waker_init(&question->answered);
    if (r == 0) {
        r = start_answering(question);
    }
    if (r < 0) {
        question_destroy(question);
        return err_set(why, ERR_LOCAL, -r, "cannot start looking up the name %s: %s", options->host,
            strerrordesc_np(-r));
    }
    *ret = question;
    return 0;
}

static int unknown_host(const char *host, int result, struct err *why)
{
    const char *reason = result == EAI_SYSTEM ? "system error" : gai_strerror(result);
    return err_set(why, ERR_RETRY, EHOSTDOWN, "cannot look up the name %s: %s", host, reason);
}

static int question_wait(const struct question *question, const struct stream_options *options,
    int64_t deadline_ms, struct err *why)
{
    struct pollfd waits[2] = {{.fd = question->answered.fd, .events = POLLIN, .revents = 0},
        {.fd = options->cancel != NULL ? options->cancel->fd : -1, .events = POLLIN, .revents = 0}};
    for (;;) {
        lock_assert_none_held();
        int n = poll(waits, 2, deadline_poll_ms(deadline_ms));
        if (n > 0 && waits[1].revents != 0) {
            return stream_check_cancel(options->cancel, why);
        }
        if (n > 0) {
            return 0;
        }
        if (n == 0 && deadline_poll_ms(deadline_ms) == 0) {
            return err_set(
                why, ERR_RETRY, EHOSTDOWN, "looking up the name %s took too long", options->host);
        }
    }
}

/* Addresses and port numbers need no resolver and cannot stall. */
static bool is_numeric(const struct stream_options *options)
{
    struct in6_addr address;
    bool host = inet_pton(AF_INET, options->host, &address) == 1 ||
                inet_pton(AF_INET6, options->host, &address) == 1;
    return host && options->port[0] != '\0' &&
           options->port[strspn(options->port, "0123456789")] == '\0';
}

int stream_resolve(const struct stream_options *options, int64_t deadline_ms, struct addrinfo **ret,
    struct err *why)
{
    int result;
    if (is_numeric(options)) {
        struct addrinfo numeric = wanted;
        numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
        result = getaddrinfo(options->host, options->port, &numeric, ret);
        return result == 0 ? 0 : unknown_host(options->host, result, why);
    }
    struct question *question = NULL;
    int r = question_ask(options, &question, why);
    if (question == NULL) {
        return r;
    }
    r = question_wait(question, options, deadline_ms, why);
    if (r == 0) {
        lock_take(&question->lock);
        result = question->result;
        *ret = question->addresses;
        question->addresses = NULL;
        lock_release(&question->lock);
        if (result != 0) {
            r = unknown_host(options->host, result, why);
        }
    }
    question_let_go(question);
    return r;
}
