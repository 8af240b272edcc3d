/*
 * session_case.h - what the tests of sessions have in common: a scripted server, an account for it,
 * one session.
 */
#ifndef SESSION_CASE_H
#define SESSION_CASE_H

#include <stddef.h>

#include "base/waker.h"
#include "imap/session.h"
#include "imap_script.h"

#define PASSWORD "canary-secret"
#define USER "ann"

/* A server over TLS that lets the client in by PLAIN and then has these capabilities. */
#define GREET "TLS\nS * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\nC AUTHENTICATE PLAIN *\n"
#define IN(capabilities) GREET "S $T OK [CAPABILITY IMAP4rev1 " capabilities "] in\n"
#define EXAMINED                                                                                   \
    "C EXAMINE \"box\"*\nS * 3 EXISTS\nS * OK [UIDVALIDITY 7] v\nS * OK [UIDNEXT 12] n\n"          \
    "S $T OK [READ-ONLY] done\n"

struct place {
    struct imap_script *script;
    struct account account;
    struct waker waker;
    struct session *session;
    struct err why;
};

/* An account's `secret`: the text that `arg` is, or PASSWORD. */
int give_secret(void *arg, struct secret *ret, struct err *why);
void place_start(struct place *place, const char *const *scripts, size_t count);
int place_try(struct place *place);
void place_open(struct place *place, const char *const *script);
/* Examines "box" as EXAMINED has it. */
void place_examine(struct place *place);
void place_end(struct place *place);
/* Asserts class and errno of what came back. */
void place_failed(const struct place *place, int rc, enum err_class class, int errnum);

#endif
