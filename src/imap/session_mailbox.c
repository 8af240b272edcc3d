/* STATUS, EXAMINE, SEARCH and GETQUOTAROOT. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "imap/session_core.h"

/* ---- STATUS --------------------------------------------------------------------------------- */

struct status_answer {
    struct mailbox_status status;
    bool heard;
};

/* "STATUS" SP mailbox SP "(" item SP number ... ")". The name may be spelt in another way than
 * ours: only one STATUS is ever on the way. */
static int on_status(void *arg, const struct response *response, struct err *why)
{
    (void)why;
    struct status_answer *answer = arg;
    struct mailbox_status *status = &answer->status;
    if (!token_is(response, 0, "STATUS") || response->malformed || response->count < 4 ||
        response->tokens[2].kind != TOKEN_OPEN) {
        return 0;
    }
    *status = (struct mailbox_status){0};
    size_t close = response->tokens[2].match;
    for (size_t i = 3; i + 1 < close; i = token_next(response, i + 1)) {
        /* A value that is no number, or out of range, leaves "not given". */
        if (token_is(response, i, "MESSAGES")) {
            (void)token_u32(response, i + 1, &status->messages);
        } else if (token_is(response, i, "UNSEEN")) {
            (void)token_u32(response, i + 1, &status->unseen);
        } else if (token_is(response, i, "UIDNEXT")) {
            (void)token_u32(response, i + 1, &status->uidnext);
        } else if (token_is(response, i, "UIDVALIDITY")) {
            (void)token_u32(response, i + 1, &status->uidvalidity);
        } else if (token_is(response, i, "HIGHESTMODSEQ")) {
            (void)token_u64(response, i + 1, &status->highestmodseq);
        }
    }
    answer->heard = true;
    return 0;
}

int session_status(struct session *session, const char *raw, size_t len, struct mailbox_status *ret,
    struct err *why)
{
    struct command command;
    struct status_answer answer = {.heard = false};
    const struct listener listener = {.data = on_status, .arg = &answer};
    session_begin(session, &command);
    command_word(&command, "STATUS");
    command_mailbox(&command, raw, len);
    command_word(&command, (session->capabilities & CAP_CONDSTORE) != 0
                               ? "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"
                               : "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)");
    int rc = session_run(session, &command, &listener, "tell the state of the mailbox", why);
    if (rc == 0 && !answer.heard) {
        rc = err_set(
            why, ERR_REFUSED, EIO, "%s did not tell the state of the mailbox", session->server);
    }
    if (rc == 0) {
        *ret = answer.status;
    }
    return rc;
}

/* ---- EXAMINE -------------------------------------------------------------------------------- */

static int examine_anew(struct session *session, const char *raw, size_t len, struct err *why)
{
    struct command command;
    struct selected *selected = &session->selected;
    selected->open = false;
    selected->changed = false;
    selected->news = false;
    selected->not_sticky = false;
    selected->status = (struct mailbox_status){0};
    buf_reset(&selected->name);
    session_begin(session, &command);
    command_word(&command, "EXAMINE");
    command_mailbox(&command, raw, len);
    if ((session->capabilities & CAP_CONDSTORE) != 0) {
        command_word(&command, "(CONDSTORE)");
    }
    selected->opening = true;
    int rc = session_run(session, &command, NULL, "open the mailbox", why);
    selected->opening = false;
    if (rc != 0) {
        return rc;
    }
    if (selected->not_sticky) { /* RFC 4315: the UIDs mean nothing next time */
        selected->status.uidvalidity = 0;
    }
    buf_append(&selected->name, raw, len);
    selected->open = true;
    return 0;
}

bool session_is_selected(const struct session *session, const char *raw, size_t len)
{
    const struct selected *selected = &session->selected;
    return selected->open && !selected->changed && selected->name.len == len &&
           memcmp(selected->name.data, raw, len) == 0;
}

int session_examine(struct session *session, const char *raw, size_t len,
    struct mailbox_status *ret, struct err *why)
{
    /* Also of what is open: a NOOP would cost the same round trip, and tells nothing at all of a
     * mailbox that was deleted and made anew (Dovecot goes on with the old one). */
    int rc = examine_anew(session, raw, len, why);
    if (rc == 0) {
        *ret = session->selected.status;
    }
    return rc;
}

/* ---- SEARCH --------------------------------------------------------------------------------- */

struct search_answer {
    struct session *session;
    const char *tag;
    struct buf text; /* the members, with commas */
    bool heard;
};

static void add_member(struct search_answer *answer, const struct token *token)
{
    if (answer->text.len > 0) {
        buf_append_char(&answer->text, ',');
    }
    buf_append(&answer->text, token->text, token->len);
}

/* "ESEARCH" [SP "(" "TAG" SP string ")"] [SP "UID"] *(SP name SP value). RFC 9051 7.3.4. */
static void hear_esearch(struct search_answer *answer, const struct response *response)
{
    size_t i = 1;
    if (i < response->count && response->tokens[i].kind == TOKEN_OPEN) {
        if (token_is(response, i + 1, "TAG") && i + 2 < response->count &&
            strcmp(response->tokens[i + 2].text, answer->tag) != 0) {
            return;
        }
        i = token_next(response, i);
    }
    if (!token_is(response, i, "UID")) {
        return;
    }
    answer->heard = true;
    for (i++; i + 1 < response->count; i = token_next(response, i + 1)) {
        if (token_is(response, i, "ALL") && response->tokens[i + 1].kind == TOKEN_ATOM) {
            add_member(answer, &response->tokens[i + 1]);
        }
    }
}

