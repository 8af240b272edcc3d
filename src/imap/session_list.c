/* LIST, LSUB and NAMESPACE: which mailboxes there are. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <strings.h>

#include "imap/session_core.h"

enum { MAILBOXES_MAX = 100000, RAW_NAME_MAX = 4096, PREFIXES_MAX = 32 };

struct listing {
    int (*each)(void *arg, const struct listed_mailbox *mailbox);
    void *arg;
    const char *word;       /* "LIST" or "LSUB": the answers that are awaited */
    GHashTable *subscribed; /* of GBytes, from LSUB; NULL when LIST says it itself */
    GHashTable *seen;       /* of GBytes: the raw names given to `each` */
    GPtrArray *prefixes;    /* of GBytes: what NAMESPACE named */
    size_t odd;
    int stopped; /* what `each` returned */
};

/* Of a LIST answer: where its parts are. */
struct list_line {
    const struct token *name;
    char delimiter;
    unsigned attributes;
    const char *special_use;
};

static void read_attribute(struct list_line *line, const char *text)
{
    static const struct {
        const char *name;
        unsigned attribute;
    } known[] = {
        {"\\Noselect", MAILBOX_NOSELECT},
        {"\\NonExistent", MAILBOX_NOSELECT},
        {"\\NoInferiors", MAILBOX_NOINFERIORS},
        {"\\Subscribed", MAILBOX_SUBSCRIBED},
    };
    static const char *const uses[] = {
        "\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcasecmp(text, known[i].name) == 0) {
            line->attributes |= known[i].attribute;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(uses); i++) {
        if (line->special_use[0] == '\0' && strcasecmp(text, uses[i]) == 0) {
            line->special_use = uses[i];
        }
    }
}

/* A hierarchy delimiter: one quoted character of ASCII, or NIL. RFC 9051 `mailbox-list`. */
static bool read_delimiter(const struct response *response, size_t index, char *ret)
{
    if (index >= response->count) {
        return false;
    }
    const struct token *token = &response->tokens[index];
    if (token_is(response, index, "NIL")) {
        *ret = 0;
        return true;
    }
    if (token->kind == TOKEN_STRING && token->len == 1 && token->text[0] > ' ' &&
        token->text[0] < 0x7f) {
        *ret = token->text[0];
        return true;
    }
    return false;
}

static const struct token *text_token(const struct response *response, size_t index)
{
    if (index >= response->count) {
        return NULL;
    }
    const struct token *token = &response->tokens[index];
    bool text = token->kind == TOKEN_ATOM || token->kind == TOKEN_STRING;
    return text ? token : NULL;
}

/* "LIST" SP "(" attributes ")" SP delimiter SP name [SP extended] */
static bool read_line(const struct response *response, struct list_line *ret)
{
    struct list_line line = {.special_use = ""};
    if (response->malformed || response->count < 5 || response->tokens[1].kind != TOKEN_OPEN) {
        return false;
    }
    size_t close = response->tokens[1].match;
    for (size_t i = 2; i < close; i++) {
        if (response->tokens[i].kind != TOKEN_ATOM) {
            return false;
        }
        read_attribute(&line, response->tokens[i].text);
    }
    line.name = text_token(response, close + 2);
    if (line.name == NULL || !read_delimiter(response, close + 1, &line.delimiter)) {
        return false;
    }
    if (line.name->len == 0 || line.name->len > RAW_NAME_MAX ||
        line.name->literal_size > line.name->len ||
        memchr(line.name->text, '\0', line.name->len) != NULL) {
        return false;
    }
    *ret = line;
    return true;
}

/* INBOX is one name in any case (RFC 9051 5.1). */
static GBytes *key_of(const struct token *name)
{
    if (name->len == 5 && strncasecmp(name->text, "INBOX", 5) == 0) {
        return g_bytes_new_static("INBOX", 5);
    }
    return g_bytes_new(name->text, name->len);
}

static void hear_subscribed(struct listing *listing, const struct list_line *line)
{
    if (g_hash_table_size(listing->subscribed) < MAILBOXES_MAX) {
        g_hash_table_add(listing->subscribed, key_of(line->name));
    }
}

static void hear_mailbox(struct listing *listing, const struct list_line *line)
{
    GBytes *key = key_of(line->name);
    if (g_hash_table_contains(listing->seen, key)) { /* named twice: once is enough */
        g_bytes_unref(key);
        return;
    }
    if (g_hash_table_size(listing->seen) >= MAILBOXES_MAX) {
        g_bytes_unref(key);
        listing->odd++;
        return;
    }
    struct listed_mailbox mailbox = {
        .raw = line->name->text,
        .raw_len = line->name->len,
        .delimiter = line->delimiter,
        .attributes = line->attributes,
        .special_use = line->special_use,
    };
    if (listing->subscribed != NULL && g_hash_table_contains(listing->subscribed, key)) {
        mailbox.attributes |= MAILBOX_SUBSCRIBED;
    }
    g_hash_table_add(listing->seen, key);
    listing->stopped = listing->each(listing->arg, &mailbox);
}

static int on_list(void *arg, const struct response *response, struct err *why)
{
    (void)why;
    struct listing *listing = arg;
    struct list_line line;
    if (!token_is(response, 0, listing->word) || listing->stopped != 0) {
        return 0;
    }
    if (!read_line(response, &line)) {
        listing->odd++;
    } else if (strcmp(listing->word, "LSUB") == 0) {
        hear_subscribed(listing, &line);
    } else {
        hear_mailbox(listing, &line);
    }
    return 0;
}

