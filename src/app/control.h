/*
 * app/control.h - what imapfsctl asks of a running mount, over a socket in the state directory.
 *
 * One line in ("sync", "retry"), one line out ("ok" or "error ..."). Only the mount's own user and
 * root are heard. The server has one thread of its own; control_ask is imapfsctl's side and waits
 * for the answer.
 */
#ifndef IMAPFS_APP_CONTROL_H
#define IMAPFS_APP_CONTROL_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "engine/engine.h"
#include "imap/pool.h"

struct control;

struct control_options {
    const char *path;      /* of the socket; borrowed */
    struct engine *engine; /* borrowed */
    struct pool *pool;     /* borrowed */
};

int control_create(
    struct control **ret, const struct control_options *options, struct err *why) MUST_USE;
void control_destroy(struct control **control);

/* Sends `request` and waits for the answer: 0; what the mount answered as an error; EHOSTDOWN:
 * nobody listens; ETIMEDOUT. */
int control_ask(
    const char *path, const char *request, int64_t deadline_ms, struct err *why) MUST_USE;

#endif
