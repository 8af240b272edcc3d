/*
 * imap/session.h - one logged-in connection and what can be asked over it.
 *
 * A session belongs to one thread (a pool worker) and is synchronous: each call sends, waits within
 * the account's timeouts and returns. After RETRY, HOSTILE or CANCELLED the session is dead
 * (session_is_dead) and must be destroyed; after REFUSED, GONE, CONFLICT it goes on. Reading is
 * EXAMINE and BODY.PEEK only: nothing here changes a message.
 */
#ifndef IMAPFS_IMAP_SESSION_H
#define IMAPFS_IMAP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/waker.h"
#include "imap/stream.h"
#include "model/ids.h"
#include "model/uidset.h"

enum session_security { SECURITY_TLS, SECURITY_STARTTLS };

/* How the password is had. `text` is wiped and freed by the caller through secret_finish. */
struct secret {
    char *text; /* NUL-ended, no CR, LF or NUL inside */
    size_t len;
};
void secret_finish(struct secret *secret);

struct account {
    const char *host;
    const char *port; /* "993" or "143" by default, given by the caller */
    enum session_security security;
    const char *user;
    const char
        *auth; /* NULL: best of SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN; else the one to use */
    int64_t timeout_ms; /* progress deadline of everything once connected; connect, TLS, greeting,
                           login: the less of it and 10..20 s */
    struct tls_context *tls; /* borrowed */
    /* Called in the session's thread at login. AUTH EACCES with a sentence if it cannot be had. */
    int (*secret)(void *arg, struct secret *ret, struct err *why);
    /* Told when the server refused it, so that it is had anew next time; NULL if nobody wants to
     * know. */
    void (*secret_refused)(void *arg);
    void *secret_arg;
};

enum capability {
    CAP_CONDSTORE = 1 << 0,
    CAP_QRESYNC = 1 << 1,
    CAP_ESEARCH = 1 << 2,
    CAP_NAMESPACE = 1 << 3,
    CAP_QUOTA = 1 << 4,
    CAP_LIST_EXTENDED = 1 << 5,
    CAP_SPECIAL_USE = 1 << 6,
    CAP_LITERAL_PLUS = 1 << 7,
    CAP_LITERAL_MINUS = 1 << 8,
    CAP_UIDPLUS = 1 << 9,
    CAP_MOVE = 1 << 10,
    CAP_IDLE = 1 << 11,
    CAP_UNSELECT = 1 << 12,
    CAP_ENABLE = 1 << 13,
    CAP_SASL_IR = 1 << 14,
    CAP_ID = 1 << 15,
    CAP_IMAP4REV2 = 1 << 16,
    CAP_LIST_STATUS = 1 << 17
};

struct session;

/*
 * Connects, TLS (or STARTTLS with its whole state machine: greeting OK only, nothing before TLS
 * believed, bytes behind the OK refused), greeting, CAPABILITY again, login, CAPABILITY again.
 * RETRY EHOSTDOWN/ETIMEDOUT; AUTH EACCES (the server's refusal, or no usable mechanism); HOSTILE
 * EPROTO; CANCELLED EINTR when `cancel` was set. The sentence names host, port and the server's
 * cleaned words.
 */
int session_open(struct session **ret, const struct account *account, struct waker *cancel,
    struct err *why) MUST_USE;
void session_destroy(struct session **session); /* LOGOUT is said but not waited for */
bool session_is_dead(const struct session *session);
/* Whether the connection still answers; true without a round trip when it was used within the last
 * seconds and nothing waits to be read; else a NOOP with a short deadline. */
bool session_is_alive(struct session *session);
unsigned session_capabilities(const struct session *session); /* enum capability */
uint64_t session_bytes_in(const struct session *session);
uint64_t session_bytes_out(const struct session *session);

enum mailbox_attribute {
    MAILBOX_NOSELECT = 1 << 0, /* also \NonExistent */
    MAILBOX_NOINFERIORS = 1 << 1,
    MAILBOX_SUBSCRIBED = 1 << 2
};

struct listed_mailbox {
    const char *raw; /* the server's exact bytes, borrowed during the call; may hold NUL-free bytes
                        of any kind */
    size_t raw_len;
    char delimiter;          /* 0: NIL */
    unsigned attributes;     /* enum mailbox_attribute */
    const char *special_use; /* "\\Sent" ... "" for none */
};

/* All mailboxes: LIST "" "*" (with RETURN (SUBSCRIBED SPECIAL-USE) where offered, else LSUB too),
 * plus the personal, other-users and shared namespaces' prefixes that it does not cover. Odd lines
 * are skipped and counted in *ret_odd (may be NULL). `each` non-zero stops with that. */