/* LIST "" pattern [RETURN (...)] or LSUB "" pattern. */
static int ask(struct session *session, struct listing *listing, const char *word,
    const char *pattern, struct err *why)
{
    struct command command;
    const struct listener listener = {.data = on_list, .arg = listing};
    const unsigned caps = session->capabilities;
    listing->word = word;
    session_begin(session, &command);
    command_word(&command, word);
    command_string(&command, "", 0);
    command_string(&command, pattern, strlen(pattern));
    if (strcmp(word, "LIST") == 0 && (caps & CAP_LIST_EXTENDED) != 0) {
        command_word(&command, (caps & CAP_SPECIAL_USE) != 0 ? "RETURN (SUBSCRIBED SPECIAL-USE)"
                                                             : "RETURN (SUBSCRIBED)");
    }
    return session_run(session, &command, &listener, "list the mailboxes", why);
}

/* ---- namespaces ----------------------------------------------------------------------------- */

/* "NAMESPACE" SP personal SP others SP shared, each NIL or "((" prefix SP delimiter ... ")" ... ")"
 */
static int on_namespace(void *arg, const struct response *response, struct err *why)
{
    (void)why;
    struct listing *listing = arg;
    if (!token_is(response, 0, "NAMESPACE") || response->malformed) {
        return 0;
    }
    for (size_t i = 1; i < response->count; i = token_next(response, i)) {
        if (response->tokens[i].kind != TOKEN_OPEN) {
            continue;
        }
        size_t close = response->tokens[i].match;
        for (size_t k = i + 1; k < close; k = token_next(response, k)) {
            const struct token *prefix = text_token(response, k + 1);
            if (response->tokens[k].kind == TOKEN_OPEN && prefix != NULL && prefix->len > 0 &&
                prefix->len <= RAW_NAME_MAX && memchr(prefix->text, '\0', prefix->len) == NULL &&
                listing->prefixes->len < PREFIXES_MAX) {
                g_ptr_array_add(listing->prefixes, g_bytes_new(prefix->text, prefix->len));
            }
        }
    }
    return 0;
}

static bool covered(const struct listing *listing, GBytes *prefix)
{
    GHashTableIter iter;
    gpointer key;
    size_t prefix_len;
    const void *prefix_data = g_bytes_get_data(prefix, &prefix_len);
    g_hash_table_iter_init(&iter, listing->seen);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        size_t len;
        const void *data = g_bytes_get_data(key, &len);
        if (len >= prefix_len && memcmp(data, prefix_data, prefix_len) == 0) {
            return true;
        }
    }
    return false;
}

static int list_namespaces(struct session *session, struct listing *listing, struct err *why)
{
    struct command command;
    const struct listener listener = {.data = on_namespace, .arg = listing};
    session_begin(session, &command);
    command_word(&command, "NAMESPACE");
    int rc = session_run(session, &command, &listener, "name the namespaces", why);
    for (guint i = 0; rc == 0 && listing->stopped == 0 && i < listing->prefixes->len; i++) {
        GBytes *prefix = g_ptr_array_index(listing->prefixes, i);
        if (covered(listing, prefix)) {
            continue;
        }
        size_t len;
        const char *data = g_bytes_get_data(prefix, &len);
        CLEANUP(buf) struct buf pattern = BUF_INIT;
        buf_append(&pattern, data, len);
        buf_append_char(&pattern, '*');
        rc = ask(session, listing, "LIST", pattern.data, why);
        rc = session->dead ? rc : 0; /* a namespace that is not shown hides none of the rest */
    }
    return session->dead ? rc : 0;
}

/* ---- all ------------------------------------------------------------------------------------ */

static int list_all(struct session *session, struct listing *listing, struct err *why)
{
    int rc = 0;
    if ((session->capabilities & CAP_LIST_EXTENDED) == 0) {
        listing->subscribed =
            g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
        rc = ask(session, listing, "LSUB", "*", why);
        rc = session->dead ? rc : 0; /* without LSUB nothing is known to be subscribed */
    }
    if (rc == 0) {
        listing->odd = 0; /* what LSUB said twice is not counted twice */
        rc = ask(session, listing, "LIST", "*", why);
    }
    if (rc == 0 && listing->stopped == 0 && (session->capabilities & CAP_NAMESPACE) != 0) {
        rc = list_namespaces(session, listing, why);
    }
    return rc;
}

int session_list(struct session *session,
    int (*each)(void *arg, const struct listed_mailbox *mailbox), void *arg, size_t *ret_odd,
    struct err *why)
{
    struct listing listing = {.each = each, .arg = arg};
    listing.seen =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    listing.prefixes = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    int rc = list_all(session, &listing, why);
    g_hash_table_unref(listing.seen);
    g_ptr_array_unref(listing.prefixes);
    if (listing.subscribed != NULL) {
        g_hash_table_unref(listing.subscribed);
    }
    if (rc != 0) {
        return rc;
    }
    if (listing.stopped != 0) {
        (void)err_set(why, ERR_CANCELLED, EINTR, "the list of mailboxes was not wanted to its end");
        return listing.stopped;
    }
    if (ret_odd != NULL) {
        *ret_odd = listing.odd;
    }
    return 0;
}
