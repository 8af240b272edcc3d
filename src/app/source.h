/*
 * app/source.h - SOURCE: `[user@]host[:port][/mailbox]`, `imaps://...` or `imap://...` (STARTTLS).
 * Pure; any thread.
 */
#ifndef IMAPFS_APP_SOURCE_H
#define IMAPFS_APP_SOURCE_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"

struct source {
    char *user;    /* NULL: not named */
    char *host;    /* without brackets */
    char *port;    /* decimal */
    bool starttls; /* imap://, or port 143 where no scheme is given */
    char *mailbox; /* path below the account's root, "" for all */
};

/* LOCAL EINVAL with a sentence; a password in it is refused, not used. */
int source_parse(struct source *ret, const char *text, struct err *why) MUST_USE;
void source_finish(struct source *source);

/* "imap://user@host" or with ":port" if it is not the usual one: what df and mount show. The caller
 * frees it. */
char *source_display(const struct source *source) MUST_USE;

/* A directory name for the account: "user@host:port" with every other byte than letters, digits and
 * "._@-+:" percent-escaped. The caller frees it. */
char *source_directory(const struct source *source) MUST_USE;

#endif