static void hear_search(struct search_answer *answer, const struct response *response)
{
    answer->heard = true;
    for (size_t i = 1; i < response->count && response->tokens[i].kind == TOKEN_ATOM; i++) {
        add_member(answer, &response->tokens[i]);
    }
}

static void hear_fetched_uid(struct search_answer *answer, const struct response *response)
{
    if (response->count < 4 || response->tokens[2].kind != TOKEN_OPEN) {
        return;
    }
    for (size_t i = 3; i + 1 < response->tokens[2].match; i = token_next(response, i + 1)) {
        if (token_is(response, i, "UID") && response->tokens[i + 1].kind == TOKEN_ATOM) {
            answer->heard = true;
            add_member(answer, &response->tokens[i + 1]);
            return;
        }
    }
}

static int on_search(void *arg, const struct response *response, struct err *why)
{
    (void)why;
    struct search_answer *answer = arg;
    if (response->malformed) {
        return 0;
    }
    if (token_is(response, 0, "ESEARCH")) {
        hear_esearch(answer, response);
    } else if (token_is(response, 0, "SEARCH")) {
        hear_search(answer, response);
    } else if (answer->session->fetching && token_is(response, 1, "FETCH")) {
        hear_fetched_uid(answer, response);
    }
    return 0;
}

static int read_members(
    struct session *session, struct search_answer *answer, struct uidset *set, struct err *why)
{
    if (answer->text.len > 0 && uidset_parse(set, answer->text.data, answer->text.len) != 0) {
        return err_set(
            why, ERR_REFUSED, EIO, "%s gave a list of UIDs that is none", session->server);
    }
    /* An answer that names nothing in a mailbox that holds something would look like the loss of
     * all its mail. */
    if (set->count == 0 && session->selected.status.messages > 0) {
        return err_set(why, ERR_REFUSED, EIO, "%s named none of the mailbox's %u messages",
            session->server, session->selected.status.messages);
    }
    return 0;
}

int session_search_all(struct session *session, struct uidset *ret, struct err *why)
{
    struct command command;
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    CLEANUP(buf) struct buf tag = BUF_INIT;
    struct search_answer answer = {.session = session, .text = BUF_INIT};
    const struct listener listener = {.data = on_search, .arg = &answer};
    int rc = session_check_selected(session, why);
    if (rc != 0) {
        return rc;
    }
    session_begin(session, &command);
    buf_append(&tag, command.bytes.data, command.bytes.len);
    answer.tag = tag.data;
    /* Longer answers than one line may be come as a line each. */
    session->fetching = session->selected.status.messages > LINE_BYTES_MAX / 12;
    if (session->fetching) {
        command_word(&command, "UID FETCH 1:* (UID)");
    } else if ((session->capabilities & CAP_ESEARCH) != 0) {
        command_word(&command, "UID SEARCH RETURN (ALL) ALL");
    } else {
        command_word(&command, "UID SEARCH ALL");
    }
    rc = session_run(session, &command, &listener, "list the messages of the mailbox", why);
    session->fetching = false;
    if (rc == 0) {
        rc = session_check_selected(session, why);
    }
    if (rc == 0) {
        rc = read_members(session, &answer, &set, why);
    }
    buf_finish(&answer.text);
    if (rc == 0) {
        uidset_finish(ret);
        *ret = set;
        set = (struct uidset)UIDSET_INIT;
    }
    return rc;
}

/* ---- GETQUOTAROOT --------------------------------------------------------------------------- */

enum { QUOTA_UNIT = 1024 }; /* RFC 9208 5.1: STORAGE counts these */

static uint64_t in_bytes(uint64_t units)
{
    return units > UINT64_MAX / QUOTA_UNIT ? UINT64_MAX : units * QUOTA_UNIT;
}

/* "QUOTA" SP root SP "(" *(resource SP used SP limit) ")": the narrowest STORAGE counts. */
static int on_quota(void *arg, const struct response *response, struct err *why)
{
    (void)why;
    struct quota *quota = arg;
    if (!token_is(response, 0, "QUOTA") || response->malformed || response->count < 4 ||
        response->tokens[2].kind != TOKEN_OPEN) {
        return 0;
    }
    for (size_t i = 3; i + 2 < response->tokens[2].match; i += 3) {
        uint64_t used;
        uint64_t limit;
        if (!token_is(response, i, "STORAGE") || !token_u64(response, i + 1, &used) ||
            !token_u64(response, i + 2, &limit)) {
            continue;
        }
        if (!quota->known || in_bytes(limit) < quota->storage_limit_bytes) {
            quota->known = true;
            quota->storage_used_bytes = in_bytes(used);
            quota->storage_limit_bytes = in_bytes(limit);
        }
    }
    return 0;
}

int session_quota(
    struct session *session, const char *raw, size_t len, struct quota *ret, struct err *why)
{
    struct command command;
    struct quota quota = {.known = false};
    const struct listener listener = {.data = on_quota, .arg = &quota};
    if ((session->capabilities & CAP_QUOTA) == 0) {
        *ret = quota;
        return 0;
    }
    session_begin(session, &command);
    command_word(&command, "GETQUOTAROOT");
    command_mailbox(&command, raw, len);
    int rc = session_run(session, &command, &listener, "tell the quota", why);
    if (rc == 0) {
        *ret = quota;
    }
    return rc;
}
