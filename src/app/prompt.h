/*
 * app/prompt.h - asks for a password on the terminal, unseen. Main thread; waits for the person.
 */
#ifndef IMAPFS_APP_PROMPT_H
#define IMAPFS_APP_PROMPT_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

/* AUTH EACCES: there is no terminal, or the person gave up (^C, ^D, an empty line). */
int prompt_password(const char *account, struct buf *ret, struct err *why) MUST_USE;

#endif
