/*
 * app/netrc.h - one password out of a netrc file (ftp(1), curl, mutt know the format). Pure but for
 * netrc_read, which reads the file.
 */
#ifndef IMAPFS_APP_NETRC_H
#define IMAPFS_APP_NETRC_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

struct netrc_wanted {
    const char *host, *port, *user;
};

/* Appends the password of the entry whose machine, port (if it names one) and login all match; 1 if
 * there is one, else 0. "default" entries are passed over: a password never goes to a host that was
 * not named. */
int netrc_find(const char *text, const struct netrc_wanted *wanted, struct buf *ret);

/* The same from a file: 1, 0 (also where there is no file), or AUTH EACCES (not ours, or open to
 * others: chmod 600). */
int netrc_read(
    const char *path, const struct netrc_wanted *wanted, struct buf *ret, struct err *why) MUST_USE;

#endif
