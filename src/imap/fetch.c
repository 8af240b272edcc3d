#include "imap/fetch.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <strings.h>

enum {
    /* RFC 2683 3.2.1.5: lines of 1,000 octets are safe with everyone; RFC 7162 4: 8,192 where there
     * is CONDSTORE. Both less the rest of the command. */
    SET_TEXT_SAFE = 800,
    SET_TEXT_LONG = 7000
};

/* ---- which UIDs ----------------------------------------------------------------------------- */

static size_t digits(uint32_t number)
{
    size_t count = 1;
    while (number >= 10) {
        number /= 10;
        count++;
    }
    return count;
}

bool uid_cursor_take(struct uid_cursor *cursor, struct uidset *ret)
{
    uint32_t room = cursor->block;
    size_t text = 0;
    while (room > 0 && cursor->range < cursor->uids->count) {
        const struct uid_range *range = &cursor->uids->ranges[cursor->range];
        uint32_t first = cursor->next != 0 ? cursor->next : range->first;
        uint32_t left = range->last - first; /* of UIDs behind the first */
        uint32_t last = left < room ? range->last : first + (room - 1);
        size_t more = digits(first) + digits(last) + 2;
        if (text > 0 && text + more > cursor->text_max) {
            break;
        }
        if (uidset_add(ret, first, last) != 0) { /* only 0 is refused, and no set holds it */
            break;
        }
        text += more;
        room -= last - first + 1;
        if (last == range->last) {
            cursor->range++;
            cursor->next = 0;
        } else {
            cursor->next = last + 1;
        }
    }
    return text > 0;
}

/* ---- the pipeline --------------------------------------------------------------------------- */

static int launch(struct session *session, const struct fetch_plan *plan, const struct uidset *set,
    struct err *why)
{
    struct command command;
    session_begin(session, &command);
    command_word(&command, "UID FETCH");
    command_uidset(&command, set);
    command_word(&command, plan->items);
    if (plan->modifier != NULL) {
        command_word(&command, plan->modifier);
    }
    int rc = session_launch(session, &command, why);
    command_release(&command);
    return rc;
}

/* Sends as many commands as may be on the way. False when the plan is at its end. */
static int fill(struct session *session, struct fetch_plan *plan, bool *ret_more, struct err *why)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    while (session->flight_count < FLIGHTS_MAX) {
        uidset_reset(&set);
        if (!uid_cursor_take(&plan->cursor, &set)) {
            *ret_more = false;
            return 0;
        }
        int rc = launch(session, plan, &set, why);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int run_plan(struct session *session, struct fetch_plan *plan,
    const struct listener *listener, struct err *why)
{
    struct response response = {.word = ""};
    int first_error = 0;
    bool more = true;
    while (more || session->flight_count > 0) {
        if (more) {
            int rc = fill(session, plan, &more, why);
            if (rc != 0) {
                return rc;
            }
            if (session->flight_count == 0) {
                break;
            }
        }
        int step = session_step(session, listener, &response, why);
        if (step < 0) {
            return step;
        }
        if (step == STEP_TAGGED && !response_is_ok(&response) && first_error == 0) {
            first_error = session_refusal(session, &response, plan->what, why);
            if (session->dead) {
                return first_error;
            }
        }
        /* What can no longer be used is not asked for. */
        more = more && first_error == 0 && !session->selected.changed;
    }
    return first_error != 0 ? first_error : session_check_selected(session, why);
}

int fetch_run(struct session *session, struct fetch_plan *plan, const struct listener *listener,
    struct err *why)
{
    int rc = session_check_selected(session, why);
    if (rc != 0) {
        return rc;
    }
    plan->cursor.text_max =
        (session->capabilities & CAP_CONDSTORE) != 0 ? SET_TEXT_LONG : SET_TEXT_SAFE;
    session_phase(session);
    session->fetching = true;
    rc = run_plan(session, plan, listener, why);
    session->fetching = false;
    return rc;
}

/* ---- the parts of an answer ----------------------------------------------------------------- */

static void read_item(
    const struct response *response, size_t name, struct fetch_items *items, bool *two_uids)
{
    const struct token *token = &response->tokens[name];
    size_t value = name + 1;
    if (token->kind != TOKEN_ATOM) {
        items->sound = false;
        return;
    }
    struct {
        const char *name;
        size_t *index;
    } table[] = {
        {"FLAGS", &items->flags},
        {"INTERNALDATE", &items->date},
        {"RFC822.SIZE", &items->size},
        {"MODSEQ", &items->modseq},
        {"BODY[]", &items->body},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcasecmp(token->text, table[i].name) == 0 && *table[i].index == 0) {
            *table[i].index = value;
        }
    }
    if (strncasecmp(token->text, "BODY[HEADER", 11) == 0 && items->header == 0) {
        items->header = value;
    }
    uint32_t uid = 0;
    if (strcasecmp(token->text, "UID") == 0) {
        bool number = token_u32(response, value, &uid) && uid != 0;
        if (!number || (items->uid != 0 && items->uid != uid)) {
            *two_uids = true;
        }
        items->uid = uid;
    }
}

void fetch_items_read(const struct response *response, struct fetch_items *ret)
{
    uint32_t number;
    bool two_uids = false;
    *ret = (struct fetch_items){.sound = false};
    if (response->kind != RESPONSE_DATA || response->malformed || response->count < 4 ||
        !token_u32(response, 0, &number) || !token_is(response, 1, "FETCH") ||
        response->tokens[2].kind != TOKEN_OPEN) {
        return;
    }
    ret->sound = true;
    size_t close = response->tokens[2].match;
    for (size_t i = 3; i < close && ret->sound; i = token_next(response, i + 1)) {
        if (i + 1 >= close) {
            ret->sound = false; /* a name without its value */
            break;
        }
        read_item(response, i, ret, &two_uids);
    }
    if (two_uids) {
        ret->uid = 0;
    }
}

void fetch_hear_modseq(
    struct session *session, const struct response *response, const struct fetch_items *items)
{
    uint64_t modseq;
    struct selected *selected = &session->selected;
    if (items->modseq != 0 && token_u64(response, items->modseq + 1, &modseq) &&
        modseq > selected->status.highestmodseq) {
        selected->news = true;
    }
    if (items->uid == 0) { /* a change of a message that cannot be told */
        selected->news = true;
    }
}
