/*
 * base/err.h - what went wrong: a class for the policy, an errno for the kernel, one sentence for a
 * person. Anybody may call it from any thread; it neither waits nor owns anything: a struct err is
 * a plain value.
 */
#ifndef IMAPFS_BASE_ERR_H
#define IMAPFS_BASE_ERR_H

#include <stddef.h>

#include "base/cleanup.h"

enum err_class {
    ERR_NONE = 0,
    ERR_RETRY,     /* the network or the server had a bad moment: the same may work later */
    ERR_AUTH,      /* the server refused who we are: a person has to act */
    ERR_GONE,      /* the message or mailbox is no longer there */
    ERR_REFUSED,   /* the server said no to this one request and would again */
    ERR_CONFLICT,  /* the server is not in the state this rests on (UIDVALIDITY) */
    ERR_HOSTILE,   /* an answer that no sound server gives: the connection is ended */
    ERR_CANCELLED, /* our own side gave up */
    ERR_LOCAL,     /* this machine: disk, memory, permissions, settings */
    ERR_BUG        /* our own mistake */
};

struct err {
    enum err_class class;
    int errnum;     /* positive errno, 0 with ERR_NONE */
    char text[320]; /* one sentence without a final period; never holds raw server bytes */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        ERR_NONE, 0, ""                                                                            \
    }

/* Fills `why` (which may be NULL) and returns -errnum. What the format brings in is made printable.
 */
int err_set(struct err *why, enum err_class class, int errnum, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The errno a class stands for when nothing more exact is known: the one mapping of class to errno.
 * RETRY EHOSTDOWN, AUTH EACCES, GONE ESTALE, REFUSED EIO, CONFLICT ESTALE, HOSTILE EPROTO,
 * CANCELLED EINTR, LOCAL EIO, BUG EIO. */
int err_errno(enum err_class class);

/* The class as a lower-case word ("retry"), for status and logs. */
const char *err_class_name(enum err_class class);

#endif
