#include "app/source.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

void source_finish(struct source *source)
{
    g_free(source->user);
    g_free(source->host);
    g_free(source->port);
    g_free(source->mailbox);
    memset(source, 0, sizeof *source);
}

static bool port_is_sound(const char *port)
{
    guint64 number = 0;
    return g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL);
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static int parse_host(struct source *source, const char *text, struct err *why)
{
    const char *port = NULL;
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return err_set(
                why, ERR_LOCAL, EINVAL, "an IPv6 address is written [ADDRESS] or [ADDRESS]:PORT");
        }
        source->host = g_strndup(text + 1, (gsize)(end - text - 1));
        port = end[1] == ':' ? end + 2 : NULL;
    } else {
        const char *colon = strchr(text, ':');
        source->host = colon != NULL ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
        port = colon != NULL ? colon + 1 : NULL;
    }
    if (source->host[0] == '\0' || has_control(source->host) ||
        strpbrk(source->host, " \t/%") != NULL) {
        return err_set(
            why, ERR_LOCAL, EINVAL, "the source names no host; write [user@]host[:port][/mailbox]");
    }
    if (port == NULL) {
        return 0;
    }
    if (!port_is_sound(port)) {
        return err_set(
            why, ERR_LOCAL, EINVAL, "\"%s\" is no port; write a number from 1 to 65535", port);
    }
    source->port = g_strdup(port);
    return 0;
}

/* "user@host:port": the last '@' ends the user, who may have one too. */
static int parse_authority(struct source *source, const char *text, bool is_url, struct err *why)
{
    const char *at = strrchr(text, '@');
    if (at != NULL) {
        CLEANUP(free) char *user = g_strndup(text, (gsize)(at - text));
        if (strchr(user, ':') != NULL) {
            return err_set(why, ERR_LOCAL, EINVAL,
                "a user name with ':' is refused, since a password is never taken from the command "
                "line; "
                "use password_command, a netrc file or the prompt");
        }
        source->user = is_url ? g_uri_unescape_string(user, NULL) : g_strdup(user);
        if (source->user == NULL || source->user[0] == '\0' || has_control(source->user)) {
            return err_set(why, ERR_LOCAL, EINVAL, "the user name before '@' is empty or odd");
        }
        text = at + 1;
    }
    return parse_host(source, text, why);
}

static int parse_parts(struct source *source, const char *text, bool is_url, struct err *why)
{
    const char *slash = strchr(text, '/');
    CLEANUP(free)
    char *authority = slash != NULL ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);
    const char *path = slash != NULL ? slash + 1 : "";
    source->mailbox = is_url ? g_uri_unescape_string(path, NULL) : g_strdup(path);
    if (source->mailbox == NULL) {
        return err_set(why, ERR_LOCAL, EINVAL, "the mailbox in the source is no sound URL path");
    }
    size_t len = strlen(source->mailbox);
    while (len > 0 && source->mailbox[len - 1] == '/') {
        source->mailbox[--len] = '\0';
    }
    return parse_authority(source, authority, is_url, why);
}

int source_parse(struct source *ret, const char *text, struct err *why)
{
    struct source source = {0};
    bool is_url = true;
    bool starttls = false;
    if (g_str_has_prefix(text, "imaps://")) {
        text += strlen("imaps://");
    } else if (g_str_has_prefix(text, "imap://")) {
        text += strlen("imap://");
        starttls = true;
    } else if (strstr(text, "://") != NULL) {
        return err_set(why, ERR_LOCAL, EINVAL,
            "the source must begin with imaps:// or imap://, or be [user@]host");
    } else {
        is_url = false;
    }
    int result = parse_parts(&source, text, is_url, why);
    if (result < 0) {
        source_finish(&source);
        return result;
    }
    source.starttls =
        starttls || (!is_url && source.port != NULL && strcmp(source.port, "143") == 0);
    if (source.port == NULL) {
        source.port = g_strdup(source.starttls ? "143" : "993");
    }
    *ret = source;
    return 0;
}

char *source_display(const struct source *source)
{
    bool usual = strcmp(source->port, source->starttls ? "143" : "993") == 0;
    bool v6 = strchr(source->host, ':') != NULL;
    return g_strdup_printf("imap://%s@%s%s%s%s%s", source->user, v6 ? "[" : "", source->host,
        v6 ? "]" : "", usual ? "" : ":", usual ? "" : source->port);
}

char *source_directory(const struct source *source)
{
    CLEANUP(free)
    char *whole = g_strdup_printf("%s@%s:%s", source->user, source->host, source->port);
    GString *name = g_string_new(NULL);
    for (const char *c = whole; *c != '\0'; c++) {
        if (g_ascii_isalnum(*c) || (strchr("._@-+:", *c) != NULL && !(c == whole && *c == '.'))) {
            g_string_append_c(name, *c);
        } else {
            g_string_append_printf(name, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
    return g_string_free(name, FALSE);
}
