/*
 * imap/session_core.h - what the files of a session share: sending commands, reading answers, and
 * the one dispatcher of whatever the server says unasked.
 *
 * Only session*.c, login.c and fetch.c include it. Same thread rules as session.h. Every function
 * that returns RETRY, HOSTILE or CANCELLED has marked the session dead.
 */
#ifndef IMAPFS_IMAP_SESSION_CORE_H
#define IMAPFS_IMAP_SESSION_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "imap/command.h"
#include "imap/gate.h"
#include "imap/session.h"

enum {
    FLIGHTS_MAX = 8, /* commands on the way at once: together far below a socket's buffer */
    TAG_SIZE = 40,   /* 16 digits of chance, a counter, NUL */
    LINE_BYTES_MAX = 4 << 20, /* of one answer outside literals: 350,000 UIDs of ten digits */
    UNTAGGED_MAX = 16 << 20,  /* answers to one command */
    SLOWEST_BYTES_PER_MS = 16 /* a transfer that goes on more slowly than this is given up */
};

enum mechanism {
    MECHANISM_SCRAM_SHA_256 = 1 << 0,
    MECHANISM_SCRAM_SHA_1 = 1 << 1,
    MECHANISM_PLAIN = 1 << 2,
    MECHANISM_LOGIN = 1 << 3
};

/* The selected mailbox: none, being opened, or open. */
struct selected {
    bool opening; /* an EXAMINE is on the way: what is said is about the new mailbox */
    bool open;
    bool changed; /* UIDVALIDITY moved under us: nothing may be asked before the next EXAMINE */
    bool news;    /* something happened that only another EXAMINE tells wholly */
    bool not_sticky;
    uint64_t expunges; /* EXPUNGE and VANISHED answers so far */
    struct buf name;   /* raw */
    struct mailbox_status status;
};

struct session {
    struct account account; /* its strings are borrowed */
    char server[320];       /* host:port, for sentences */
    struct stream *stream;
    struct gate *gate;
    bool dead;
    bool trusted; /* TLS is up: what the server says counts */

    char tag_prefix[17];
    uint64_t tag_count;
    char flights[FLIGHTS_MAX][TAG_SIZE]; /* tags that await their answer, in the order of sending */
    size_t flight_count;
    bool continue_awaited;
    bool fetching; /* FETCH answers are expected */

    unsigned capabilities; /* enum capability */
    unsigned mechanisms;   /* enum mechanism: AUTH=... */
    bool login_disabled;
    bool capabilities_known;

    struct selected selected;

    int64_t wait_ms;  /* the progress deadline in force */
    int64_t phase_ms; /* clock: since when this command waits */
    uint64_t phase_bytes;
    uint64_t phase_untagged;
    int64_t used_ms; /* clock: last word of the server */
};

/* Hears the untagged data answers while a command waits; the dispatcher has seen them before. */
struct listener {
    int (*data)(
        void *arg, const struct response *response, struct err *why); /* NULL: no interest */
    const struct gate_sink *sink;                                     /* may be NULL */
    void *arg;
};

/* Marks the session dead and returns `rc`. */
int session_fail(struct session *session, int rc);
/* HOSTILE EPROTO: "host:port <what>". Dead. */
int session_hostile(struct session *session, const char *what, struct err *why);
/* RETRY EHOSTDOWN with the server's words. Dead. */
int session_ended(struct session *session, const struct response *bye, struct err *why);

/* Another gate over the stream, with nothing buffered. */
void session_new_gate(struct session *session);
/* Another random prefix of tags. -errno of getrandom. */
int session_new_prefix(struct session *session, struct err *why) MUST_USE;

/* Starts a command with a new tag. */
void session_begin(struct session *session, struct command *command);
/* Writes raw bytes within the progress deadline. */
int session_write(struct session *session, const void *data, size_t len, struct err *why) MUST_USE;
/* The clock of the total deadline starts anew: a command begins to wait or another one was done. */
void session_phase(struct session *session);
/* Finishes, sends and books a command without literals that await "+", not waiting for its answer.
 */
int session_launch(struct session *session, struct command *command, struct err *why) MUST_USE;

enum step { STEP_UNTAGGED, STEP_CONTINUE, STEP_TAGGED };
/*
 * Reads one answer, lets the dispatcher and the listener have it: an enum step, or -errno. A tagged
 * answer was for a flight, which is over.
 */
int session_step(struct session *session, const struct listener *listener, struct response *ret,
    struct err *why) MUST_USE;

/* Finishes and sends a command, literals and all, and reads until its tagged answer, given in *ret.
 */
int session_exchange(struct session *session, struct command *command,
    const struct listener *listener, struct response *ret, struct err *why) MUST_USE;
/* The same, and NO or BAD become an error that says what ("open the mailbox") was refused. Releases
 * the command. */
int session_run(struct session *session, struct command *command, const struct listener *listener,
    const char *what, struct err *why) MUST_USE;

/* The class of a NO or BAD after login; THROTTLED answers are RETRY, and the session is dead. */
int session_refusal(
    struct session *session, const struct response *tagged, const char *what, struct err *why);
/* Whether the server's words say that it has too much to do just now. */
bool response_is_throttling(const struct response *response);
/* Whether a tagged answer is OK. */
bool response_is_ok(const struct response *response);

/* Asks for the capabilities. */
int session_ask_capabilities(struct session *session, struct err *why) MUST_USE;
/* The codes between [ and ] of a status answer. */
void session_hear_code(struct session *session, const struct response *response);

/* CONFLICT ESTALE when nothing is open or UIDVALIDITY has changed, else 0. */
int session_check_selected(struct session *session, struct err *why) MUST_USE;

#endif
