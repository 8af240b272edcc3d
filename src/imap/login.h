/*
 * imap/login.h - proves to the server who we are, over TLS only.
 * Called once by session_open in the session's thread; owns GNU SASL. RFC 9051 6.2, RFC 5802, 4616.
 */
#ifndef IMAPFS_IMAP_LOGIN_H
#define IMAPFS_IMAP_LOGIN_H

#include "base/cleanup.h"
#include "base/err.h"

struct session;

/* More iterations than this and the server wants our processor, not our password. */
enum { SCRAM_ITERATIONS_MAX = 1000000 };

/*
 * Logs in with account.auth, or the best of SCRAM-SHA-256, SCRAM-SHA-1, PLAIN and LOGIN that the
 * server offers. AUTH EACCES: refused, or nothing usable is offered, or the password cannot be had.
 * RETRY: the server is busy. HOSTILE EPROTO: it failed to prove that it knows the password.
 */
int session_login(struct session *session, struct err *why) MUST_USE;

#endif