int session_list(struct session *session,
    int (*each)(void *arg, const struct listed_mailbox *mailbox), void *arg, size_t *ret_odd,
    struct err *why) MUST_USE;

struct mailbox_status {
    uint32_t messages;
    uint32_t unseen;        /* 0 from EXAMINE */
    uint32_t uidvalidity;   /* 0: the server gave none or an unusable one; UIDs must not be kept */
    uint32_t uidnext;       /* 0: not given */
    uint64_t highestmodseq; /* 0: not given or NOMODSEQ */
};

/* GONE ENOENT: no such mailbox. REFUSED EACCES ([NOPERM]) or EIO. */
int session_status(struct session *session, const char *raw, size_t len, struct mailbox_status *ret,
    struct err *why) MUST_USE;
/* EXAMINE (with (CONDSTORE) where offered); the mailbox stays selected. One round trip, also for
 * the mailbox that is selected already. A later call gives CONFLICT ESTALE if UIDVALIDITY changes
 * while it is selected. */
int session_examine(struct session *session, const char *raw, size_t len,
    struct mailbox_status *ret, struct err *why) MUST_USE;
/* Whether this mailbox is the one last examined. STATUS of it may tell what was, not what is (RFC
 * 9051 6.3.11): session_examine tells the news. */
bool session_is_selected(const struct session *session, const char *raw, size_t len);
/* The rest works on the mailbox last examined. */

/* All UIDs: UID SEARCH RETURN (ALL) ALL or UID SEARCH ALL. */
int session_search_all(struct session *session, struct uidset *ret, struct err *why) MUST_USE;

enum row_item {
    ROW_FLAGS = 1 << 0,
    ROW_DATE = 1 << 1,
    ROW_SIZE = 1 << 2,
    ROW_HEADER = 1 << 3,
    ROW_MODSEQ = 1 << 4
};

struct fetched_row {
    struct imap_uid uid;
    unsigned have;     /* enum row_item: what this row brought */
    const char *flags; /* canonical text (model/flags.h) */
    int64_t internaldate_s;
    uint64_t size_bytes;
    const char *header; /* raw block of Date, Subject, From, Message-ID */
    size_t header_len;
    uint64_t modseq;
};

/*
 * UID FETCH of the items, in blocks of at most `block` UIDs, several blocks on the way at once;
 * `each` sees every row that has a UID, in the order of arrival, rows of other UIDs or with fewer
 * items too (unsolicited FLAGS): look at `have`. `changed_since` > 0 adds (CHANGEDSINCE n). The
 * row's pointers last during the call.
 */
struct row_request {
    const struct uidset *uids;
    unsigned items;
    uint64_t changed_since;
    uint32_t block; /* 0: 1,000 */
};
int session_fetch_rows(struct session *session, const struct row_request *request,
    int (*each)(void *arg, const struct fetched_row *row), void *arg, struct err *why) MUST_USE;

/*
 * Where bodies go. `begin`: a literal of BODY[] starts; uid.value is 0 while the server has not yet
 * said whose it is. `data` in order. `end`: the FETCH response was complete; here the uid is always
 * known. A body that broke off gets `drop` instead of `end`. A body that came as a quoted string
 * goes the same way. `missing`: an answer named this UID but brought no body (NIL, or no BODY[] at
 * all) and no EXPUNGE explained it; told when all was answered. Non-zero from begin, data or end
 * gives the rest up, and the session is dead. What the server sends is given as it is: bodies of
 * UIDs that nobody asked for and a second body of the same UID too. A UID that is not in the set,
 * or has ended before, is the caller's to refuse.
 */
struct body_sink {
    int (*begin)(void *arg, struct imap_uid uid, uint64_t size_bytes, struct err *why);
    int (*data)(void *arg, const void *data, size_t len, struct err *why);
    int (*end)(void *arg, struct imap_uid uid, struct err *why);
    void (*drop)(void *arg);
    void (*missing)(void *arg, struct imap_uid uid); /* may be NULL */
    void *arg;
};

/* UID FETCH uids (UID BODY.PEEK[]), split into commands of `batch` UIDs with several on the way.
 * Which UIDs were never answered the caller knows from `end`. */
int session_fetch_bodies(struct session *session, const struct uidset *uids, uint32_t batch,
    const struct body_sink *sink, struct err *why) MUST_USE;

struct quota {
    bool known;
    uint64_t storage_used_bytes, storage_limit_bytes; /* RFC 9208 STORAGE, in bytes */
};
/* GETQUOTAROOT of the mailbox; known = false where there is no quota. */
int session_quota(struct session *session, const char *raw, size_t len, struct quota *ret,
    struct err *why) MUST_USE;

#endif
